"""Files that are whole or absent: the one seam between the store or runs folder and the disk below.

The store may lie on any filesystem pyarrow knows (a path, file://, s3://, gs://); job folders are local paths.
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

from raydistill.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside `path`, flush to disk, rename: readers see the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value) -> None:
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


@contextmanager
def renamed_when_whole(path: Path):
    """A name to write to; at the end the file becomes `path`, and after an error there is none.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err}); name a folder that exists and has room") from None
    finally:
        partial.unlink(missing_ok=True)


class Folder:
    """A folder on a path or URI, addressed by names relative to it."""

    def __init__(self, uri: str):
        from pyarrow import ArrowInvalid
        from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

        self.uri = str(uri)
        try:
            if "://" in self.uri:
                filesystem, base = FileSystem.from_uri(self.uri)
            else:
                filesystem, base = LocalFileSystem(), os.path.abspath(self.uri)
        except (ArrowInvalid, OSError) as err:
            raise DataError(f"store {self.uri}: not a folder that can be opened ({err})") from None
        self.local = isinstance(filesystem, LocalFileSystem)
        self.filesystem = SubTreeFileSystem(base, filesystem)

    def exists(self, name: str) -> bool:
        from pyarrow.fs import FileType

        return self.filesystem.get_file_info(name).type != FileType.NotFound

    def read(self, name: str) -> bytes:
        with self.filesystem.open_input_stream(name) as stream:
            return stream.read()

    def write(self, name: str, data) -> None:
        """Whole or absent: object stores publish a file when it is closed, local disks when it is renamed."""
        self.filesystem.create_dir(os.path.dirname(name) or ".", recursive=True)
        beside = f"{name}.{os.getpid()}.tmp" if self.local else name
        with self.filesystem.open_output_stream(beside) as stream:
            stream.write(data)
        if self.local:
            self.filesystem.move(beside, name)

    def names(self, folder: str, ending: str = "") -> list[str]:
        """Names of the files anywhere below `folder`, sorted; none where the folder is missing."""
        from pyarrow.fs import FileSelector, FileType

        found = self.filesystem.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        return sorted(f.path for f in found if f.type == FileType.File and f.path.endswith(ending))

    def delete(self, name: str) -> None:
        self.filesystem.delete_file(name)

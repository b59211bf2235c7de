"""Writing files that are complete or absent, and access to folders on any filesystem.

The store can be on any filesystem that pyarrow supports (a path, file://, s3://, gs://); job folders are local paths.
"""

import contextlib
import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raydistill.config.secrets import check_no_secret
from raydistill.errors import DataError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a temporary file in the same folder, flush it to disk and rename it, so no reader sees a partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON data atomically, with sorted keys; numbers must be finite."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_mapping(path: Path) -> dict[str, Any] | None:
    """The JSON mapping in a file; None if there is no such file, or it cannot be read, or holds something else."""
    try:
        # Opening a pipe would wait for a writer.
        tree = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def sha256_of(path: Path) -> str:
    """sha256 of a file's content, in hex; of a folder, that of the names and contents of all files in it."""
    if path.is_dir():
        digest = hashlib.sha256()
        for inside in sorted(inside for inside in path.rglob("*") if inside.is_file()):
            digest.update(f"{inside.relative_to(path).as_posix()}\0{sha256_of(inside)}\n".encode())
        return digest.hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def renamed_when_whole(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary name to write to. At the end that file is renamed to `path`; after an error it is deleted.

    Args:
        overwrite: whether `path` may exist, see `check_may_write`.

    Raises:
        DataError: the file exists already, or it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        if not overwrite:
            _refuse_existing(path, "give another name, or delete it first")
        yield partial
        os.replace(partial, path)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err}); name a folder that exists and has room") from None
    finally:
        partial.unlink(missing_ok=True)


def check_may_write(path: Path, overwrite: bool, is_own: Callable[[Path], bool]) -> None:
    """Raise DataError if `path` exists, unless raydistill wrote it and `overwrite` is set.

    Args:
        is_own: whether raydistill wrote a file that exists.
    """
    if not overwrite:
        _refuse_existing(path, "give another name, or `--overwrite` to replace a file that raydistill wrote")
    elif os.path.lexists(path) and not (path.is_file() and is_own(path)):
        raise DataError(
            f"{path}: raydistill did not write this file and never overwrites it; give another name, or delete it first"
        )


def _refuse_existing(path: Path, way_out: str) -> None:
    if os.path.lexists(path):  # a link whose target is missing counts, too: it may name a recording not yet fetched
        raise DataError(f"{path}: this file exists already; {way_out}")


class Folder:
    """A folder at a path or URI. Files are named by their path relative to it."""

    def __init__(self, uri: str):
        from pyarrow import ArrowInvalid
        from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

        self.uri = str(uri)
        check_no_secret(self.uri, "the store")
        try:
            if "://" in self.uri:
                filesystem, base = FileSystem.from_uri(self.uri)
            else:
                filesystem, base = LocalFileSystem(), os.path.abspath(self.uri)
        except (ArrowInvalid, OSError) as err:
            raise DataError(f"store {self.uri}: cannot be opened as a folder ({err})") from None
        self.local = isinstance(filesystem, LocalFileSystem)
        self.filesystem = SubTreeFileSystem(base, filesystem)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        from pyarrow.fs import FileType

        return self.filesystem.get_file_info(name).type != FileType.NotFound

    def read(self, name: str) -> bytes:
        """The content of a file. Raises OSError if it cannot be read."""
        with self.filesystem.open_input_stream(name) as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is complete or absent."""
        self.write_with(name, lambda stream: stream.write(data))

    def write_with(self, name: str, write: Callable[[Any], Any]) -> None:
        """Write a file that is complete or absent: object stores publish it when closed, local disks when renamed.

        Args:
            write: writes the content to an output stream of pyarrow.
        """
        self.filesystem.create_dir(os.path.dirname(name) or ".", recursive=True)
        temporary = f"{name}.{os.getpid()}.tmp" if self.local else name
        with self.filesystem.open_output_stream(temporary) as stream:
            write(stream)
        if self.local:
            self.filesystem.move(temporary, name)

    def names(self, folder: str, ending: str = "") -> list[str]:
        """Sorted names of all files in `folder` and its subfolders; empty if the folder is missing."""
        from pyarrow.fs import FileSelector, FileType

        entries = self.filesystem.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        return sorted(f.path for f in entries if f.type == FileType.File and f.path.endswith(ending))

    def delete(self, name: str) -> None:
        """Delete a file. Raises OSError if it cannot be deleted."""
        self.filesystem.delete_file(name)


def release_free_memory() -> None:
    """Give memory that was freed back to the system, which glibc otherwise keeps; elsewhere this does nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

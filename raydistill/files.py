"""Writing files that are complete or absent, and access to folders on any filesystem.

The store can be on any filesystem that pyarrow supports (a path, file://, s3://, gs://); job folders are local paths.
"""

import contextlib
import ctypes
import hashlib
import io
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from raydistill.config.secrets import check_no_secret
from raydistill.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

LATE_S = 40.0
"""How long a file of another machine may take to be seen here: by default, NFS remembers for half a minute that there
was none."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a temporary file in the same folder, flush it to disk and rename it, so no reader sees a partial file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _flushed(temporary, lambda: path) as file:
        file.write(data)


@contextmanager
def _flushed(temporary: Path, name: Callable[[], Path]) -> Iterator[BinaryIO]:
    """A temporary file to write to. At the end it is flushed to disk and renamed; after an error it is deleted.

    Args:
        name: returns the final name, once everything is written.
    """
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name())
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


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.stat().st_size


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


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file of a folder, as it was written."""

    name: str
    """Relative to the folder."""
    size: int
    """Bytes."""
    sha256: str


class Folder:
    """A folder at a path or URI. Files are named by their path relative to it, and no name leads out of it.

    Names come from files that others may have written, so every method raises DataError for a name that is absolute or
    has an empty part, `.` or `..`.
    """

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
        self.path = Path(base) if isinstance(filesystem, LocalFileSystem) else None
        """Where the folder is, if it is on a local disk (or one that is mounted like one)."""
        self.filesystem = SubTreeFileSystem(base, filesystem)

    def held(self, name: str) -> str:
        """The name, if it is one of a file in this folder."""
        if not isinstance(name, str) or "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/")):
            raise DataError(
                f"{self.uri}: the name {name!r} leads out of this folder, so it is neither read nor written"
            )
        return name

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        from pyarrow.fs import FileType

        return self.filesystem.get_file_info(self.held(name)).type != FileType.NotFound

    def read(self, name: str) -> bytes:
        """The content of a file. Raises OSError if it cannot be read."""
        with self.filesystem.open_input_stream(self.held(name)) as stream:
            return stream.read()

    def read_buffer(self, name: str) -> "pa.Buffer":
        """The content of a file as a buffer of pyarrow, without a copy. Raises OSError if it cannot be read."""
        with self.filesystem.open_input_file(self.held(name)) as file:
            return file.read_buffer()

    def write(self, name: str, data: bytes) -> Written:
        """Write a file that is complete or absent."""
        return self.write_with(name, lambda stream: stream.write(data))

    def write_with(self, name: str, write: Callable[[Any], Any]) -> Written:
        """Write a file that is complete or absent: object stores publish it when closed, local disks when renamed.

        On a local disk the content is on the disk before the file is renamed, and `flush` puts the name there, too.

        Args:
            write: writes the content to a binary stream.
        """
        return self._write(self.held(name), lambda digest: name, write)

    def write_by_content(self, stem: str, ending: str, write: Callable[[Any], Any]) -> Written:
        """Write a file whose name is `stem`, the beginning of the sha256 of its content, and `ending`.

        Files of different content thus never take the place of each other. In an object store, where a file cannot be
        renamed, random digits take the place of the sha256.
        """
        unique = f"{self.held(stem)}{uuid.uuid4().hex[:16]}{ending}"
        return self._write(unique, lambda digest: f"{stem}{digest[:16]}{ending}", write)

    def _write(self, name: str, name_of: Callable[[str], str], write: Callable[[Any], Any]) -> Written:
        """Write a file under its name or, on a local disk, the name that `name_of` gives to its sha256."""
        if self.path is None:
            with self.filesystem.open_output_stream(name) as opened:
                remote = _DigestingStream(opened)
                write(remote)
            return Written(name=name, size=remote.size, sha256=remote.digest.hexdigest())
        path, temporary = self.path, self.path / f"{name}.{os.getpid()}.tmp"
        stream: _DigestingStream
        with _flushed(temporary, lambda: path / name_of(stream.digest.hexdigest())) as opened:
            stream = _DigestingStream(opened)
            write(stream)
        digest = stream.digest.hexdigest()
        return Written(name=name_of(digest), size=stream.size, sha256=digest)

    def flush(self, folder: str) -> None:
        """Put the names of the files in `folder`, and its own, on the local disk; elsewhere this does nothing."""
        if self.path is not None:
            place = self.path / self.held(folder)
            for each in (place, place.parent):
                with contextlib.suppress(OSError):  # some file systems have no such thing for folders
                    opened = os.open(each, os.O_RDONLY)
                    try:
                        os.fsync(opened)
                    finally:
                        os.close(opened)

    def sizes(self, folder: str, ending: str = "") -> dict[str, int]:
        """Name -> bytes of each file in `folder`, "" for this one, and below, sorted; empty if it is missing."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self.held(folder) if folder else "", recursive=True, allow_not_found=True)
        found = [f for f in self.filesystem.get_file_info(selector) if f.type == FileType.File]
        return {f.path: f.size for f in sorted(found, key=lambda f: f.path) if f.path.endswith(ending)}

    def names(self, folder: str, ending: str = "") -> list[str]:
        """Sorted names of all files in `folder` and its subfolders; empty if the folder is missing."""
        return list(self.sizes(folder, ending))

    def delete(self, name: str) -> None:
        """Delete a file. Raises OSError if it cannot be deleted, DataError if links make it lie outside."""
        self.held(name)
        if self.path is not None:
            folder = os.path.realpath((self.path / name).parent)
            if not Path(folder).is_relative_to(os.path.realpath(self.path)):
                raise DataError(f"{self.uri}: {name} is behind a link to {folder}, outside, so it is not deleted")
        self.filesystem.delete_file(name)

    def delete_empty(self, folder: str) -> None:
        """Delete a folder of a disk if nothing is in it; object stores have none."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                (self.path / self.held(folder)).rmdir()


class _DigestingStream(io.RawIOBase):
    """Counts and hashes what is written through it."""

    def __init__(self, stream: Any):
        self.stream, self.size, self.digest = stream, 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.stream.write(view)
        self.digest.update(view)
        self.size += view.nbytes
        return view.nbytes


def release_free_memory() -> None:
    """Give memory that was freed back to the system, which glibc otherwise keeps; elsewhere this does nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

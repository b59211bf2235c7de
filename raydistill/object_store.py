"""A folder in an object store (s3://, gs://), asked in such a way that every failure is one clear line.

Connections that drop are tried again for some time; what will not get better by itself (no access, no such bucket,
expired credentials) is reported at once. Secrets come from the environment or the machine's role, and are in no
message: addresses with a secret are refused (`config/secrets.py`).
"""

import contextlib
import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from raydistill.errors import DataError, one_line
from raydistill.files import Folder

T = TypeVar("T")

PATIENCE_S = 90.0
"""How long a job tries again to reach a store that does not answer."""
PROBE = ".raydistill-probe"
"""A file that is written and deleted, to see whether this is possible."""
_CAUSES = (
    (
        "expired|REQUEST_EXPIRED",
        "the credentials have expired; renew them (for example `aws sso login`), then run the same command again",
    ),
    (
        "ACCESS_DENIED|Access ?Denied|FORBIDDEN|HTTP response code 403",
        "access is denied; the credentials or the role of this machine must be allowed to list, read, write and delete "
        "there",
    ),
    (
        "INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT|invalid_grant",
        "the store does not accept these credentials; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        "NO_SUCH_BUCKET|NoSuchBucket|[Bb]ucket .*(?:not found|does not exist)",
        "there is no such bucket; create it first",
    ),
    ("PermanentRedirect|301|region", "the bucket is in another region; add ?region=NAME to the address"),
)
_UNREACHABLE = "the store cannot be reached"


class StorageError(DataError):
    """An object store has refused a request, or does not answer."""


@dataclass(frozen=True)
class StoredFile:
    """A file in an object store."""

    name: str
    """Relative to the folder."""
    size: int
    """Bytes."""
    mtime_ns: int
    """When it was written, by the clock of the store."""


@dataclass(frozen=True)
class StoredFolder:
    """A folder in an object store. Every method raises StorageError if the store refuses, or does not answer."""

    uri: str

    @property
    def _folder(self) -> Folder:
        return _opened(self.uri)

    def list(self, name: str = "", patience_s: float = PATIENCE_S) -> dict[str, StoredFile]:
        """Name -> file, of all files below a folder; empty if there is none."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(name, recursive=True, allow_not_found=True)
        infos = self._ask(lambda: self._folder.filesystem.get_file_info(selector), patience_s)
        files = (i for i in infos if i.type == FileType.File)
        return {i.path: StoredFile(i.path, i.size, i.mtime_ns or 0) for i in files}

    def about(self, names: Sequence[str], patience_s: float = PATIENCE_S) -> dict[str, StoredFile]:
        """Name -> file, of these files."""
        from pyarrow.fs import FileType

        infos = self._ask(lambda: self._folder.filesystem.get_file_info(list(names)), patience_s)
        return {i.path: StoredFile(i.path, i.size, i.mtime_ns) for i in infos if i.type == FileType.File}

    def check(self) -> None:
        """Write and delete a file: a list is empty also where there is no bucket."""
        self._ask(lambda: self._folder.filesystem.open_output_stream(PROBE).close(), 0.0)
        self.delete(PROBE)

    def read(self, name: str, patience_s: float = PATIENCE_S) -> bytes | None:
        """The content of a file; None if there is none."""

        def read() -> bytes | None:
            try:
                return self._folder.read(name)
            except FileNotFoundError:
                return None

        return self._ask(read, patience_s)

    def write(self, name: str, content: bytes, patience_s: float = PATIENCE_S) -> None:
        """Write a file, which is visible when it is whole."""
        self._ask(lambda: self._folder.write(name, content), patience_s)

    def upload(self, file: Path, name: str, patience_s: float = PATIENCE_S) -> None:
        """Write a file of this machine."""

        def upload() -> None:
            with open(file, "rb") as source, self._folder.filesystem.open_output_stream(name) as stream:
                while block := source.read(1 << 22):
                    stream.write(block)

        self._ask(upload, patience_s)

    def download(self, stored: StoredFile, to: Path) -> None:
        """Write the content of a file to `to`, which need not be there."""

        def download() -> None:
            size = 0
            with self._folder.filesystem.open_input_stream(stored.name) as stream, open(to, "wb") as file:
                while block := stream.read(1 << 22):
                    size += file.write(block)
            if size != stored.size:
                raise OSError(f"{stored.name} ended after {size} of {stored.size} bytes: network connection")

        self._ask(download)

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is none to delete."""

        def delete() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._folder.filesystem.delete_file(name)

        self._ask(delete)

    def _ask(self, action: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
        """Do something with the store, again after an error that may pass."""
        end, pause = time.monotonic() + patience_s, 0.5
        while True:
            try:
                return action()
            except OSError as err:
                if err.filename is not None:  # of this machine's disk
                    raise
                cause = cause_of(err)
                if not cause.startswith(_UNREACHABLE) or time.monotonic() + pause > end:
                    raise StorageError(f"{without_options(self.uri)}: {cause}") from None
            time.sleep(pause)
            pause = min(2 * pause, 10.0)


def is_uri(text: str) -> bool:
    """Whether a text is the address of a folder in an object store, and not a path."""
    return "://" in text and not text.startswith("file://")


def below(uri: str, name: str) -> str:
    """The address of a folder in another one; options at the end (`?region=...`) stay there."""
    address, mark, options = uri.partition("?")
    return f"{address.rstrip('/')}/{name}{mark}{options}"


def without_options(uri: str) -> str:
    """The address for people."""
    return uri.partition("?")[0]


def cause_of(err: OSError) -> str:
    """Why a store has refused a request, and the way out, in one line."""
    text = one_line(err)
    words = next((words for pattern, words in _CAUSES if re.search(pattern, text)), None)
    return words or f"{_UNREACHABLE} ({text[:300]}); check the network and the address"


@functools.cache
def _opened(uri: str) -> Folder:
    # Small files are then one request each, and not the three of a file in several parts.
    delayed = f"{'&' if '?' in uri else '?'}allow_delayed_open=true" if uri.startswith("s3://") else ""
    return Folder(uri + delayed)

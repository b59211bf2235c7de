"""What a recording's files contain, as digests: of each named file, and of those that it links to."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydistill.files import sha256_of
from raydistill.recordings.linked import checked_links
from raydistill.recordings.remote import Remote
from raydistill.store.catalogue import Entry


@dataclass(frozen=True)
class Content:
    """The content of one named file and of the files that it links to."""

    digest: str
    """sha256 of a local file; for a remote file, which is not downloaded, the server's identifier of its content."""
    linked: tuple[tuple[Path, str | None], ...] = ()
    """Each linked file and its sha256, in the order of the links; None: there is no such file."""

    @property
    def identity(self) -> str | list[str | None]:
        """What enters a fingerprint. Where files are, and what they are called, does not."""
        return [self.digest, *(digest for _, digest in self.linked)] if self.linked else self.digest

    @property
    def missing(self) -> list[Path]:
        """The linked files that are not there."""
        return [path for path, digest in self.linked if digest is None]


@dataclass(frozen=True)
class StoredContent:
    """What tells whether a stored session is made from the content of a new recording."""

    session: str
    fingerprint: str
    digests: frozenset[str]
    """Of its files."""

    @classmethod
    def of(cls, entry: Entry) -> "StoredContent":
        """That of an entry of the store."""
        return cls(entry.session, entry.fingerprint, frozenset(entry.sources.values()))


def content_of(path: Path | Remote, allowed: Iterable[Path] = ()) -> Content:
    """Read a file, and those that it links to, for their digests. The links of remote files are not followed.

    Args:
        allowed: where links may lead, see `checked_links`.

    Raises:
        DataError: a link leads somewhere else.
    """
    if isinstance(path, Remote):
        return Content(path.identity())
    linked = tuple((file, sha256_of(file) if file.is_file() else None) for file in checked_links(path, allowed))
    return Content(sha256_of(path), linked)


def sources(files: Sequence[Path | Remote], contents: Sequence[Content]) -> dict[str, str]:
    """Name -> digest of every file that exists, as stored with a session; a name is relative to the main file's folder.

    Args:
        files: the main file first.
        contents: one per file.
    """
    digests: dict[str, str] = {}
    for file, content in zip(files, contents, strict=True):
        digests[_name(file, files[0])] = content.digest
        digests |= {_name(path, files[0]): digest for path, digest in content.linked if digest is not None}
    return digests


def _name(file: Path | Remote, main: Path | Remote) -> str:
    if file == main:
        return main.name
    if isinstance(file, Remote) or isinstance(main, Remote):
        return str(file)
    return Path(os.path.relpath(file, main.parent)).as_posix()

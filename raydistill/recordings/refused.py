"""Recordings that are refused before any of them is read: a file is not here, or another session has its content.

One recording under two names would be trained on as one session and tested on as the other, so neither is stored.
"""

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from raydistill.config.fingerprint import fingerprint
from raydistill.files import sha256_of
from raydistill.recordings.planning.unfetched import why_absent
from raydistill.recordings.recording import Recording

_END_BYTES = 1 << 16


def refused(recordings: list[Recording]) -> dict[str, str]:
    """Session -> why it cannot be ingested, in one line; only those that cannot. Remote files are checked later."""
    causes: dict[str, str] = {}
    for recording in recordings:
        for path in recording.files:
            if isinstance(path, Path) and (why := _unusable(path)):
                causes.setdefault(recording.name, f"{path}: {why}")
    return causes | _equal([r for r in recordings if r.name not in causes])


def _unusable(path: Path) -> str | None:
    try:
        return why_absent(path)
    except OSError as err:
        return err.strerror


def _equal(recordings: list[Recording]) -> dict[str, str]:
    """The recordings that are the same part, read in the same way, of main files with equal content.

    Content is compared from its size on, so that hardly any file but those that are equal is read as a whole.
    """
    mains = [(r, r.files[0]) for r in recordings]
    groups = [[(r, main) for r, main in mains if isinstance(main, Path)]]
    for key in (_what_is_read, _size, _ends, _sha256):
        groups = [group for each in groups for group in _grouped(each, key)]
    causes = {}
    for group in groups:
        for recording, path in group:
            other, other_path = next(pair for pair in group if pair[0] is not recording)
            causes[recording.name] = (
                f"{path}: the same recording as {other_path} (session {other.name}); keep one of them, or describe in "
                "a manifest which part (`interval`) is which session"
            )
    return causes


_Named: TypeAlias = tuple[Recording, Path]  # a recording and its main file


def _grouped(named: list[_Named], key: Callable[[Recording, Path], object]) -> list[list[_Named]]:
    """Groups of at least two recordings of one key. A file that cannot be read is in none; reading it tells why."""
    groups = defaultdict(list)
    for recording, path in named:
        with contextlib.suppress(OSError):
            groups[key(recording, path)].append((recording, path))
    return [group for group in groups.values() if len(group) > 1]


def _what_is_read(recording: Recording, path: Path) -> str:
    source = recording.source
    return fingerprint([source.layout, source.part, source.options])


def _size(recording: Recording, path: Path) -> int:
    """Of a folder, that of all files in it."""
    if path.is_dir():
        return sum(inside.stat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.stat().st_size


def _ends(recording: Recording, path: Path) -> bytes:
    """Digest of the first and the last 64 KiB of a file."""
    if path.is_dir():
        return b""
    with open(path, "rb") as file:
        head = file.read(_END_BYTES)
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        return hashlib.sha256(head + file.read()).digest()


def _sha256(recording: Recording, path: Path) -> str:
    return sha256_of(path)

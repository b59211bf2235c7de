"""Recordings that are refused before any of them is read: a file is not here, or another session has its content.

One recording under two names would be trained on as one session and tested on as the other, so neither is stored.
"""

import contextlib
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from raydistill.config.fingerprint import fingerprint
from raydistill.files import sha256_of, size_of
from raydistill.recordings.layouts import LAYOUTS
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


def overlapping(recordings: list[Recording]) -> dict[str, str]:
    """Session -> a note, for those that use a time of a file that another one of these uses as well.

    Files of arrays are left aside, because they may hold several sessions under different names.
    """
    by_file = defaultdict(list)
    for recording in (r for r in recordings if LAYOUTS[r.source.layout].describes_itself):
        by_file[os.path.realpath(str(recording.path)), recording.source.part].append(recording)
    notes = {}
    for group in by_file.values():
        for recording in group:
            others = [o.name for o in group if o is not recording and _share_time(o, recording)]
            if others:
                notes[recording.name] = (
                    f"session {', '.join(others)} uses a part of the same time of its file; do not train on one and "
                    "test on the other"
                )
    return notes


def _share_time(one: Recording, other: Recording) -> bool:
    """Whether two recordings of a file use some of the same time. Rows of tables are not known before they are read."""
    first, second = (getattr(r.source.options, "intervals", ()) for r in (one, other))
    if not first or not second:
        return True
    known = [[i.seconds for i in intervals if i.table is None] for intervals in (first, second)]
    return any(max(a[0], b[0]) < min(a[1], b[1]) for a in known[0] for b in known[1])


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
    return size_of(path)


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

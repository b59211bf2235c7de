"""The marker of a complete folder: size and sha256 of each of its files, written after all of them.

A folder without a marker is not complete. A file whose content differs from the marker is damaged: bits that changed
on the disk, an edit by hand, or a write that was cut off.
"""

import os
import stat
from pathlib import Path

from raydistill.files import read_mapping, sha256_of, write_json

MARKER = "_SUCCESS"
ELSEWHERE = ".elsewhere"
"""Name -> bytes of the files that are only in the object store of which this folder is a copy (`mirrored.py`)."""
SMALL = 4_000_000
"""Bytes up to which a file is read at every check; larger ones only where all of the folder is checked. Measured on one
busy core: sha256 reads 0.5 GB/s, so that the weights of 200 models of 40 MB would hold up each `plan` for 16 s."""

_digests: dict[tuple[str, int, int, int], str] = {}
"""(file, size, time of change in ns, inode) -> sha256, so that one command reads an unchanged file once."""


def write_marker(folder: Path) -> None:
    """Write the marker, with every file of the folder except hidden ones."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", MARKER)))
    write_json(folder / MARKER, {"files": {p.name: {"size": p.stat().st_size, "sha256": sha256_of(p)} for p in files}})


def marked_digest(folder: Path, name: str) -> str | None:
    """The sha256 of a file according to the marker ("" if there was no such file); None without a readable marker."""
    marks = _read(folder)
    return None if marks is None else marks.get(name, {}).get("sha256", "")


def damage(folder: Path, everything: bool = False) -> str:
    """What is wrong with a complete folder, such as "metrics.json is damaged"; "" if nothing is.

    Args:
        everything: read large files too, instead of comparing only their sizes.
    """
    marks = _read(folder)
    if marks is None:
        return f"{MARKER} is missing or damaged"
    return next((problem for name in marks if (problem := _damage_of(folder, name, marks[name], everything))), "")


def damage_of(folder: Path, *names: str) -> str:
    """As `damage`, of these files only, whatever their sizes; "" also for a folder without a marker."""
    marks = _read(folder) if (folder / MARKER).exists() else {}
    if marks is None:
        return f"{MARKER} is damaged"
    return next((p for name in names if name in marks and (p := _damage_of(folder, name, marks[name], True))), "")


def _read(folder: Path) -> dict[str, dict] | None:
    marks = (read_mapping(folder / MARKER) or {}).get("files")
    if not isinstance(marks, dict) or not all(isinstance(mark, dict) for mark in marks.values()):
        return None
    return marks


def _damage_of(folder: Path, name: str, mark: dict, everything: bool) -> str:
    if not name or Path(name).name != name or name.startswith("."):
        return f"{MARKER} names the file {name!r}, which is not one of the folder"
    file = folder / name
    try:
        about = os.lstat(file)
    except OSError:
        elsewhere = (read_mapping(folder / ELSEWHERE) or {}).get(name)
        return "" if elsewhere is not None and elsewhere == mark.get("size") else f"{name} is missing"
    if not stat.S_ISREG(about.st_mode):  # a link may lead out of the folder, and reading from a pipe never ends
        return f"{name} is not a regular file"
    if about.st_size != mark.get("size"):
        return f"{name} is damaged: it has {about.st_size} bytes, and had {mark.get('size')} when it was written"
    if (everything or about.st_size <= SMALL) and _sha256(file, about) != mark.get("sha256"):
        return f"{name} is damaged: its content is not the one that was written"
    return ""


def _sha256(file: Path, about: os.stat_result) -> str:
    """The sha256 of a file; "" if it cannot be read."""
    known = (os.path.abspath(file), about.st_size, about.st_mtime_ns, about.st_ino)
    if known not in _digests:
        try:
            _digests[known] = sha256_of(file)
        except OSError:
            return ""
    return _digests[known]

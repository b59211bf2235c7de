"""Folders searched for recordings: which files count, each once, and what could not be searched.

Hidden files and folders (`.git/annex`, `.ipynb_checkpoints`, `._rec.nwb`) are left out. Linked folders are searched
too, each folder once, and a link to a folder that contains the link is not followed. A folder in the Zarr format counts
as one file. A file that is reached by several ways counts once, at its own place if that was searched. A link whose
file is not there counts as a file, so that the recording is planned and fails with the cause (`unfetched.py`) and is
not missing without a word.
"""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raydistill.recordings.planning.unfetched import NO_FILE, is_file_or_folder

_FOLDER_THAT_IS_A_FILE = ".zarr"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The result of a search."""

    files: tuple[Path, ...]
    """Each file once, sorted. A link whose target does not exist is among them."""
    repeated: tuple[tuple[Path, Path], ...]
    """(link, file): links of another name to one of the files; they are left out."""
    unsearched: tuple[str, ...]
    """One line for each place that could not be searched, with the way out."""


def files_below(folder: Path, matches: Callable[[str], object]) -> list[Path]:
    """The files anywhere in a folder whose name matches, each once, sorted.

    Args:
        matches: whether a file's name is one of those wanted, such as `re.compile(...).fullmatch`.
    """
    return list(search(folder, matches).files)


def search(folder: Path, matches: Callable[[str], object]) -> Found:
    """Search a folder and the folders below it, see the top of this file."""
    unsearched: list[str] = []
    places: dict[str, list[Path]] = {}  # the resolved path of a file -> all paths that lead to it
    for path in _walk(Path(folder), unsearched):
        if matches(path.name):
            if is_file_or_folder(path) or _is_dangling(path):
                places.setdefault(os.path.realpath(path), []).append(path)
            else:
                unsearched.append(f"{path}: {NO_FILE}")
    files: list[Path] = []
    repeated: list[tuple[Path, Path]] = []
    for paths in places.values():
        kept = _once(paths)
        files += kept
        repeated += [(p, kept[0]) for p in paths if p.name not in {k.name for k in kept}]
    return Found(files=tuple(sorted(files)), repeated=tuple(sorted(repeated)), unsearched=tuple(unsearched))


def _once(paths: list[Path]) -> list[Path]:
    """Which of the paths of one file count: the file itself, or else one link of each name.

    Two names for one file outside the folder are two recordings of equal content, which `refused.py` refuses.
    """
    own = [path for path in paths if not path.is_symlink()]
    if own:
        return own[:1]
    return list({path.name: path for path in sorted(paths, reverse=True)}.values())


def _walk(folder: Path, unsearched: list[str]) -> Iterator[Path]:
    """Everything that is not a folder: first what is below real folders, which is at its own place, then the rest."""
    real, linked, searched = [folder], deque[Path](), set()
    while real or linked:
        place = real.pop() if real else linked.popleft()
        if (resolved := os.path.realpath(place)) in searched:
            continue
        searched.add(resolved)
        try:
            names = sorted(name for name in os.listdir(place) if not name.startswith("."))
        except OSError as err:
            unsearched.append(f"{place}: this folder cannot be searched ({err.strerror}); allow reading it or move it")
            continue
        unsearched += _not_installed(place)
        for path in (place / name for name in names):
            if not os.path.isdir(path) or path.suffix.lower() == _FOLDER_THAT_IS_A_FILE:
                if _is_dangling(path) and not path.suffix:
                    unsearched.append(f"{path}: a link to {os.readlink(path)}, which is not there; mount or mend it")
                yield path
            elif not path.is_symlink():
                real.append(path)
            elif not _contains(path, place):
                linked.append(path)


def _contains(link: Path, place: Path) -> bool:
    """Whether a link leads to a folder that `place` is in."""
    return Path(os.path.realpath(place)).is_relative_to(os.path.realpath(link))


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and not os.path.exists(path)


def _not_installed(place: Path) -> list[str]:
    """One line for each dataset of Git or DataLad within the dataset in a folder that is still an empty folder."""
    try:
        text = (place / ".gitmodules").read_text(errors="replace")
        paths = [place / name for name in re.findall(r"^\s*path\s*=\s*(.+?)\s*$", text, re.MULTILINE)]
        absent = [path for path in paths if path.is_dir() and not os.listdir(path)]
    except OSError:
        return []
    return [f"{p}: this part of the dataset is not installed; run `datalad get {p}` and search again" for p in absent]

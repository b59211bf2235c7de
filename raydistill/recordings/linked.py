"""Files that HDF5 files (NWB, MATLAB 7.3) link to, found from the links alone; no values are read.

HDF5 has three ways to keep a part of a file in another one: external links, virtual datasets, and datasets whose
values lie in raw files. All of them count, whether or not a reader uses them.

A file from a stranger could so pull any file of this machine into a store. A link may therefore lead only to the folder
of its file and the folders below, and to those that the user named. Symbolic links are followed wherever they lead,
because datasets of git-annex consist of them.
"""

import contextlib
import os
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from raydistill.errors import DataError

if TYPE_CHECKING:
    import h5py

# MATLAB may keep 100 000 small datasets here, and never any in another file: readers refuse one (`matlab73.check_own`).
_MATLAB_CELLS = b"#refs#/"
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError)  # by which h5py reports it; readers tell the user


def linked_files(path: Path) -> tuple[Path, ...]:
    """The files that an HDF5 file links to, directly or through others, each once, in the order of the links' names.

    Files that do not exist are among them. A file that is damaged, or not HDF5, links to nothing.
    """
    found: dict[str, Path] = {}
    files = [path]
    for file in files:  # which grows in the loop
        for linked in _linked_by(file):
            resolved = os.path.realpath(linked)
            if resolved not in found and resolved != os.path.realpath(path):
                found[resolved] = linked
                files.append(linked)
    return tuple(found.values())


def checked_links(path: Path, allowed: Iterable[Path] = ()) -> tuple[Path, ...]:
    """The files that a file links to, as `linked_files`, after `check_links`."""
    links = linked_files(path)
    check_links(path, links, allowed)
    return links


def check_links(path: Path, links: Iterable[Path], allowed: Iterable[Path] = ()) -> None:
    """Check where the links of a file lead.

    Args:
        links: the `linked_files` of the file.
        allowed: files and folders to which links may lead, besides the folder of the file.

    Raises:
        DataError: one is somewhere else, or is a pipe or a device.
    """
    places = [Path(os.path.abspath(path)).parent, Path(os.path.realpath(path)).parent]
    places += [Path(way(place)) for place in allowed for way in (os.path.abspath, os.path.realpath)]
    for linked in links:
        absolute = Path(os.path.abspath(linked))
        if not any(absolute.is_relative_to(place) for place in places):
            raise DataError(
                f"{path}: it links to {linked}, outside of its folder; if that belongs to the recording, allow it with "
                f"`links: [{absolute.parent}]` in the manifest (or `--set links={absolute.parent}`), or move it there"
            )
        if linked.exists() and not (linked.is_file() or linked.is_dir()):
            raise DataError(f"{path}: it links to {linked}, which is a pipe or a device, not a file")


def may_link(path: Path) -> bool:
    """Whether a file is HDF5, by its signature alone."""
    import h5py

    with contextlib.suppress(*_DAMAGE):
        return path.is_file() and bool(h5py.is_hdf5(path))
    return False


def _linked_by(path: Path) -> list[Path]:
    import h5py

    names: dict[str, None] = {}
    with contextlib.suppress(*_DAMAGE):
        if not may_link(path):
            return []
        with h5py.File(path, "r") as file:
            _collect(file, names)
    return [_located(path, each) for name in names for each in _numbered(path, name)]


def _collect(file: "h5py.File", names: dict[str, None]) -> None:
    """Add the names of files, as written in the links."""
    import h5py

    seen: set = set()
    datasets: list[bytes] = []

    def see(name: bytes, link) -> None:
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            names[os.fsdecode(file.id.links.get_val(name)[0])] = None
        elif link.type == h5py.h5l.TYPE_HARD and not name.startswith(_MATLAB_CELLS) and link.u not in seen:
            seen.add(link.u)
            datasets.append(name)

    file.id.links.visit(see, info=True)
    for name in datasets:
        with contextlib.suppress(*_DAMAGE):  # one damaged object does not hide the links of the others
            node = h5py.h5o.open(file.id, name)
            if isinstance(node, h5py.h5d.DatasetID):
                names.update(dict.fromkeys(_files_of(node)))


def _files_of(dataset: "h5py.h5d.DatasetID") -> list[str]:
    """Names of the files that hold the values of a dataset; empty: its own file."""
    import h5py

    plist = dataset.get_create_plist()
    layout = plist.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        sources = [plist.get_virtual_filename(i) for i in range(plist.get_virtual_count())]
        return [name for name in sources if name != "."]
    if layout == h5py.h5d.CONTIGUOUS:
        return [os.fsdecode(plist.get_external(i)[0]) for i in range(plist.get_external_count())]
    return []


def _numbered(path: Path, name: str) -> list[str]:
    """The names that a name stands for: in a virtual dataset without end, `%b` is the number of a block, from 0."""
    if "%b" not in name:
        return [name]
    names = (name.replace("%b", str(i)) for i in count())
    existing = []
    while _located(path, following := next(names)).exists():
        existing.append(following)
    return existing


def _located(path: Path, name: str) -> Path:
    """Where HDF5 finds the file that a link of the file `path` names; if it is nowhere, where it is expected.

    An absolute name that does not exist is searched for next to the file, as after a move; so is, if the file itself
    is a link, what is next to the file that it leads to.
    """
    folders = [path.parent, Path(os.path.realpath(path)).parent]
    names = [name, os.path.basename(name)] if os.path.isabs(name) else [name]
    candidates = [folder / each for each in names for folder in folders]  # an absolute name replaces the folder
    return next((candidate for candidate in candidates if candidate.exists()), candidates[0])

"""Open an NWB 2 file, with what in it cannot be read left out and told.

pynwb builds all objects of a file at once, and stops at the first that does not follow the format: a series without a
clock would make the units beside it unreadable. Here such an object is taken out of the tree of groups and datasets,
and the rest is built without it.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.errors import DataError, of_library, one_line, suggest
from raydistill.recordings.files.plugins import opened
from raydistill.recordings.readers.nwb_parts.zarr import is_zarr, zarr_reader
from raydistill.recordings.remote import Remote

_REQUIRED = (  # without them pynwb builds nothing
    *("identifier", "session_description", "session_start_time", "timestamps_reference_time", "file_create_date"),
)
_MOST_OMITTED = 200  # a file with more unreadable objects is damaged as a whole
_MOST_LISTED = 4
_LONGEST = 160  # characters of an explanation by pynwb


@dataclass(frozen=True, kw_only=True)
class NwbContent:
    """The objects of an open NWB file, by their path in it, such as processing/ecephys/LFP/lfp."""

    nwb: Any
    """The `pynwb.NWBFile`."""
    objects: dict[str, Any]
    """All containers of the file."""
    omitted: dict[str, str] = field(default_factory=dict)
    """Path -> why the object there could not be read, in a few words."""

    links: dict[str, str] = field(default_factory=dict)
    """Path of each link under another name -> path of the object that it names."""

    def resolved(self, path: str) -> str:
        """The path of the object that a path names, without slashes at its ends and with links followed."""
        path = path.strip("/")
        for link, target in self.links.items():
            if f"{path}/".startswith(f"{link}/"):
                return target + path[len(link) :]
        return path

    def of_kind(self, kind: type | tuple[type, ...]) -> dict[str, Any]:
        """The objects of some class, by path."""
        return {path: item for path, item in self.objects.items() if isinstance(item, kind)}

    def missing(self, what: str, path: str, known) -> DataError:
        """The error for a path at which there is nothing of a kind.

        Args:
            what: the kind and the setting that names it, such as "series for `lfp`".
            known: paths of the objects of this kind.
        """
        for place, cause in self.omitted.items():
            if f"{path}/".startswith(f"{place}/"):
                return DataError(f"{place} {cause}")
        return DataError(f'there is no {what} at "{path}"{suggest(path, known)}')


def listed(words) -> str:
    """Words with commas between them, the first few by name and the others as a number."""
    words = list(words)
    more = len(words) - _MOST_LISTED
    return ", ".join(words) if more <= 0 else f"{', '.join(words[:_MOST_LISTED])} and {more} more"


@contextmanager
def open_content(path: Path | Remote) -> Iterator[NwbContent]:
    """Yield the content of an NWB 2 file, whose datasets can be read while the context is open.

    Raises:
        DataError: the file is neither HDF5 nor Zarr, or not NWB 2.
    """
    from hdmf.backends.warnings import BrokenLinkWarning

    with _file(path) as (reader, file):
        try:
            with warnings.catch_warnings(record=True) as warned:
                # The other warnings are about versions of the format, about values that pynwb fills in, and about
                # shapes that the readers check themselves.
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", BrokenLinkWarning)
                io = reader()
                nwb, omitted, targets = _built(io)
                objects = _by_path(nwb)
                places = {id(item): path for path, item in objects.items()}
                links = {link: places[id(item)] for link, item in targets.items() if id(item) in places}
                content = NwbContent(
                    nwb=nwb,
                    objects=objects,
                    omitted=_broken_links(file, warned) | omitted,
                    links={link: path for link, path in links.items() if link != path},
                )
        except Exception as err:
            raise DataError(f"{path}: cannot be read as NWB 2 ({_cause(err)})") from err
        with io, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield content


@contextmanager
def _file(path: Path | Remote):
    """Yield a function that opens a file with pynwb, and the h5py.File; None in its place: it is a Zarr folder."""
    import pynwb

    if isinstance(path, Path) and is_zarr(path):
        with zarr_reader(path) as reader:
            yield reader, None
        return
    with _hdf5(path) as file:
        yield lambda: pynwb.NWBHDF5IO(file=file, mode="r", load_namespaces=_has_extensions(file)), file


@contextmanager
def _hdf5(path: Path | Remote):
    with path.opened() if isinstance(path, Remote) else nullcontext(path) as place:
        try:
            file = opened(place)
        except Exception as err:
            raise DataError(f"{path}: not a readable NWB file ({one_line(err)})") from err
        with file:
            yield file


def _has_extensions(file) -> bool:
    """Whether the file defines types beyond those of the NWB schema, of which pynwb uses its own definitions."""
    specifications = file.get("specifications")
    return specifications is None or not set(specifications) <= {"core", "hdmf-common", "hdmf-experimental"}


def _built(io) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """The NWBFile; path -> cause of the objects left out so that it could be built; path of a link -> its object."""
    from hdmf.build import BuildManager

    _check_version(io)
    root = io.read_builder()
    if absent := [name for name in _REQUIRED if name not in root.datasets]:
        raise DataError(f"it has no {' and no '.join(absent)}, which every NWB file must have; add it with h5py")
    _make_numbers_float(root)
    omitted: dict[str, str] = {}
    while True:
        manager = BuildManager(io.manager.type_map)
        unfinished: list = []  # builders that raised, the innermost first
        _record_failures(manager, unfinished)
        try:
            return manager.construct(root), omitted, dict(_linked(root, manager))
        except Exception as err:
            broken = next((b for b in unfinished if b.parent is not None and _path_of(b) not in omitted), None)
            if broken is None or len(omitted) >= _MOST_OMITTED:
                raise
            omitted[_path_of(broken)] = f"cannot be read ({_cause(err)})"
            _take_out(root, broken)


def _check_version(io) -> None:
    """Raise DataError unless the file follows version 2 of the format, as those in the Zarr format all do."""
    text, version = getattr(io, "nwb_version", ("2", (2,)))
    if version is None or version[0] < 2:
        raise DataError(f"its nwb_version is {text}" if version else "it has no nwb_version")


def _linked(group, manager) -> Iterator[tuple[str, Any]]:
    """(path, object) of each link to an object in a tree of builders."""
    for name, link in group.links.items():
        if "neurodata_type" in link.builder.attributes:
            yield f"{_path_of(group)}/{name}".removeprefix("root/"), manager.construct(link.builder)
    for child in group.groups.values():
        yield from _linked(child, manager)


def _make_numbers_float(group) -> None:
    """Let rates and scale factors that were written as whole numbers be floats, as pynwb demands."""
    for name, attributes in (("starting_time", ("rate",)), ("data", ("conversion", "offset", "resolution"))):
        own = group.datasets[name].attributes if name in group.datasets else {}
        for key in attributes:
            if isinstance(own.get(key), int | np.integer):
                own[key] = float(own[key])
    for child in group.groups.values():
        _make_numbers_float(child)


def _record_failures(manager, unfinished: list) -> None:
    """Let the manager append to `unfinished` each builder whose object it could not construct."""
    construct = manager.construct

    def recorded(builder, **options):
        try:
            return construct(builder, **options)
        except Exception:
            unfinished.append(getattr(builder, "target", builder))
            raise

    manager.construct = recorded


def _path_of(builder) -> str:
    return f"{builder.location}/{builder.name}".strip("/")


def _take_out(group, broken) -> None:
    """Remove a builder, and the links to it, from a tree of builders."""
    for members in (group.groups, group.datasets, group.links):
        for name in [n for n, member in members.items() if getattr(member, "target", member) is broken]:
            del members[name], group.obj_type[name]
    for child in group.groups.values():
        _take_out(child, broken)


def _cause(err: BaseException) -> str:
    """Why an object could not be constructed, without the contents of the file that hdmf adds."""
    inner = err.__cause__ if len(err.args) == 2 and err.__cause__ is not None else err
    text = of_library(inner) if isinstance(inner, Exception) else type(inner).__name__
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>| at (?:0x)?[0-9a-f]{9,}", r"\1", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _by_path(nwb) -> dict[str, Any]:
    """All containers with their path, which for those in linked files is the path of the link."""
    sections = {
        "acquisition": nwb.acquisition,
        "analysis": nwb.analysis,
        "scratch": nwb.scratch,
        "processing": nwb.processing,
        "stimulus/presentation": nwb.stimulus,
        "stimulus/templates": nwb.stimulus_template,
        "intervals": nwb.intervals,
    }
    places = {id(item): section for section, items in sections.items() for item in (items or {}).values()}
    places |= {id(table): "intervals" for table in (nwb.trials, nwb.epochs, nwb.invalid_times) if table is not None}

    def path_of(item) -> str:
        names = []
        while item is not None and item is not nwb:
            names.append(item.name)
            top, item = item, item.parent
        return "/".join([places[id(top)], *reversed(names)] if id(top) in places else reversed(names))

    return {path_of(item): item for item in nwb.objects.values() if item is not nwb}


def _broken_links(file, warned) -> dict[str, str]:
    """Path -> cause of each link without a target, and of each damaged object, that hdmf warned about."""
    import h5py

    broken: dict[str, str] = {}
    if file is None:
        return broken
    for warning in warned:
        place = str(warning.message).rpartition(" at ")[2].strip("/")
        try:
            link = file.get(place, getlink=True)
        except KeyError:  # a link within a linked file
            link = None
        if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
            target = link.filename if isinstance(link, h5py.ExternalLink) else link.path
            broken[place] = f"is a link to {target}, which is not there"
        else:
            broken[place] = "cannot be read (it is damaged, or a link without a target)"
    return broken

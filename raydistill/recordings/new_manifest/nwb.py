"""What an NWB file holds, from its groups and attributes, without reading its series."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.files.plugins import load_plugins
from raydistill.recordings.new_manifest.names import BEHAVIOR, LFP, says
from raydistill.recordings.new_manifest.parts import FileContent
from raydistill.recordings.new_manifest.text import Line, Section, choice, number, option
from raydistill.recordings.new_manifest.values import period_of
from raydistill.recordings.readers import nwb as nwb_layout

_DEPTH = 8
_MOST = 5000
_RAW_RATE = 5000
"""Series at higher rates are raw voltages, which are rarely used as LFP."""
_NOT_BEHAVIOR = {
    *("ElectricalSeries", "ImageSeries", "IndexSeries", "AnnotationSeries", "DecompositionSeries"),
    *("OnePhotonSeries", "TwoPhotonSeries", "RoiResponseSeries", "SpikeEventSeries", "IntervalSeries"),
}
_QUALITY = ("quality", "group", "KSLabel", "cluster_group", "unit_type", "label")
_SAMPLE = 20_000


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series of an NWB file."""

    path: str
    kind: str
    in_lfp: bool
    """Whether it is in a container for LFP."""
    shape: tuple[int, ...]
    rate: float | None
    n_stamps: int | None
    unit: str
    period: float | None
    """Of the only column, if it looks like an angle."""

    @property
    def described(self) -> str:
        """The series in a few words."""
        clock = f"at {number(self.rate)} Hz" if self.rate is not None else f"with {self.n_stamps} time stamps"
        return f"{self.kind}, {' x '.join(map(str, self.shape))} values {clock}"


def nwb_content(path: Path, name: str, one_file: bool) -> FileContent:
    """What an NWB file holds, and which of it is used.

    Raises:
        DataError: the file is damaged or not NWB 2.
    """
    import h5py

    load_plugins()
    try:
        with h5py.File(path, "r") as file:
            return _content(file, name, one_file)
    except DataError as err:
        raise DataError(f"{path}: {err}") from err
    except Exception as err:  # h5py reports damage by exceptions of many kinds
        raise DataError(f"{path}: not a readable NWB file ({one_line(err)})") from err


def _content(file: Any, name: str, one_file: bool) -> FileContent:
    version = _text(file.attrs.get("nwb_version", ""))
    if not version.startswith("2"):
        raise DataError(f"not NWB 2, as its nwb_version is {version}" if version else "not NWB 2: no nwb_version")
    objects, lost = _objects(file)
    series = [s for path, kind, parent, node in objects if (s := _series(path, kind, parent, node)) is not None]
    lost += [
        f"{path}: {kind}, with neither a rate nor time stamps"
        for path, kind, _, node in objects
        if kind.endswith("Series") and "data" in node and not _has_clock(node)
    ]
    tables = {path: node for path, kind, _, node in objects if "start_time" in node and "stop_time" in node}
    units = {path: node for path, kind, _, node in objects if kind == "Units" or "spike_times" in node}
    where = "" if one_file else name
    spikes, filters = _spikes(units, where)
    lfp, behavior = _lfp(series, where), _behavior(series, where)
    used = {_path_of(line) for line in (lfp, behavior) if line}
    trials = next((p for p in tables if p.split("/")[-1] == "trials"), None)
    unused = [f"{s.path}: {s.described}" for s in series if s.path not in used]
    unused += [f"{p}: a table of intervals ({', '.join(_columns(t))})" for p, t in tables.items() if p != trials]
    return FileContent(
        file=name,
        kind=nwb_layout.LAYOUT.name,
        spikes=spikes,
        lfp=lfp,
        has_single_channel=any(lfp and s.path == _path_of(lfp) and s.shape[1:] in ((), (1,)) for s in series),
        behavior=behavior,
        trials=None if trials is None else _trials(trials, tables[trials], where),
        others=tuple(filters),
        unused=tuple(f"{'' if one_file else f'{name}: '}{text}" for text in [*unused, *lost]),
        states_subject="general/subject/subject_id" in file,
        words=frozenset([*(s.path for s in series), *tables, *units]),
    )


def _path_of(line: Line) -> Any:
    return line.value.get("values") if isinstance(line.value, Section) else line.value


# The objects of the file


def _objects(file: Any) -> tuple[list[tuple[str, str, str, Any]], list[str]]:
    """(path, type, type of the group around it, group) of each object, and a text for each that cannot be opened."""
    objects: list[tuple[str, str, str, Any]] = []
    lost: list[str] = []
    for path, parent, group in _groups(file, "", "", 0, lost):
        objects.append((path, _text(group.attrs.get("neurodata_type", "")), parent, group))
        if len(objects) >= _MOST:
            break
    return objects, lost


def _groups(group: Any, path: str, kind: str, depth: int, lost: list[str]) -> Iterator[tuple[str, str, Any]]:
    import h5py

    for name in group:
        below = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            continue  # the same object is found where it is
        try:
            node = group[name]
            inner = _text(node.attrs.get("neurodata_type", ""))
        except Exception as err:
            target = getattr(link, "filename", "")
            lost.append(f"{below}: cannot be opened{f', a link to {target}' if target else ''} ({one_line(err)})")
            continue
        if isinstance(node, h5py.Group):
            yield below, kind, node
            if depth < _DEPTH:
                yield from _groups(node, below, inner, depth + 1, lost)


def _series(path: str, kind: str, parent: str, group: Any) -> Series | None:
    data = group.get("data")
    if (
        data is None
        or not _has_clock(group)
        or not hasattr(data, "shape")
        or not path.startswith(("acqui", "proc", "anal"))
    ):
        return None
    if data.shape is None or data.dtype.kind not in "iuf" or not data.shape or 0 in data.shape:
        return None
    rate = group["starting_time"].attrs.get("rate") if "starting_time" in group else None
    sample = data[:_SAMPLE] if len(data.shape) == 1 or data.shape[1:] == (1,) else None
    return Series(
        path=path,
        kind=kind,
        in_lfp=parent == "LFP",
        shape=tuple(data.shape),
        rate=None if rate is None else float(rate),
        n_stamps=len(group["timestamps"]) if "timestamps" in group else None,
        unit=_text(data.attrs.get("unit", "")),
        period=None if sample is None else period_of(np.ravel(sample)),
    )


def _has_clock(group: Any) -> bool:
    return "timestamps" in group or "starting_time" in group


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


# What is used


def _spikes(units: dict[str, Any], file: str) -> tuple[Line | None, list[Line]]:
    with_times = {path: table for path, table in units.items() if "spike_times" in table and "id" in table}
    if not with_times:
        return None, []
    path = "units" if "units" in with_times else next(iter(with_times))
    table = with_times[path]
    others = [p for p in with_times if p != path]
    asks = (f"other tables of units: {', '.join(others)}",) if others else ()
    line = _named("spikes", "table", path, file, f"{len(table['id'])} units with spike times", asks)
    return line, _quality(table)


def _quality(table: Any) -> list[Line]:
    column = next((name for name in _QUALITY if name in table and table[name].shape == table["id"].shape), None)
    if column is None:
        return []
    counts = Counter(_text(value) for value in table[column][()])
    if not 1 < len(counts) <= 12:
        return []
    told = ", ".join(f"{n} {label or '(empty)'}" for label, n in counts.most_common())
    best = next((label for label in counts if label.lower() in ("good", "sorted")), counts.most_common(1)[0][0])
    asks = f"all units, or only some? {column}: {told}"
    return [choice("unit_filter", {"column": column, "keep": [best]}, asks)]


def _named(key: str, inner: str, path: str, file: str, guess: str, asks: tuple[str, ...], *lines: Line) -> Line:
    """A section that names an object of the file: only its path if nothing else needs to be written."""
    if not file and not lines:
        return Line(key=key, value=path, guess=guess, questions=asks)
    start = [Line(key="file", value=file)] if file else []
    named = Line(key=inner, value=path, guess=guess)
    return Line(key=key, value=Section((*start, named, *lines)), questions=asks)


def _lfp(series: list[Series], file: str) -> Line | None:
    electrical = [s for s in series if s.kind == "ElectricalSeries" and len(s.shape) <= 2]
    inside = [s for s in electrical if s.in_lfp or says(s.path, LFP - {"raw", "voltage", "voltages"})]
    slow = inside or [s for s in electrical if s.rate is not None and s.rate <= _RAW_RATE]
    if not electrical:
        return None
    if not slow:
        asks = tuple(f"is {s.path} to be used as LFP ({s.described})? Then lfp: {s.path}" for s in electrical[:3])
        return Line(key="lfp", value=None, guess="only raw voltages were found", questions=asks) if not file else None
    best = slow[0]
    others = [s for s in electrical if s is not best]
    asks = () if not others else (f"or {', '.join(s.path for s in others[:6])}? Several can be given as a list",)
    where = "in a container for LFP" if best.in_lfp else "not in a container for LFP, so it must be named"
    return _named("lfp", "values", best.path, file, f"{best.described}, {where}", asks)


def _behavior(series: list[Series], file: str) -> Line | None:
    fitting = [s for s in series if s.kind not in _NOT_BEHAVIOR and len(s.shape) <= 2 and not s.in_lfp]
    fitting = [s for s in fitting if not s.path.startswith(("processing/ecephys", "processing/ophys"))]
    fitting.sort(key=lambda s: -_fit(s))
    if not fitting:
        return None
    best, *others = fitting
    asks = [] if not others else [f"or {', '.join(s.path for s in others[:6])}? Several can be given as a list"]
    lines: list[Line] = []
    turns = best.unit.lower().startswith(("rad", "deg"))
    if best.period and len(best.shape) == 1:
        value = True if turns else round(best.period, 7)
        why = "it jumps from one end of its range to the other, as angles do"
        lines.append(Line(key="circular", value=value, guess=why, questions=("is it an angle with this period?",)))
    elif best.kind == "SpatialSeries" and not says(best.path, {"vel", "velocity"}):
        lines.append(option("derive", "velocity", "to decode velocity instead of position"))
    unit = f" in {best.unit}" if best.unit else ""
    return _named("behavior", "values", best.path, file, f"{best.described}{unit}", tuple(asks), *lines)


def _fit(series: Series) -> int:
    inside = series.path.startswith("processing/behavior")
    velocity = says(series.path, {"vel", "velocity"})
    return 8 * inside + 4 * velocity + 2 * (series.kind == "SpatialSeries") + says(series.path, BEHAVIOR)


def _columns(table: Any) -> list[str]:
    return [_text(name) for name in np.ravel(table.attrs.get("colnames", []))]


def _trials(path: str, table: Any, file: str) -> Line:
    columns = [c for c in _columns(table) if c not in ("start_time", "stop_time")]
    good = [c for c in columns if c in table and table[c].dtype.kind == "b"]
    bools = [c for c in columns if c in table and _is_truth(table[c])]
    good = list(dict.fromkeys([*good, *bools]))
    guess = f"{len(table['id'])} trials" + (f" with the columns {', '.join(columns[:12])}" if columns else "")
    if not good:
        return _named("trials", "table", "trials", file, guess, ())
    asks = f"use only trials in which some column is true? {', '.join(good)}"
    return _named("trials", "table", "trials", file, guess, (), choice("where", {good[0]: True}, asks))


def _is_truth(column: Any) -> bool:
    import h5py

    return h5py.check_enum_dtype(column.dtype) is not None

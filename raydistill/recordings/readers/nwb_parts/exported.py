"""NWB files that `raydistill export` wrote: the session comes back with its bins, segments, folds and scales.

The values are those of the store: nothing is filtered, binned or interpolated again (decode/nwb_export.py).
"""

import dataclasses
import json
from itertools import pairwise
from typing import Any

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.raw import Raw
from raydistill.store.channels import COLUMNS, ChannelTable, channel_table
from raydistill.store.exported import OUTSIDE, PREFIX, Exported, is_description, parse_description, series_names
from raydistill.store.marker import entry_from_json
from raydistill.store.session import Session
from raydistill.store.splits import TEST, TRAIN, VALID

_OF_BEHAVIOR = {"behavior_units", "circular"}
_SHARED = {"subject", "dataset", "task", "region", "bin_width_ms"}
"""What an entry and a session have under the same name."""
_LEFT_OUT = {"spikes": None, "lfp": (), "behavior": ()}
"""Options that leave a modality out."""


def is_exported(nwb) -> bool:
    """Whether `raydistill export` wrote the file. Raises DataError if an older version did."""
    return str(nwb.identifier).startswith(PREFIX) and is_description(nwb.notes)


def exported(nwb, options) -> Raw:
    """The session of a file that `raydistill export` wrote.

    Args:
        options: `NwbOptions`, which may leave modalities out and change nothing else.

    Raises:
        DataError: the options choose a part of the file, the file has been changed, it holds only some segments, or
            another version of raydistill wrote it.
    """
    _check_options(options)
    left_out = {name for name, value in _LEFT_OUT.items() if getattr(options, name) == value}
    tree, split_file, config = parse_description(nwb.notes)
    entry = entry_from_json(json.dumps(tree))
    try:
        description = _segments(nwb, Exported(entry=entry, config=config, split_file=split_file))
        session = _session(nwb, description, left_out)
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as err:
        raise DataError(
            f"the file is no longer as raydistill exported it ({one_line(err)}); export the session again"
        ) from None
    return Raw(session=session, subject=entry.subject, taken=(_taken(session),), notes=_notes(nwb))


def _check_options(options) -> None:
    defaults = type(options)()
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value != getattr(defaults, field.name) and (field.name not in _LEFT_OUT or value != _LEFT_OUT[field.name]):
            key = "interval" if field.name == "intervals" else field.name
            raise DataError(
                f"raydistill exported this session, which is read as a whole: `{key}` does not apply; leave it out, or "
                "ingest the original recording"
            )


def _segments(nwb, description: Exported) -> Exported:
    """The description with the places of all segments."""
    table, width_s = nwb.intervals["segments"], description.entry.bin_width_ms / 1000
    numbers, n_bins, trials = (np.asarray(table[name][:], dtype=np.int64) for name in ("number", "n_bins", "trial"))
    splits, starts = tuple(map(str, table["split"][:])), np.asarray(table["start_time"][:], dtype=np.float64)
    if len(numbers) != description.entry.n_segments or {*splits} != {TRAIN, VALID, TEST}:
        raise DataError(
            f"the file holds {len(numbers)} of {description.entry.n_segments} segments of session "
            f"{description.entry.session} (splits: {', '.join(sorted({*splits}))}); export the whole session"
        )
    first = np.round((starts - starts[0]) / width_s).astype(np.int64)  # (S,)
    stop = first + n_bins
    if (numbers != np.arange(len(numbers))).any() or (first[1:] < stop[:-1]).any() or (n_bins < 1).any():
        raise ValueError("the table of segments is not in the order of time")
    units = description.split_file["units"]
    if stop[-1] > units[-1][1] - units[0][0]:
        raise ValueError("the table of segments is longer than the recording")
    return dataclasses.replace(
        description,
        bounds=tuple(zip(first.tolist(), stop.tolist(), strict=True)),
        splits=splits,
        trials=tuple(None if trial == OUTSIDE else trial for trial in trials.tolist()),
    )


def _session(nwb, description: Exported, left_out: set[str]) -> Session:
    entry, bounds, ecephys = description.entry, description.bounds, nwb.processing["ecephys"]
    values: dict[str, Any] = {name: getattr(entry, name) for name in _SHARED}
    if entry.n_units and "spikes" not in left_out:
        values["spikes"] = _on_bins(ecephys["spike_counts"], bounds, entry.n_units, 0, np.uint8)
        values["unit_channels"] = _channels(nwb, "unit_electrodes")
    if entry.n_channels and "lfp" not in left_out:
        # In double precision, so that z-scoring gives the values of the store.
        values["lfp"] = _on_bins(ecephys["lfp"], bounds, entry.n_channels, 0, np.float64)
        values["lfp_bands"] = entry.lfp_bands
        values["lfp_channels"] = _channels(nwb, "lfp_electrodes")
    if entry.behavior and "behavior" not in left_out:
        series, names = nwb.processing["behavior"]["BehavioralTimeSeries"], series_names(entry.behavior)
        columns = [_on_bins(series[names[name]], bounds, 1, np.nan, np.float32) for name in entry.behavior]
        values |= {"behavior": np.hstack(columns), "behavior_names": entry.behavior}
        values |= {name: getattr(entry, name) for name in _OF_BEHAVIOR}
    if entry.labels:
        values["labels"] = _on_bins(nwb.processing["labels"]["labels"], bounds, len(entry.labels), -1, np.int16)
        in_order = sorted(entry.labels.items(), key=lambda item: item[1].column)
        values["classes"] = {name: label.classes for name, label in in_order}
    if not {"spikes", "lfp"} & values.keys():
        raise DataError(f"without its {' and '.join(sorted(left_out))}, the session has neither spikes nor LFP")
    start_s = float(nwb.intervals["segments"]["start_time"][0])
    return Session(
        name=entry.session,
        start_s=start_s,
        trial=_labels(bounds, [OUTSIDE if trial is None else trial for trial in description.trials]),
        piece=_pieces(bounds),
        exported=description,
        **values,
    )


def _labels(bounds: tuple[tuple[int, int], ...], of_segments: list[int]) -> np.ndarray:
    """(T,) int32 label of the segment that each bin is in, OUTSIDE between segments."""
    label = np.full(bounds[-1][1], OUTSIDE, dtype=np.int32)
    for (start, stop), value in zip(bounds, of_segments, strict=True):
        label[start:stop] = value
    return label


def _pieces(bounds: tuple[tuple[int, int], ...]) -> np.ndarray | None:
    """(T,) int32 label of each run of segments without a gap, OUTSIDE in gaps; None: there is no gap."""
    gaps = [after[0] > before[1] for before, after in pairwise(bounds)]
    return _labels(bounds, np.cumsum([False, *gaps]).tolist()) if any(gaps) else None


def _channels(nwb, name: str) -> ChannelTable | None:
    """The rows of the electrode table that a table of `decode/nwb_electrodes.py` names; None: there is none."""
    interfaces = nwb.processing["ecephys"].data_interfaces
    if name not in interfaces:
        return None
    rows = np.asarray(interfaces[name]["electrodes"].data[:], dtype=np.int64)
    columns = {name: name.removesuffix("_um") for name in COLUMNS}
    known = {name: nwb.electrodes[at][:] for name, at in columns.items() if at in nwb.electrodes.colnames}
    return channel_table(len(rows), **{name: [values[row] for row in rows] for name, values in known.items()})


def _on_bins(series, bounds, n_columns: int, between: float, dtype) -> np.ndarray:
    """(T, columns) values of the segments, which follow each other in a series; bins between them hold `between`."""
    data = series.data
    if (series.conversion, series.offset) != (1.0, 0.0):
        raise ValueError(f"{series.name} has the conversion {series.conversion:g} and the offset {series.offset:g}")
    if len(data) != sum(stop - start for start, stop in bounds) or data.shape[1:] not in ((n_columns,), ()):
        raise ValueError(f"a series has the shape {data.shape}, which is not that of the segments")
    values = np.full((bounds[-1][1], n_columns), between, dtype=dtype)
    row = 0
    for start, stop in bounds:
        values[start:stop] = data[row : row + stop - start].reshape(-1, n_columns)
        row += stop - start
    return values


def _taken(session: Session) -> str:
    """What the session holds, in a few words."""
    assert session.exported is not None
    entry, parts = session.exported.entry, []
    parts += [] if session.spikes is None else [f"{session.spikes.shape[1]} units"]
    parts += [] if session.lfp is None else [f"{session.lfp.shape[1]} LFP channels"]
    parts += [f"behavior {', '.join(session.behavior_names)}"] if session.behavior_names else []
    return (
        f"{', '.join(parts)} of session {entry.session} as exported: {entry.n_segments} segments with their folds, in "
        f"bins of {entry.bin_width_ms:g} ms, not filtered again"
    )


def _notes(nwb) -> tuple[str, ...]:
    if "raydistill" not in nwb.processing:
        return ()
    return ("the latents and decoded behavior of a model in processing/raydistill were not read",)

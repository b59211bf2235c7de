"""A stored session as an NWB 2 file: the data that models are trained on, for any tool that reads NWB.

The store holds only segments, not the bins between them, and no date. The series therefore contain only segments, and
the date of the file is a placeholder. `notes` holds all else that the store knows of the session (store/exported.py),
so that `raydistill ingest` makes the same session of the file. N bins in all segments, C channels.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from raydistill.decode.nwb_electrodes import add_electrodes
from raydistill.errors import DataError
from raydistill.files import check_may_write, renamed_when_whole
from raydistill.store.angles import angle_unit, angles
from raydistill.store.catalogue import Entry
from raydistill.store.exported import OUTSIDE, PREFIX, description, series_names
from raydistill.store.marker import entry_to_json
from raydistill.store.session import bin_centres_s
from raydistill.store.store import Store

_CHUNK = 4096  # bins per compressed block
_NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
_ANY_AGE = "P0D/"  # an interval without an upper bound; archives require an age


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Latents and decoded behavior of a session's bins."""

    latents: np.ndarray
    """(N, D) float32."""
    behavior: dict[str, np.ndarray]
    """Column -> (N,) decoded values in the unit of the column."""
    about: dict
    """The model, its scores, and their protocol."""


def write_session_nwb(
    store: Store,
    entry: Entry,
    path: Path,
    *,
    split: str | None = None,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the segments of a stored session to `path`; the file appears under its name when it is complete.

    processing/ecephys/spike_counts holds (N, units) uint8 counts, processing/ecephys/lfp (N, C) float64 values before
    z-scoring, from which the z-scores come back exactly, processing/behavior/BehavioralTimeSeries one float32 series
    per column in its unit, and processing/behavior/angles one per angle of which the columns hold cosine and sine. Time
    stamps are bin centres. The `comments` of a series give the mean and SD of its z-scoring. processing/labels/labels
    has the classes of bins, intervals/segments the number, split, bins and trial of each segment, and intervals/trials
    the label and split of each trial.
    nwb_electrodes.py describes the electrodes. With a reading, processing/raydistill holds `latents` (N, D) and
    `decoded`, one series per column and angle.

    Args:
        entry: the session's row in the catalogue of `store`.
        path: of the file, ending in .nwb.
        split: train, valid or test, to export its segments alone; such a file cannot be ingested.
        reading: what a model decoded from these segments.
        overwrite: replace `path` if raydistill wrote it.

    Raises:
        DataError: the file exists already, it cannot be written, the store lacks a part of the session, or the session
            is a later draw of its folds.
    """
    import h5py
    from pynwb import NWBHDF5IO

    path = Path(path)
    check_target(path, overwrite)
    if entry.draw > 1:
        raise DataError(
            f"session {entry.session} is {entry.recorded} with another draw of its folds; export {entry.recorded}"
        )
    segments = store.read(entry, split, z_scored=False)
    notes = description(json.loads(entry_to_json(entry)), store.split_file(entry))
    nwb = _nwb_file(entry, segments, notes, reading)
    with (
        renamed_when_whole(path, overwrite) as partial,
        h5py.File(partial, "w") as file,
        NWBHDF5IO(file=file, mode="w") as io,
    ):
        io.write(nwb)
    return path


def check_target(path: Path, overwrite: bool) -> None:
    """Raise DataError if `path` exists, unless raydistill wrote it and `overwrite` is set."""
    check_may_write(path, overwrite, _is_own)


def _is_own(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            identifier = file["identifier"][()]
    except (OSError, KeyError, TypeError):
        return False
    return isinstance(identifier, bytes) and identifier.decode(errors="replace").startswith(PREFIX)


def _nwb_file(entry, segments, notes, reading):
    from pynwb import NWBFile
    from pynwb.file import Subject

    nwb = NWBFile(
        session_description=f"Preprocessed session {entry.session} in bins of {entry.bin_width_ms:g} ms. "
        "Its date is unknown: session_start_time is a placeholder.",
        identifier=f"{PREFIX}{entry.session}-{entry.content}",
        session_id=entry.session,
        session_start_time=_NO_DATE,
        experiment_description=", ".join(filter(None, (entry.dataset, entry.task))) or None,
        notes=notes,
        subject=Subject(subject_id=entry.subject, sex="U", age=_ANY_AGE, description="Age and sex are unknown."),
    )
    clock = _clock(segments, entry.bin_width_ms)
    _add_neural(nwb, entry, segments, clock)
    if segments[0].behavior is not None:
        _add_behavior(nwb, entry, segments, clock)
    if segments[0].labels is not None:
        _add_labels(nwb, entry, segments, clock)
    if reading is not None:
        _add_reading(nwb, entry, reading, clock)
    _add_intervals(nwb, segments, entry.bin_width_ms / 1000)
    return nwb


def _clock(segments, bin_width_ms) -> dict:
    """A rate if there is no gap between segments, otherwise the time stamps of bin centres."""
    width_s = bin_width_ms / 1000
    starts, n_bins = np.array([(s.start_s, s.n_bins) for s in segments]).T
    if np.allclose(starts[1:], (starts + n_bins * width_s)[:-1], rtol=0, atol=1e-6 * width_s):
        return {"starting_time": float(starts[0] + width_s / 2), "rate": 1 / width_s}
    return {"timestamps": bin_centres_s(segments, bin_width_ms)}


def _add_neural(nwb, entry, segments, clock):
    from pynwb import TimeSeries

    module = nwb.create_processing_module("ecephys", "Spike counts and LFP, the input of models.")
    if segments[0].spikes is not None:
        counts = TimeSeries(
            name="spike_counts",
            description="Spikes of each unit in each bin.",
            data=_compressed(np.concatenate([s.spikes for s in segments])),
            unit="counts",
            **clock,
        )
        module.add(counts)
        clock = _shared(clock, counts)
    if segments[0].lfp is not None:
        norm = entry.normalisation["lfp"]
        # In double precision, because the mean can be large relative to the SD.
        values = np.concatenate([s.lfp for s in segments]).astype(np.float64) * norm.std + norm.mean
        lfp = TimeSeries(
            name="lfp",
            description="LFP of each channel at the centre of each bin, in the unit of the raw recording. The notes "
            "of the file describe the preprocessing.",
            data=_compressed(values),
            unit="as recorded",
            comments=json.dumps({"mean": norm.mean, "std": norm.std}),
            **clock,
        )
        module.add(lfp)
    add_electrodes(nwb, module, entry)


def _add_behavior(nwb, entry, segments, clock):
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    clock = _shared(clock, next(iter(nwb.processing["ecephys"].data_interfaces.values())))
    values, norm = np.concatenate([s.behavior for s in segments]), entry.normalisation["behavior"]
    names = series_names(entry.behavior)
    behavior = BehavioralTimeSeries()
    for column, (name, unit) in enumerate(zip(entry.behavior, entry.behavior_units, strict=True)):
        series = TimeSeries(
            name=names[name],
            description=f"{name} in each bin, NaN where it is missing.",
            data=_compressed(values[:, column]),
            unit=unit or "unknown",
            comments=json.dumps({"mean": norm.mean[column], "std": norm.std[column]}),
            **clock,
        )
        behavior.add_timeseries(series)
    module = nwb.create_processing_module("behavior", "Behavior in physical units.")
    module.add(behavior)
    if entry.circular:
        module.add(_angles(entry, values, _shared(clock, next(iter(behavior.time_series.values())))))


def _add_labels(nwb, entry, segments, clock):
    from pynwb import TimeSeries

    in_order = sorted(entry.labels.items(), key=lambda item: item[1].column)
    classes = {name: label.classes for name, label in in_order}
    series = TimeSeries(
        name="labels",
        description="Class of each bin under each label, a column per label: its place among the classes, which are "
        "listed in the comments; -1 where it is unknown.",
        data=_compressed(np.concatenate([s.labels for s in segments])),
        unit="none",
        comments=json.dumps(classes),
        **_shared(clock, next(iter(nwb.processing["ecephys"].data_interfaces.values()))),
    )
    nwb.create_processing_module("labels", "Labels of bins, trials or segments.").add(series)


def _angles(entry, values, clock):
    """The series of angles, from the values (N, columns) of behavior."""
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    series_of_angles = BehavioralTimeSeries(name="angles")
    columns = dict(zip(entry.behavior, values.T, strict=True))
    for name, angle in angles(columns, entry.circular).items():
        series = TimeSeries(
            name=name.replace("/", "_"),
            description=f"{name} in each bin, from its cosine and sine, NaN where it is missing.",
            data=_compressed(angle),
            unit=angle_unit(entry.circular[name]) or "unknown",
            comments=json.dumps({"period": entry.circular[name]}),
            **clock,
        )
        series_of_angles.add_timeseries(series)
    return series_of_angles


def _add_reading(nwb, entry, reading, clock):
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    clock = _shared(clock, next(iter(nwb.processing["ecephys"].data_interfaces.values())))
    latents = TimeSeries(
        name="latents",
        description="Latents of a raydistill model in each bin.",
        data=_compressed(reading.latents),
        unit="none",
        comments=json.dumps(reading.about),
        **clock,
    )
    units = dict(zip(entry.behavior, entry.behavior_units, strict=True))
    units |= {name: angle_unit(period) for name, period in entry.circular.items()}
    names = series_names(list(reading.behavior))
    decoded = BehavioralTimeSeries(name="decoded")
    for name, values in reading.behavior.items():
        series = TimeSeries(
            name=names[name],
            description=f"{name} as decoded from the latents.",
            data=_compressed(values),
            unit=units[name] or "unknown",
            **clock,
        )
        decoded.add_timeseries(series)
    module = nwb.create_processing_module("raydistill", "What a model computes from spikes or LFP.")
    module.add(latents)
    module.add(decoded)


def _shared(clock, series) -> dict:
    """The same clock, with a link to the time stamps of `series` if it has any."""
    return {"timestamps": series} if "timestamps" in clock else clock


def _add_intervals(nwb, segments, width_s):
    from pynwb.epoch import TimeIntervals

    table = TimeIntervals(name="segments", description="The segments that models are trained and tested on.")
    table.add_column("number", "Position among the segments of the session in the order of time.")
    table.add_column("split", "train, valid or test.")
    table.add_column("n_bins", "Number of bins.")
    table.add_column("trial", f"Label of the trial in the recording; {OUTSIDE} outside of trials.")
    for s in segments:
        table.add_row(
            start_time=s.start_s,
            stop_time=s.start_s + s.n_bins * width_s,
            number=s.number,
            split=s.split,
            n_bins=s.n_bins,
            trial=OUTSIDE if s.trial is None else s.trial,
        )
    nwb.add_time_intervals(table)
    trials = [(label, list(group)) for label, group in groupby(segments, key=lambda s: s.trial) if label is not None]
    if not trials:
        return
    nwb.add_trial_column("trial", "Label of the trial in the recording.")
    nwb.add_trial_column("split", "train, valid or test.")
    for label, (first_segment, *others) in trials:
        last = others[-1] if others else first_segment
        stop_s = last.start_s + last.n_bins * width_s
        nwb.add_trial(start_time=first_segment.start_s, stop_time=stop_s, trial=label, split=first_segment.split)


def _compressed(data):
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    chunks = (min(_CHUNK, len(data)), *data.shape[1:])
    return H5DataIO(data, compression="gzip", compression_opts=1, shuffle=True, chunks=chunks)

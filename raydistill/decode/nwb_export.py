"""A stored session as an NWB 2 file: the data that models are trained on, for any tool that reads NWB.

The store holds only segments, not the bins between them, and no date. The series therefore contain only segments, and
the date of the file is a placeholder. N bins in all segments, C channels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.store.angles import angle_unit, angles
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment, bin_centres_s

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


def write_session_nwb(entry: Entry, segments: Sequence[Segment], path, reading: Reading | None = None) -> Path:
    """Write the segments of a stored session to `path`; the file appears under its name when it is complete.

    processing/ecephys/spike_counts holds (N, units) uint8 counts, processing/ecephys/lfp (N, C) float32 values before
    z-scoring, processing/behavior/BehavioralTimeSeries one float32 series per column in its unit, and
    processing/behavior/angles one per angle of which the columns hold cosine and sine. Time stamps are bin centres. The
    `comments` of a series give the mean and SD of its z-scoring. intervals/segments has the number and split of each
    segment, intervals/trials the label and split of each trial. With a reading, processing/raydistill holds `latents`
    (N, D) and `decoded`, one series per column and angle.

    Args:
        entry: the session's row in the catalogue.
        segments: all of its segments, or those of one split, as returned by `Store.read`.
        reading: what a model decoded from these segments.

    Raises:
        DataError: there are no segments, they belong to another session, or the file cannot be written.
    """
    import h5py
    from pynwb import NWBHDF5IO

    path = Path(path)
    segments = sorted(segments, key=lambda s: s.number)
    if not segments:
        raise DataError(f"session {entry.session}: there are no segments to export")
    if strangers := {s.session for s in segments} - {entry.session}:
        raise DataError(f"session {entry.session}: the segments belong to {', '.join(sorted(strangers))}")
    with renamed_when_whole(path) as partial, h5py.File(partial, "w") as file, NWBHDF5IO(file=file, mode="w") as io:
        io.write(_nwb_file(entry, segments, reading))
    return path


def _nwb_file(entry, segments, reading):
    from pynwb import NWBFile
    from pynwb.file import Subject

    fields = ("dataset", "task", "region", "bin_width_ms", "protocol", "config", "fingerprint", "content", "sources")
    nwb = NWBFile(
        session_description=f"Preprocessed session {entry.session} in bins of {entry.bin_width_ms:g} ms. "
        "Its date is unknown: session_start_time is a placeholder.",
        identifier=f"raydistill-{entry.session}-{entry.content}",
        session_id=entry.session,
        session_start_time=_NO_DATE,
        experiment_description=", ".join(filter(None, (entry.dataset, entry.task))) or None,
        notes=json.dumps({name: getattr(entry, name) for name in fields}, sort_keys=True),
        subject=Subject(subject_id=entry.subject, sex="U", age=_ANY_AGE, description="Age and sex are unknown."),
    )
    clock = _clock(segments, entry.bin_width_ms)
    _add_neural(nwb, entry, segments, clock)
    if segments[0].behavior is not None:
        _add_behavior(nwb, entry, segments, clock)
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
        values, comments = _physical(entry, "lfp", [s.lfp for s in segments])
        lfp = TimeSeries(
            name="lfp",
            description="LFP of each channel at the centre of each bin, in the unit of the raw recording. The notes "
            "of the file describe the preprocessing.",
            data=_compressed(values),
            unit="as recorded",
            comments=json.dumps(comments),
            **clock,
        )
        module.add(lfp)


def _add_behavior(nwb, entry, segments, clock):
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries

    if module := nwb.processing["ecephys"].data_interfaces:
        clock = _shared(clock, next(iter(module.values())))
    values, comments = _physical(entry, "behavior", [s.behavior for s in segments])
    behavior = BehavioralTimeSeries()
    for column, (name, unit) in enumerate(zip(entry.behavior, entry.behavior_units, strict=True)):
        series = TimeSeries(
            name=name.replace("/", "_"),
            description=f"{name} in each bin, NaN where it is missing.",
            data=_compressed(values[:, column]),
            unit=unit or "unknown",
            comments=json.dumps({key: numbers[column] for key, numbers in comments.items()}),
            **clock,
        )
        behavior.add_timeseries(series)
    module = nwb.create_processing_module("behavior", "Behavior in physical units.")
    module.add(behavior)
    if entry.circular:
        module.add(_angles(entry, values, _shared(clock, next(iter(behavior.time_series.values())))))


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
    decoded = BehavioralTimeSeries(name="decoded")
    for name, values in reading.behavior.items():
        series = TimeSeries(
            name=name.replace("/", "_"),
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


def _physical(entry, name, values) -> tuple[np.ndarray, dict]:
    """(N, columns) float32 with the z-scoring undone, and its mean and SD."""
    norm = entry.normalisation[name]
    return norm.undo(np.concatenate(values)), {"mean": norm.mean, "std": norm.std}


def _add_intervals(nwb, segments, width_s):
    from pynwb.epoch import TimeIntervals

    table = TimeIntervals(name="segments", description="The segments that models are trained and tested on.")
    table.add_column("number", "Position among the segments of the session in the order of time.")
    table.add_column("split", "train, valid or test.")
    for s in segments:
        stop_s = s.start_s + s.n_bins * width_s
        table.add_row(start_time=s.start_s, stop_time=stop_s, number=s.number, split=s.split)
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

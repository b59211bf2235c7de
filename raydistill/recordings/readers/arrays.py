"""Plain arrays in HDF5, MATLAB and NPZ files, described by a manifest.

An array without a sampling rate and without time stamps has one value per bin. Bin 0 of the file starts at 0 s, and
all such arrays must have the same length.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from raydistill.config.manifest import Behavior, Interval, Lfp, SessionEntry, Spikes, Trials
from raydistill.errors import ConfigError, DataError, one_line, suggest
from raydistill.recordings.raw import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.files import as_matrix, open_file
from raydistill.recordings.recording import Layout, RecordingSource


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayOptions:
    """Where the arrays of a recording are in its file; None: the recording lacks the modality."""

    spikes: Spikes | None = None
    lfp: tuple[Lfp, ...] = ()
    behavior: tuple[Behavior, ...] = ()
    trials: Trials | None = None
    intervals: tuple[Interval, ...] = ()
    bin_width_ms: float | None = None
    """Bin width of arrays that are already binned."""

    @property
    def bin_s(self) -> float | None:
        """Bin width in seconds; None if no array is binned."""
        return None if self.bin_width_ms is None else self.bin_width_ms / 1000


def describe(entry: SessionEntry) -> ArrayOptions:
    """The options for a manifest's entry, with a path in place of a section written out as that section.

    Raises:
        ConfigError: the entry lacks what these files need, or has keys that belong to NWB files.
    """
    spikes = None if entry.spikes == "auto" else entry.spikes
    spikes = Spikes(counts=spikes) if isinstance(spikes, str) else spikes
    trials = Trials(labels=entry.trials) if isinstance(entry.trials, str) else entry.trials
    lfp, behavior = entry.lfp_sections or (), entry.behavior_sections or ()
    intervals = entry.intervals
    if spikes is not None and (spikes.table or not (spikes.counts or spikes.times)):
        raise ConfigError(
            "give the path of the spikes as `spikes.counts` or `spikes.times`; `table` belongs to NWB files"
        )
    for name, sections in (("lfp", lfp), ("behavior", behavior)):
        if any(section.values == "auto" for section in sections):
            raise ConfigError(f"give the path of `{name}` as `{name}.values`")
    if trials is not None and trials.table:
        raise ConfigError("`trials.table` belongs to NWB files; give `labels`, or `start_s` and `stop_s`")
    if any(interval.table for interval in intervals):
        raise ConfigError("`interval.table` belongs to NWB files; give `start_s` and `stop_s`")
    if entry.unit_filter is not None:
        raise ConfigError("`unit_filter` belongs to NWB files; use `ingest.drop_units`")
    return ArrayOptions(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trials=trials,
        intervals=intervals,
        bin_width_ms=entry.bin_width_ms,
    )


@contextmanager
def open_raw(path: Path, source: RecordingSource[ArrayOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a file of arrays; LFP in an HDF5 file is read in slices while the context is open.

    Raises:
        DataError: the file is damaged, or does not hold what `source.options` describes.
    """
    try:
        file = open_file(path)
    except Exception as err:
        raise DataError(f"{path}: not a readable {path.suffix} file ({one_line(err)})") from err
    try:
        with file:
            yield _raw(file, source.options)
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _raw(file, options: ArrayOptions) -> Raw:
    bin_s = options.bin_s
    spikes = _spikes(file, options.spikes) if options.spikes else None
    lfp = tuple(_lfp(file, section, bin_s) for section in options.lfp)
    behavior = tuple(_behavior(file, section, bin_s) for section in options.behavior)
    labels, intervals = _trials(file, options.trials, behavior) if options.trials else (None, None)
    binned = {
        "spikes": len(spikes.values) if isinstance(spikes, Counts) else None,
        **{_path(o): s.n_samples for s, o in zip(lfp, options.lfp, strict=True) if s.span},
        **{_path(o): len(t.values) for t, o in zip(behavior, options.behavior, strict=True) if t.span},
        "trials": None if labels is None else len(labels),
    }
    n_bins = _common_length({k: n for k, n in binned.items() if n is not None}, bin_s)
    if n_bins and bin_s and not options.intervals:
        for signal in lfp:
            if not signal.span:
                _check_duration(signal, n_bins * bin_s, bin_s)
    return Raw(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trial_labels=labels,
        trial_intervals=intervals,
        n_bins=n_bins,
        windows=tuple(interval.seconds for interval in options.intervals),
    )


def _path(section: Lfp | Behavior) -> str:
    return section.values


def _common_length(binned: dict[str, int], bin_s) -> int | None:
    if binned and bin_s is None:
        raise DataError(f"{next(iter(binned))} has one row per bin: give the file's `bin_width_ms`")
    if len(set(binned.values())) > 1:
        rows = ", ".join(f"{k} {n}" for k, n in binned.items())
        raise DataError(f"arrays with one value per bin differ in length: {rows}; is one of them transposed?")
    return next(iter(binned.values()), None)


def _check_duration(lfp, seconds, bin_s):
    _, stop = lfp.covers
    if abs(stop - seconds) > bin_s:
        raise DataError(
            f"lfp ends at {stop:.3f} s ({lfp.n_samples} samples at {lfp.rate_hz:g} Hz) but the bins end at "
            f"{seconds:.3f} s; check `lfp.rate_hz` and `lfp.transpose`, or use a part of both with `interval`"
        )


def _spikes(file, section: Spikes) -> Counts | SpikeTrains:
    if section.counts:
        counts = as_matrix(file.array(section.counts), section.transpose, section.counts)
        if counts.size and not (np.all(counts == np.round(counts)) and counts.min() >= 0):
            raise DataError(
                f"{section.counts} ({counts.dtype}) holds values that are not spike counts (whole numbers from 0)"
            )
        return Counts(values=counts)
    if section.unit_ids is None:
        times = file.vectors(section.times)
    else:
        flat, owner = file.array(section.times).ravel(), file.array(section.unit_ids).ravel()
        if len(flat) != len(owner):
            raise DataError(f"{section.times} has {len(flat)} spikes but {section.unit_ids} has {len(owner)} entries")
        times = [flat[owner == unit] for unit in np.unique(owner)]
    scale = section.seconds_per_unit
    times = tuple(np.asarray(t, dtype=np.float64) * scale for t in times)
    return SpikeTrains(times=times, ids=tuple(range(len(times))))


def _lfp(file, section: Lfp, bin_s) -> Signal:
    matrix = file.matrix(section.values, section.transpose)
    n_samples, n_channels = matrix.shape
    rate_hz, start_s, span = section.rate_hz, section.start_s, None
    if rate_hz is None:
        rate_hz, start_s, span = _bin_clock(n_samples, bin_s)
    read = partial(_scaled, matrix, section.scale)
    if section.bands < 1 or n_channels % section.bands:
        raise DataError(f"{section.values} has {n_channels} columns, which is not a multiple of {section.bands} bands")
    return Signal(
        read=read,
        n_samples=n_samples,
        n_channels=n_channels,
        rate_hz=rate_hz,
        start_s=start_s,
        span=span,
        bands=section.bands,
    )


def _bin_clock(n, bin_s):
    """Rate, time of the first sample (the centre of its bin) and span in seconds of n samples, one per bin."""
    bin_s = bin_s or 1.0  # `_common_length` reports a missing width, after all arrays are read
    return 1 / bin_s, bin_s / 2, (0.0, n * bin_s)


def _scaled(matrix, scale, start, stop):
    return np.multiply(matrix[start:stop], np.float32(scale), dtype=np.float32, casting="same_kind")


def _behavior(file, section: Behavior, bin_s) -> Trace:
    path = section.values
    values = as_matrix(file.array(path), section.transpose, path).astype(np.float64)
    n, width = values.shape
    names, units = section.names, section.units
    if section.names_attribute:
        names = file.attribute(path, section.names_attribute)
    if section.units_attribute:
        units = file.attribute(path, section.units_attribute)
    names = names or tuple(f"behavior_{i}" for i in range(width))
    units = units or ("",) * width
    for what, words in (("names", names), ("units", units)):
        if len(words) != width:
            raise DataError(f"{path} has {width} columns but {len(words)} {what}: {', '.join(words)}")
    span = None
    if section.times:
        times = file.array(section.times).ravel().astype(np.float64)
        if len(times) != n:
            raise DataError(f"{path} has {n} samples but {section.times} has {len(times)} time stamps")
    elif section.rate_hz:
        times = section.start_s + np.arange(n) / section.rate_hz
    else:
        _, _, span = _bin_clock(n, bin_s)
        times = (np.arange(n) + 0.5) * (bin_s or 1.0)
    return Trace(times=times, values=values, names=names, units=units, span=span, processing=section)


def _trials(file, section: Trials, traces: tuple[Trace, ...]):
    """Labels per bin, or intervals in seconds; the other is None."""
    if section.labels:
        labels = file.array(section.labels).ravel()
        if labels.dtype.kind not in "buif" or np.any(labels != np.round(labels)):
            raise DataError(
                f"{section.labels} ({labels.dtype}) holds values that are not trial numbers (whole numbers)"
            )
        return labels.astype(np.int32), None
    if section.start_s:
        start, stop = (file.array(p).ravel().astype(np.float64) for p in (section.start_s, section.stop_s))
        if len(start) != len(stop):
            raise DataError(f"{section.start_s} has {len(start)} trials but {section.stop_s} has {len(stop)}")
        return None, np.stack([start, stop], axis=1)  # (trials, 2)
    if len(traces) != 1 or traces[0].span is None:
        raise DataError("`start_where_zero` needs one behavior matrix with one row per bin")
    behavior = traces[0]
    missing = [c for c in section.start_where_zero if c not in behavior.names]
    if missing:
        raise DataError(f'`start_where_zero`: no behavior column "{missing[0]}"{suggest(missing[0], behavior.names)}')
    columns = [behavior.names.index(c) for c in section.start_where_zero]
    starts = (behavior.values[:, columns] == 0).all(axis=1)
    return np.cumsum(starts).astype(np.int32) - 1, None


LAYOUT = Layout(
    name="arrays",
    title="arrays of your own",
    files="`*.h5`, `*.hdf5`, `*.mat`, `*.npz`, described by a [manifest](bring-your-own-data.md)",
    sessions="`name` in the manifest, or the name of the file",
    open=open_raw,
    options=ArrayOptions,
    endings=(".h5", ".hdf5", ".mat", ".npz"),
    describe=describe,
    has_bins=True,
)

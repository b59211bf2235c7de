"""Plain arrays in HDF5, MATLAB and NPZ files, as a manifest describes them.

What has no sampling rate and no time stamps is on the file's clock of bins, whose bin 0 begins at 0 s; all arrays
on it must agree in length.
"""

from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.manifest import Behavior, Lfp, Spikes, Trials
from raydistill.recordings.readers import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.files import as_matrix, open_file


@contextmanager
def opened(path: Path, source):
    """Yield the `Raw` of a file of arrays as the manifest's `source` says; HDF5 LFP is read in slices inside.

    Raises:
        DataError: the file is damaged, or does not hold what `source` names.
    """
    try:
        file = open_file(path)
    except Exception as err:
        raise DataError(f"{path}: not a readable {path.suffix} file ({one_line(err)})") from err
    try:
        with file:
            yield _raw(file, source)
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _raw(file, source) -> Raw:
    bin_s = None if source.bin_width_ms is None else source.bin_width_ms / 1000
    wanted = _described(source)
    spikes = _spikes(file, wanted["spikes"]) if wanted["spikes"] else None
    lfp = _lfp(file, wanted["lfp"], bin_s) if wanted["lfp"] else None
    behavior = _behavior(file, wanted["behavior"], bin_s) if wanted["behavior"] else None
    labels, intervals = _trials(file, wanted["trials"], behavior) if wanted["trials"] else (None, None)
    binned = {
        "spikes": len(spikes.values) if isinstance(spikes, Counts) else None,
        "lfp": lfp.n_samples if lfp and lfp.span else None,
        "behavior": len(behavior.values) if behavior and behavior.span else None,
        "trials": None if labels is None else len(labels),
    }
    n_bins = _common_length({k: n for k, n in binned.items() if n is not None}, bin_s)
    window = source.interval.seconds if source.interval else None
    if lfp and not lfp.span and n_bins and window is None:
        _check_duration(lfp, n_bins * bin_s, bin_s)
    return Raw(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trial_labels=labels,
        trial_intervals=intervals,
        n_bins=n_bins,
        window=window,
    )


def _described(source) -> dict:
    """The sections of `source`, its shorthands written out; None where a modality is left out."""
    full = {
        "spikes": lambda path: Spikes(counts=path),
        "lfp": lambda path: Lfp(values=path),
        "behavior": lambda path: Behavior(values=path),
        "trials": lambda path: Trials(labels=path),
    }
    given = {k: getattr(source, k) for k in full}
    given = {k: None if v == "auto" else v for k, v in given.items()}
    return {k: full[k](v) if isinstance(v, str) else v for k, v in given.items()}


def _common_length(binned: dict[str, int], bin_s) -> int | None:
    if binned and bin_s is None:
        raise DataError(f"{next(iter(binned))} has one row a bin: give the file's `bin_width_ms`")
    if len(set(binned.values())) > 1:
        rows = ", ".join(f"{k} {n}" for k, n in binned.items())
        raise DataError(f"arrays of different length on one clock of bins: {rows}; is one of them transposed?")
    return next(iter(binned.values()), None)


def _check_duration(lfp, seconds, bin_s):
    _, stop = lfp.covers
    if abs(stop - seconds) > bin_s:
        raise DataError(
            f"lfp ends at {stop:.3f} s ({lfp.n_samples} samples at {lfp.rate_hz:g} Hz) but the bins end at "
            f"{seconds:.3f} s; check `lfp.rate_hz` and `lfp.transpose`, or take a part of both by `interval`"
        )


def _spikes(file, wanted: Spikes) -> Counts | SpikeTrains:
    if wanted.counts:
        counts = as_matrix(file.array(wanted.counts), wanted.transpose, wanted.counts)
        if counts.size and not (np.all(counts == np.round(counts)) and counts.min() >= 0):
            raise DataError(f"{wanted.counts} ({counts.dtype}) holds values that are no spike counts from 0 up")
        return Counts(values=counts)
    if wanted.unit_ids is None:
        times = file.vectors(wanted.times)
    else:
        flat, owner = file.array(wanted.times).ravel(), file.array(wanted.unit_ids).ravel()
        if len(flat) != len(owner):
            raise DataError(f"{wanted.times} has {len(flat)} spikes but {wanted.unit_ids} has {len(owner)} entries")
        times = [flat[owner == unit] for unit in np.unique(owner)]
    scale = 1 / wanted.rate_hz if wanted.rate_hz else 1.0
    times = tuple(np.asarray(t, dtype=np.float64) * scale for t in times)
    return SpikeTrains(times=times, ids=tuple(range(len(times))))


def _lfp(file, wanted: Lfp, bin_s) -> Signal:
    matrix = file.matrix(wanted.values, wanted.transpose)
    n_samples, n_channels = matrix.shape
    rate_hz, start_s, span = wanted.rate_hz, wanted.start_s, None
    if rate_hz is None:
        rate_hz, start_s, span = _bin_clock(n_samples, bin_s)
    read = partial(_scaled, matrix, wanted.scale)
    if wanted.bands < 1 or n_channels % wanted.bands:
        raise DataError(
            f"{wanted.values} has {n_channels} columns, no whole number of electrodes of {wanted.bands} bands"
        )
    return Signal(
        read=read,
        n_samples=n_samples,
        n_channels=n_channels,
        rate_hz=rate_hz,
        start_s=start_s,
        span=span,
        bands=wanted.bands,
    )


def _bin_clock(n, bin_s):
    """Rate, time of the first sample (a bin's value stands at its centre) and span of n samples, one a bin."""
    bin_s = bin_s or 1.0  # a missing width is reported when all arrays on the clock are known
    return 1 / bin_s, bin_s / 2, (0.0, n * bin_s)


def _scaled(matrix, scale, start, stop):
    return np.multiply(matrix[start:stop], np.float32(scale), dtype=np.float32, casting="same_kind")


def _behavior(file, wanted: Behavior, bin_s) -> Trace:
    path = wanted.values
    values = as_matrix(file.array(path), wanted.transpose, path).astype(np.float64)
    n, width = values.shape
    names, units = wanted.names, wanted.units
    if wanted.names_attribute:
        names = file.attribute(path, wanted.names_attribute)
    if wanted.units_attribute:
        units = file.attribute(path, wanted.units_attribute)
    names = names or tuple(f"behavior_{i}" for i in range(width))
    units = units or ("",) * width
    for what, words in (("names", names), ("units", units)):
        if len(words) != width:
            raise DataError(f"{path} has {width} columns but {len(words)} {what}: {', '.join(words)}")
    span = None
    if wanted.times:
        times = file.array(wanted.times).ravel().astype(np.float64)
        if len(times) != n:
            raise DataError(f"{path} has {n} samples but {wanted.times} has {len(times)} time stamps")
    elif wanted.rate_hz:
        times = wanted.start_s + np.arange(n) / wanted.rate_hz
    else:
        _, _, span = _bin_clock(n, bin_s)
        times = (np.arange(n) + 0.5) * (bin_s or 1.0)
    return Trace(times=times, values=values, names=names, units=units, span=span)


def _trials(file, wanted: Trials, behavior: Trace | None):
    """Labels per bin and intervals in seconds, one of them None."""
    if wanted.labels:
        labels = file.array(wanted.labels).ravel()
        if labels.dtype.kind not in "buif" or np.any(labels != np.round(labels)):
            raise DataError(f"{wanted.labels} ({labels.dtype}) holds values that are no trial numbers")
        return labels.astype(np.int32), None
    if wanted.start_s:
        start, stop = (file.array(p).ravel().astype(np.float64) for p in (wanted.start_s, wanted.stop_s))
        if len(start) != len(stop):
            raise DataError(f"{wanted.start_s} has {len(start)} trials but {wanted.stop_s} has {len(stop)}")
        return None, np.stack([start, stop], axis=1)  # (trials, 2)
    if behavior is None or behavior.span is None:
        raise DataError("`start_where_zero` needs behavior with one row a bin")
    missing = [c for c in wanted.start_where_zero if c not in behavior.names]
    if missing:
        raise DataError(f'`start_where_zero`: no behavior column "{missing[0]}"{suggest(missing[0], behavior.names)}')
    columns = [behavior.names.index(c) for c in wanted.start_where_zero]
    starts = (behavior.values[:, columns] == 0).all(axis=1)
    return np.cumsum(starts).astype(np.int32) - 1, None

"""Plain arrays in HDF5, MATLAB, NPZ and NPY files, described by a manifest.

An array without a sampling rate and without time stamps has one value per bin of the file. Bin 0 of the file starts at
0 s, and all such arrays must have the same length. Arrays that are stored trial by trial follow each other on a clock
of their own (array_trial_raw.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from raydistill.config.manifest import WHICH_TRIALS, Behavior, Lfp, Trials
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Node, find
from raydistill.recordings.files.opening import ENDINGS, open_file
from raydistill.recordings.raw import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.array_parts.classes import labels_of_bins, labels_of_trials
from raydistill.recordings.readers.array_parts.labels import (
    chosen_trials,
    labels_where,
    labels_where_zero,
    rebinned_labels,
    trial_intervals,
    trial_labels,
)
from raydistill.recordings.readers.array_parts.matrices import Described, Matrix, matrix
from raydistill.recordings.readers.array_parts.options import ArrayOptions, describe
from raydistill.recordings.readers.array_parts.signals import (
    Binned,
    behavior_trace,
    bins_per_bin,
    check_duration,
    check_lengths,
    check_width,
    lfp_signal,
    scale_notes,
    taken,
)
from raydistill.recordings.readers.array_parts.spikes import counts_of, rebinned, spike_trains, trains_of_trials
from raydistill.recordings.readers.array_parts.trial_raw import trial_raw, trial_sections
from raydistill.recordings.recording import Layout, RecordingSource


@contextmanager
def open_raw(path: Path, source: RecordingSource[ArrayOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a file of arrays; LFP in an HDF5 file is read in slices while the context is open.

    Raises:
        DataError: the file is damaged, or does not hold what `source.options` describes.
    """
    with open_file(path) as root:
        try:
            yield _raw(root, source.options, bin_width_ms / 1000)
        except DataError as err:
            raise DataError(f"{path.name}: {err}") from err


def _raw(root: Node, options: ArrayOptions, width_s: float) -> Raw:
    """`width_s` is the width of the session's bins in seconds."""
    if sections := trial_sections(root, options):
        return trial_raw(root, options, sections, width_s)
    bin_s, ratio, notes = options.bin_s, bins_per_bin(options.bin_s, width_s), list[str]()
    windows = tuple(interval.seconds for interval in options.intervals)
    counts = _counts_matrix(root, options)
    lfp = tuple(lfp_signal(root, section, bin_s, windows, notes) for section in options.lfp)
    behavior = tuple(behavior_trace(root, section, bin_s) for section in options.behavior)
    described: tuple[Lfp | Behavior, ...] = (*options.lfp, *options.behavior)
    notes += [note for section in described for note in scale_notes(root, section)]
    labels, intervals = _trials(root, options.trials, behavior, notes)
    n_file_bins = check_lengths(_binned(options, counts, lfp, behavior, labels))
    n_bins = None
    if n_file_bins is not None:
        check_width(bin_s, "trials", "trials")
        n_bins = _session_bins(n_file_bins, ratio, width_s, notes)
    if n_file_bins and bin_s and not options.intervals:
        for section, signal in zip(options.lfp, lfp, strict=True):
            if not signal.span and not signal.runs:
                check_duration(signal, section, n_file_bins * bin_s, width_s)
    spikes = _spikes(root, options, counts, ratio, n_bins, intervals, notes)
    numbers = None
    if options.trials is not None and intervals is not None:
        n_trials = len(intervals)
        numbers = np.flatnonzero(chosen_trials(root, options.trials, n_trials, notes))
        intervals = intervals[numbers]
        classes = labels_of_trials(root, options.labels, intervals, n_trials, numbers)
    else:
        classes = labels_of_bins(root, options.labels, labels, n_file_bins, ratio)
    return Raw(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trial_labels=None if labels is None else rebinned_labels(labels, ratio),
        trial_intervals=intervals,
        trial_numbers=numbers,
        labels=classes,
        n_bins=n_bins,
        windows=windows,
        taken=taken(spikes, options, lfp, behavior),
        notes=tuple(notes),
    )


def _counts_matrix(root: Node, options: ArrayOptions) -> Matrix | None:
    if options.spikes is None or not options.spikes.counts:
        return None
    check_width(options.bin_s, options.spikes.counts, "spikes")
    return matrix(find(root, options.spikes.counts), Described(options.spikes))


def _binned(
    options: ArrayOptions,
    counts: Matrix | None,
    lfp: tuple[Signal, ...],
    behavior: tuple[Trace, ...],
    labels: np.ndarray | None,
) -> list[Binned]:
    """The arrays with one row per bin of the file."""
    binned = []
    if counts is not None and options.spikes is not None:
        binned.append(Binned(counts.path, counts.shape, Described(options.spikes)))
    for section, signal in zip(options.lfp, lfp, strict=True):
        if signal.span:
            binned.append(Binned(section.values, (signal.n_samples, signal.n_channels), Described(section)))
    for column, trace in zip(options.behavior, behavior, strict=True):
        if trace.span:
            n, width = trace.values.shape
            binned.append(Binned(column.values, (n, width), Described(column)))
    if labels is not None and options.trials is not None and options.trials.labels:
        binned.append(Binned(options.trials.labels, (len(labels), 1)))
    return binned


def _session_bins(n_file_bins: int, ratio: int, width_s: float, notes: list[str]) -> int:
    n_bins, rest = divmod(n_file_bins, ratio)
    if not n_bins:
        raise DataError(f"the {n_file_bins} bins of the file do not fill one bin of {width_s * 1000:g} ms")
    if rest:
        notes.append(f"the last {rest} of {n_file_bins} bins of the file do not fill one of {width_s * 1000:g} ms")
    return n_bins


def _spikes(
    root: Node,
    options: ArrayOptions,
    counts: Matrix | None,
    ratio: int,
    n_bins: int | None,
    trials: np.ndarray | None,
    notes: list[str],
) -> SpikeTrains | Counts | None:
    if options.spikes is None:
        return None
    if counts is not None:
        assert n_bins is not None
        return counts_of(rebinned(counts, ratio, n_bins), options.spikes, notes)
    if options.spikes.axes:
        return trains_of_trials(root, options.spikes, trials, notes)
    return spike_trains(root, options.spikes, notes)


def _trials(
    root: Node, section: Trials | None, behavior: tuple[Trace, ...], notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Labels per bin of the file, and all intervals in seconds; one or both are None."""
    if section is None:
        return None, None
    if section.start_s:
        return None, trial_intervals(root, section)
    if not (section.labels or section.start_where_zero):
        raise DataError(f"`trials`: {WHICH_TRIALS}; only arrays that are stored trial by trial need none of them")
    labels = trial_labels(root, section) if section.labels else labels_where_zero(section, behavior)
    return labels_where(root, section, labels, notes) if section.where else labels, None


LAYOUT = Layout(
    name="arrays",
    title="arrays of your own",
    files="`*.h5`, `*.hdf5`, `*.mat`, `*.npz`, `*.npy`, described by a [manifest](bring-your-own-data.md)",
    sessions="`name` in the manifest, or the name of the file",
    open=open_raw,
    options=ArrayOptions,
    endings=ENDINGS,
    describe=describe,
    has_bins=True,
)

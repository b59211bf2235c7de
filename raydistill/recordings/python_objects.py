"""Arrays, and objects of SpikeInterface and pynapple, as signals of a `Raw`.

Those packages are never imported: their objects are known by their methods. Lists of spike times have one vector per
unit; a matrix has one row per bin or sample.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from raydistill.errors import ConfigError, DataError, one_line
from raydistill.recordings.raw import Counts, RawLabel, Run, Signal, SpikeTrains, Trace, as_columns
from raydistill.recordings.readers.array_parts.classes import class_texts, classes_of_bins, trial_numbers
from raydistill.recordings.readers.array_parts.stamps import stamped_clock
from raydistill.store.channels import ChannelTable, channel_table

_MICROVOLTS = 1e-6


# Spikes


def spikes_of(value: Any, bin_s: float | None) -> SpikeTrains | Counts:
    """Spike times of each unit, or counts per bin.

    Args:
        bin_s: width of the bins of a matrix of counts in seconds; None: not given.

    Raises:
        ConfigError: a matrix of counts comes without a bin width.
        DataError: it is neither a list of vectors nor a matrix of counts.
    """
    if hasattr(value, "get_unit_spike_train"):
        return _sorting(value)
    if _is_timed(value):
        return _trains([_stamps(value)])
    if hasattr(value, "time_support") and hasattr(value, "keys"):
        return _trains([_stamps(value[key]) for key in value.keys()])  # noqa: SIM118 (it need not be a mapping)
    if isinstance(value, Mapping):
        return _trains(list(value.values()))
    if hasattr(value, "toarray"):
        value = value.toarray()
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return _trains(list(value))
    return _counts(value, bin_s)


def _sorting(sorting: Any) -> SpikeTrains:
    """The trains of a sorting of SpikeInterface, on the clock of its recording."""
    if sorting.get_num_segments() != 1:
        raise DataError(
            f"`spikes`: the sorting has {sorting.get_num_segments()} segments, whose times are not on one clock; store "
            "each as a session, or concatenate them"
        )
    trains = []
    for unit in sorting.get_unit_ids():
        try:
            times = sorting.get_unit_spike_train(unit_id=unit, segment_index=0, return_times=True)
        except TypeError:  # an older version
            times = sorting.get_unit_spike_train(unit_id=unit, segment_index=0) / sorting.get_sampling_frequency()
        trains.append(times)
    return _trains(trains)


def _trains(vectors: list[Any]) -> SpikeTrains:
    if not vectors:
        raise DataError("`spikes` holds no unit")
    times = []
    for unit, vector in enumerate(vectors):
        try:
            values = np.asarray(vector, dtype=np.float64)
        except (TypeError, ValueError) as err:
            raise DataError(f"`spikes`: unit {unit} is not a vector of spike times ({one_line(err)})") from None
        if values.ndim != 1:
            raise DataError(
                f"`spikes`: unit {unit} has the shape {values.shape}; a list of spike times has one vector per unit"
            )
        times.append(values)
    return SpikeTrains(times=tuple(times), ids=tuple(range(len(times))))


def _counts(value: Any, bin_s: float | None) -> Counts:
    counts = np.asarray(value)
    if counts.ndim != 2 or counts.dtype.kind not in "buif":
        raise DataError(
            f"`spikes` is an array of the shape {counts.shape} and type {counts.dtype}; give a (bins, units) matrix of "
            "counts, or a list with the spike times of each unit"
        )
    if bin_s is None:
        raise ConfigError("a matrix of `spikes` has one row per bin: give `bin_width_ms`, or a list of spike times")
    with np.errstate(invalid="ignore"):
        odd = ~((counts >= 0) & (counts == np.round(counts)))
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise DataError(
            f"`spikes` holds {counts[row, column]} at bin {row}, unit {column}; counts are whole numbers from 0"
        )
    _check_upright(counts.shape, "spikes", "units")
    return Counts(values=counts)


# LFP


def lfp_of(value: Any, rate_hz: float | None, start_s: float, bin_s: float | None, bands: int) -> Signal:
    """A signal that is read in slices.

    Args:
        rate_hz: sampling rate of an array; None: one sample per bin.
        start_s: time of the first sample of an array in seconds.
        bin_s: width of bins in seconds; None: not given.

    Raises:
        ConfigError: an array comes with neither rate nor bins, or an object that has a clock comes with a rate.
        DataError: it is no matrix of real numbers, or its time stamps are not uniform.
    """
    if bands < 1:
        raise ConfigError(f"`lfp_bands` must be at least 1, but got {bands}")
    has_clock = hasattr(value, "get_traces") or _is_timed(value)
    if has_clock and rate_hz is not None:
        raise ConfigError("`lfp` has a clock of its own: leave out `lfp_rate_hz`")
    if hasattr(value, "get_traces"):
        return _recording(value, bands)
    matrix = _real(value, "lfp")
    _check_upright(matrix.shape, "lfp", "channels")
    n, width = matrix.shape
    span, runs = None, tuple[Run, ...]()
    if has_clock:
        clock = stamped_clock(_stamps(value), "`lfp`")
        rate_hz, runs = clock.rate_hz, clock.runs
        start_s = runs[0].start_s
        runs = runs if len(runs) > 1 else ()
    elif rate_hz is None:
        if bin_s is None:
            raise ConfigError("give `lfp_rate_hz`, or `bin_width_ms` if there is one sample per bin")
        rate_hz, start_s, span = 1 / bin_s, bin_s / 2, (0.0, n * bin_s)
    elif not rate_hz > 0:
        raise ConfigError(f"`lfp_rate_hz` must be above 0, but got {rate_hz}")
    _check_bands(width, bands)
    return Signal(
        read=lambda a, b: matrix[a:b].astype(np.float32),
        n_samples=n,
        n_channels=width,
        rate_hz=float(rate_hz),
        start_s=float(start_s),
        span=span,
        bands=bands,
        runs=runs,
    )


def _check_bands(width: int, bands: int) -> None:
    if width % bands:
        raise DataError(f"`lfp` has {width} columns, which is not a multiple of `lfp_bands` {bands}")


def _recording(recording: Any, bands: int) -> Signal:
    """The traces of a recording of SpikeInterface in volts, read in slices."""
    if recording.get_num_segments() != 1:
        raise DataError(
            f"`lfp`: the recording has {recording.get_num_segments()} segments; store each as a session, or concatenate"
        )
    if recording.has_time_vector(segment_index=0):
        raise DataError(
            "`lfp`: the recording has a time stamp for each sample; give its traces as an array with `lfp_rate_hz`, or "
            "call its `reset_times()`"
        )
    n_channels = int(recording.get_num_channels())
    gains, offsets = recording.get_channel_gains(), recording.get_channel_offsets()
    gain = np.ones(n_channels) if gains is None else np.asarray(gains, dtype=np.float64) * _MICROVOLTS
    offset = np.zeros(n_channels) if offsets is None else np.asarray(offsets, dtype=np.float64) * _MICROVOLTS

    def read(start: int, stop: int) -> np.ndarray:
        traces = recording.get_traces(segment_index=0, start_frame=start, end_frame=stop)
        return np.multiply(traces, gain, dtype=np.float32, casting="unsafe") + offset.astype(np.float32)

    _check_bands(n_channels, bands)
    return Signal(
        read=read,
        n_samples=int(recording.get_num_samples(segment_index=0)),
        n_channels=n_channels,
        rate_hz=float(recording.get_sampling_frequency()),
        start_s=float(recording.get_start_time(segment_index=0)),
        bands=bands,
        channels=_electrodes(recording, n_channels) if bands == 1 else None,
    )


def _electrodes(recording: Any, n: int) -> ChannelTable:
    """Names, groups, regions and positions of the channels, as far as the recording has them."""
    columns: dict[str, list] = {"electrode": [str(channel) for channel in recording.get_channel_ids()]}
    known = recording.get_property_keys()
    for name, key in (("array", "group"), ("region", "brain_area")):
        if key in known:
            columns[name] = [str(text) for text in recording.get_property(key)]
    if recording.has_probe() or "location" in known:
        places = np.asarray(recording.get_channel_locations(), dtype=np.float64)
        columns |= {f"{axis}_um": places[:, i].tolist() for i, axis in enumerate("xyz"[: places.shape[1]])}
    return channel_table(n, **columns)


# Behavior


def behavior_of(
    value: Any,
    clock: tuple[Any, float | None, float],
    bin_s: float | None,
    names: tuple[str, ...],
    units: tuple[str, ...],
) -> Trace:
    """Samples of behavior with their times.

    Args:
        clock: time stamps or None, rate in Hz or None, and the time of the first sample in seconds.
        bin_s: width of bins in seconds; None: not given.
        names: of the columns; empty: those of the object, or numbers.
        units: of the columns; empty: unknown.

    Raises:
        ConfigError: the clock is missing, or there are two.
        DataError: it is no matrix of real numbers, or names or time stamps differ from it in number.
    """
    stamps, rate_hz, start_s = clock
    values = _real(value, "behavior").astype(np.float64)
    n, width = values.shape
    has_clock = _is_timed(value)
    if has_clock + (stamps is not None) + (rate_hz is not None) > 1:
        raise ConfigError("`behavior` needs one clock: its own, `behavior_times` or `behavior_rate_hz`")
    span = None
    if has_clock or stamps is not None:
        times = _stamps(value) if has_clock else np.asarray(stamps, dtype=np.float64).ravel()
        if len(times) != n:
            raise DataError(f"`behavior` has {n} samples but there are {len(times)} `behavior_times`")
    else:
        _check_upright(values.shape, "behavior", "columns")
        if rate_hz is None and bin_s is None:
            raise ConfigError(
                "give `behavior_times` or `behavior_rate_hz`, or `bin_width_ms` if there is one sample per bin"
            )
        if rate_hz is not None and not rate_hz > 0:
            raise ConfigError(f"`behavior_rate_hz` must be above 0, but got {rate_hz}")
        if rate_hz is not None:
            times = start_s + np.arange(n) / rate_hz
        else:
            assert bin_s is not None
            times, span = (np.arange(n) + 0.5) * bin_s, (0.0, n * bin_s)
    names = names or _column_names(value) or tuple(f"behavior_{i}" for i in range(width))
    units = units or ("",) * width
    for what, words in (("names", names), ("units", units)):
        if len(words) != width:
            raise DataError(f"`behavior` has {width} columns but there are {len(words)} `behavior_{what}`")
    return Trace(times=times, values=values, names=names, units=units, span=span)


def _column_names(value: Any) -> tuple[str, ...]:
    """The names of the columns of a data frame, if they are texts."""
    columns = list(getattr(value, "columns", ()))
    return tuple(columns) if all(isinstance(name, str) for name in columns) else ()


# Trials and intervals


def trials_of(value: Any, bin_s: float | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(bins,) trial number of each bin, or (trials, 2) start and stop in seconds; the other is None.

    Raises:
        ConfigError: numbers per bin come without a bin width.
        DataError: it is neither.
    """
    if hasattr(value, "start") or np.ndim(value) == 2:
        return None, intervals_of(value, "trials")
    labels = np.asarray(value)
    if labels.ndim != 1 or labels.dtype.kind not in "buif" or not np.all(labels == np.round(labels)):
        raise DataError(
            f"`trials` is an array of the shape {labels.shape} and type {labels.dtype}; give (trials, 2) start and "
            "stop in seconds, or the whole number of the trial of each bin"
        )
    if bin_s is None:
        raise ConfigError("`trials` has one number per bin: give `bin_width_ms`, or start and stop of each trial")
    return labels.astype(np.int32), None


def labels_of(
    labels: Mapping[str, Any], n_bins: int | None, trial_of_bin: np.ndarray | None, bounds: np.ndarray | None
) -> tuple[RawLabel, ...]:
    """The labels of `add_session`: one class per bin, or one per trial.

    Args:
        trial_of_bin: (bins,) trial number of each bin, or None.
        bounds: (trials, 2) start and stop of each trial, or None.

    Raises:
        DataError: a label has another length.
    """
    found = []
    for name, value in labels.items():
        values = class_texts(np.asarray(value))
        if bounds is not None and len(values) == len(bounds):
            found.append(RawLabel(name=name, values=values, intervals=bounds))
        elif (in_bins := classes_of_bins(values, n_bins, trial_of_bin)) is not None:
            found.append(RawLabel(name=name, values=in_bins))
        else:
            n_trials = len(trial_numbers(trial_of_bin) if bounds is None else bounds)
            raise DataError(
                f'label "{name}" has {len(values)} values; one per bin ({n_bins or "there are no bins"}) or per trial '
                f"({n_trials}) is needed"
            )
    return tuple(found)


def intervals_of(value: Any, what: str) -> np.ndarray:
    """(n, 2) start and stop in seconds, of an array or an IntervalSet of pynapple.

    Raises:
        DataError: it is not that.
    """
    if hasattr(value, "start") and hasattr(value, "end"):
        value = np.column_stack([np.asarray(value.start), np.asarray(value.end)])
    try:
        bounds = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise DataError(f"`{what}` must be pairs of start and stop in seconds ({one_line(err)})") from None
    if bounds.ndim != 2 or bounds.shape[1] != 2:
        raise DataError(f"`{what}` has the shape {bounds.shape}; (n, 2) start and stop in seconds are needed")
    return bounds


def pieces_of(value: Any) -> np.ndarray | None:
    """(pieces, 2) start and stop of an object of pynapple whose time support has gaps; None: there is no gap."""
    support = getattr(value, "time_support", None)
    if support is None:
        return None
    bounds = intervals_of(support, "time_support")
    return bounds if len(bounds) > 1 else None


# Arrays


def _is_timed(value: Any) -> bool:
    """Whether it is a Ts, Tsd or TsdFrame of pynapple."""
    return hasattr(value, "time_support") and hasattr(value, "t")


def _stamps(value: Any) -> np.ndarray:
    return np.asarray(value.t, dtype=np.float64)


def _real(value: Any, what: str) -> np.ndarray:
    """(samples, columns) of a matrix, vector, data frame or object of pynapple."""
    return as_columns(value.values if hasattr(value, "values") and not callable(value.values) else value, f"`{what}`")


def _check_upright(shape: tuple[int, ...], what: str, columns: str) -> None:
    """Raise DataError for a matrix with more columns than rows, which lies the other way round."""
    if shape[1] > shape[0]:
        raise DataError(
            f"`{what}` has {shape[0]} rows and {shape[1]} columns; its rows must be time and its columns {columns}: "
            f"give `{what}.T`"
        )

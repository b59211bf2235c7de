"""Data that are in memory, in Python, into the store: checked, preprocessed and split as if they came from a file."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.config.manifest import Behavior
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.intervals import shared
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.python_objects import (
    behavior_of,
    intervals_of,
    labels_of,
    lfp_of,
    pieces_of,
    spikes_of,
    trials_of,
)
from raydistill.recordings.raw import Counts, Raw, SpikeTrains
from raydistill.recordings.recording import NoOptions, Recording, RecordingSource
from raydistill.store.catalogue import Entry
from raydistill.store.channels import ChannelTable, channel_table
from raydistill.store.draws import damaged_draws, write_draws
from raydistill.store.session import check_name
from raydistill.store.store import Store

_SLICE_VALUES = 1 << 24


def add_session(
    store: str | Path | Store,
    name: str,
    *,
    subject: str,
    spikes: Any = None,
    lfp: Any = None,
    behavior: Any = None,
    trials: Any = None,
    labels: Mapping[str, Any] | None = None,
    intervals: Any = None,
    bin_width_ms: float | None = None,
    lfp_rate_hz: float | None = None,
    lfp_start_s: float = 0.0,
    lfp_bands: int = 1,
    behavior_times: Any = None,
    behavior_rate_hz: float | None = None,
    behavior_start_s: float = 0.0,
    behavior_names: Sequence[str] = (),
    behavior_units: Sequence[str] = (),
    behavior_processing: Behavior | None = None,
    unit_channels: Mapping[str, Sequence[Any]] | None = None,
    lfp_channels: Mapping[str, Sequence[Any]] | None = None,
    pieces: Literal["auto", "trials", "none"] = "auto",
    dataset: str = "",
    task: str = "",
    region: str = "",
    config: IngestConfig | None = None,
    overwrite: bool = False,
    publish: bool = True,
    report: Callable[[str], None] = print,
) -> Entry:
    """Store one session from objects in memory. All times are in seconds on one clock.

    Args:
        store: path or URI of the store, which is created if it does not exist.
        name: of the session.
        spikes: a list (or dictionary) of spike times, one vector per unit; a (bins, units) matrix of counts, with
            `bin_width_ms`; a sorting of SpikeInterface; or a TsGroup or Ts of pynapple.
        lfp: a (samples, channels) array in volts, with `lfp_rate_hz`, or with one row per bin; a recording of
            SpikeInterface; or a Tsd or TsdFrame of pynapple.
        behavior: a (samples, columns) array with `behavior_times` or `behavior_rate_hz`, or with one row per bin, NaN
            where tracking was lost; a data frame; or a Tsd or TsdFrame of pynapple.
        trials: (trials, 2) start and stop; an IntervalSet of pynapple; or a vector with the trial number of each bin,
            negative outside of trials.
        labels: name -> the class of each trial, or of each bin, as texts or numbers; empty or NaN where unknown. Sweeps
            can decode them (`behavior: {labels: NAME}`).
        intervals: the parts of the recording to use, (n, 2) start and stop or an IntervalSet; None: all of it.
        bin_width_ms: width of the bins of counts and of all arrays that have neither rate nor times.
        lfp_rate_hz: sampling rate of an LFP array, whose first sample is at `lfp_start_s` seconds.
        lfp_bands: features per electrode, such as band powers, in adjacent columns.
        behavior_times: (samples,) time stamps.
        behavior_rate_hz: sampling rate, if there are no time stamps; the first sample is at `behavior_start_s` seconds.
        behavior_names: of the columns.
        behavior_units: of the columns, such as "cm".
        behavior_processing: smoothing, derivatives and so on; only such fields of a manifest's section are used.
        unit_channels: where units were recorded, by columns of `store.channels.COLUMNS`, one value per unit.
        lfp_channels: the same of the LFP's electrodes.
        pieces: see `config.manifest.SessionEntry.pieces`.
        config: preprocessing and splits; None: the defaults, with bins of `bin_width_ms` if that is given, and without
            filters if `lfp_bands` is above 1.
        overwrite: replace a session of this name that was made from something else.
        publish: list the session in the catalogue of the store. This reads the markers of all stored sessions, so for
            many sessions give False, and call `Store(store).publish()` after the last one.
        report: called with each line on what was taken and what was left out.

    Returns:
        The entry of the stored session. If an equal session is stored already, nothing is done.

    Raises:
        ConfigError: an argument is missing or contradicts another one.
        DataError: the data cannot become a session, or another session has this name.
    """
    check_name(name)
    check_name(subject, "subject")
    config = _config(config, bin_width_ms, lfp_bands)
    bin_s = None if bin_width_ms is None else bin_width_ms / 1000
    trains = None if spikes is None else spikes_of(spikes, bin_s)
    signal = None if lfp is None else lfp_of(lfp, lfp_rate_hz, lfp_start_s, bin_s, lfp_bands)
    trace = None
    if behavior is not None:
        clock = (behavior_times, behavior_rate_hz, behavior_start_s)
        trace = behavior_of(behavior, clock, bin_s, tuple(behavior_names), tuple(behavior_units))
        trace = replace(trace, processing=behavior_processing or Behavior())
    numbers, bounds = (None, None) if trials is None else trials_of(trials, bin_s)
    supports = [p for p in map(pieces_of, (spikes, lfp, behavior)) if p is not None]
    raw = Raw(
        spikes=trains and replace(trains, channels=_table(unit_channels, _n_units(trains), "unit_channels")),
        lfp=() if signal is None else (signal,),
        behavior=() if trace is None else (trace,),
        trial_labels=numbers,
        trial_intervals=bounds,
        pieces=shared(supports) if supports else None,
        n_bins=_n_bins(trains, signal, trace, numbers),
        windows=() if intervals is None else tuple(map(tuple, intervals_of(intervals, "intervals").tolist())),
    )
    raw = replace(raw, labels=labels_of(labels or {}, raw.n_bins, numbers, bounds))
    if signal is not None and lfp_channels is not None:
        table = _table(lfp_channels, signal.n_channels // lfp_bands, "lfp_channels")
        raw = replace(raw, lfp=(replace(signal, channels=table),))
    source = RecordingSource(
        layout="", options=NoOptions(), subject=subject, dataset=dataset, task=task, region=region, pieces=pieces
    )
    recording = Recording(name=name, path=Path(name), source=source, config=config)
    opened = store if isinstance(store, Store) else Store(str(store))
    entry = _stored(recording, raw, opened, overwrite, report)
    if publish:
        opened.publish()
    return entry


def _config(config: IngestConfig | None, bin_width_ms: float | None, lfp_bands: int) -> IngestConfig:
    if config is None:
        filters = IngestConfig().filters if lfp_bands == 1 else None
        return IngestConfig(bin_width_ms=bin_width_ms or IngestConfig().bin_width_ms, filters=filters)
    if bin_width_ms is not None and bin_width_ms != config.bin_width_ms:
        raise ConfigError(
            f"the arrays have bins of `bin_width_ms` {bin_width_ms:g} but `config.bin_width_ms` is "
            f"{config.bin_width_ms:g}; give config=IngestConfig(bin_width_ms={bin_width_ms:g})"
        )
    return config


def _stored(recording: Recording, raw: Raw, store: Store, overwrite: bool, report: Callable[[str], None]) -> Entry:
    """Write the session of a `Raw`, unless it is stored already."""
    name = recording.name
    digest = _digest(raw)
    source = recording.source
    described = [source.subject, source.dataset, source.task, source.region, source.pieces]
    identity = fingerprint([FORMAT_VERSION, "from Python", name, digest, described, recording.config])
    before = store.stored(name)
    is_same = before is not None and before.fingerprint == identity
    damaged = damaged_draws(store, name, recording.config, identity) if is_same else []
    if before and is_same and not damaged:
        report(f"{name}: unchanged")
        return before
    if before and not is_same and not overwrite:
        raise DataError(
            f"store {store.uri}: there is a session {name} that was made from other data or settings; give "
            "overwrite=True to replace it, or another name"
        )
    session, notes = to_session(recording, raw, {f"{name} (from Python)": digest})
    entry = write_draws(store, session, recording.config, identity)
    for note in (*(f"{line}; the session is stored again" for line in damaged), *notes):
        report(f"{name}: {note}")
    return entry


def _digest(raw: Raw) -> str:
    """sha256 of all values; LFP is read in slices."""
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        for value in (np.asarray(value) for value in values if value is not None):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        digest.update(b"-")

    if isinstance(raw.spikes, Counts):
        add(raw.spikes.values)
    elif raw.spikes is not None:
        add(*raw.spikes.times, raw.spikes.observed)
    for signal in raw.lfp:
        digest.update(
            f"{signal.rate_hz!r} {signal.start_s!r} {signal.bands} {signal.runs!r} {signal.channels}".encode()
        )
        step = max(1, _SLICE_VALUES // max(1, signal.n_channels))
        for start in range(0, signal.n_samples, step):
            add(signal.read(start, min(start + step, signal.n_samples)))
    for trace in raw.behavior:
        digest.update(repr((trace.names, trace.units, trace.processing)).encode())
        add(trace.times, trace.values)
    add(raw.trial_labels, raw.trial_intervals, raw.pieces, raw.windows)
    for label in raw.labels:
        digest.update(label.name.encode())
        add(label.values, label.intervals)
    digest.update(repr(raw.spikes and raw.spikes.channels).encode())
    return digest.hexdigest()


def _n_units(spikes: Counts | SpikeTrains) -> int:
    return spikes.values.shape[1] if isinstance(spikes, Counts) else len(spikes.times)


def _table(columns: Mapping[str, Sequence[Any]] | None, n: int, what: str) -> ChannelTable | None:
    if columns is None:
        return None
    if not isinstance(columns, Mapping):
        raise ConfigError(f"`{what}` must give lists by name, such as {{'region': ['M1', ...]}}, got {columns!r}")
    try:
        return channel_table(n, **columns)
    except DataError as err:
        raise ConfigError(f"`{what}`: {err}") from None


def _n_bins(spikes, signal, trace, labels) -> int | None:
    """The number of bins of the arrays that have one value per bin; None: there is no such array.

    Raises:
        DataError: they differ in length.
    """
    lengths = {
        "spikes": len(spikes.values) if isinstance(spikes, Counts) else None,
        "lfp": signal.n_samples if signal is not None and signal.span else None,
        "behavior": len(trace.values) if trace is not None and trace.span else None,
        "trials": None if labels is None else len(labels),
    }
    lengths = {what: n for what, n in lengths.items() if n is not None}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{what} {n}" for what, n in lengths.items())
        raise DataError(f"arrays with one value per bin differ in length: {listed}")
    return next(iter(lengths.values()), None)

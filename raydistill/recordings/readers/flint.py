"""Flint et al. (2012), monkey C: MATLAB 5 files that hold the trials of one to four sessions.

`Subject` is a struct array of sessions, `Subject.Trial` one of trials, `Trial.Neuron` one of units, some of which have
an LFP channel. All times are in seconds on one clock. Spikes and behavior are small and are concatenated. LFP stays as
loaded, trial by trial, and is placed on one clock of 2 kHz when it is read, with NaN between the trials
(docs/methods.md, Data and preprocessing).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.files.mat_headers import headers
from raydistill.recordings.planning.search import files_below
from raydistill.recordings.raw import Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.flint_trials import LFP_HZ, RATE_HZ, STEP_S, FlintTrial, session_trials
from raydistill.recordings.recording import Layout, NoOptions, Recording, RecordingSource
from raydistill.store.channels import ChannelTable, channel_table

SESSIONS = {"e1": 1, "e2": 2, "e3": 4, "e4": 3, "e5": 2}
"""Number of sessions in each of the published files."""
_MOST_SESSIONS = 100  # in a file; more of them mean a damaged one
_ARRAY = "M1"  # the array and the region
_FILE = re.compile(r"flint_2012_(e[1-5])\.mat", re.IGNORECASE)


def find(folder: Path) -> list[Recording]:
    """The sessions in the files `Flint_2012_e1.mat` to `_e5.mat` anywhere in `folder`, such as MonkeyC_e2_1."""
    recordings = []
    for path in files_below(folder, _FILE.fullmatch):
        experiment = path.stem[-2:].lower()
        for part in map(str, range(1, _session_count(path, experiment) + 1)):
            source = RecordingSource(
                layout=LAYOUT.name,
                options=NoOptions(),
                part=part,
                subject="C",
                dataset="flint",
                task="CO",
                region=_ARRAY,
            )
            name = f"MonkeyC_{experiment}_{part}"
            recordings.append(Recording(name=name, path=path, source=source, config=LAYOUT.config))
    return recordings


def _session_count(path: Path, experiment: str) -> int:
    """The count in the head of the file. A damaged file, which fails when it is opened, counts as the published one."""
    try:
        count = prod(headers(path)["Subject"].shape)
    except Exception:
        return SESSIONS[experiment]
    return count if count <= _MOST_SESSIONS else SESSIONS[experiment]


@contextmanager
def open_raw(path: Path, source: RecordingSource[NoOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of session `source.part` (from 1) of a file.

    Raises:
        DataError: the file is damaged, or a field is missing, of another type or length, or off the clock.
    """
    try:
        yield _raw(session_trials(path, source.part))
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _raw(trials: list[FlintTrial]) -> Raw:
    start_s = float(trials[0].time[0])
    bounds, joined = _placed(trials, start_s)
    pieces = np.column_stack([bounds[np.r_[True, ~joined], 0], bounds[np.r_[~joined, True], 1]])
    times = np.concatenate([t.time for t in trials])
    units = range(len(trials[0].spikes))
    return Raw(
        spikes=SpikeTrains(
            times=tuple(np.sort(np.concatenate([t.spikes[u] for t in trials])) for u in units),
            ids=tuple(units),
            channels=_on_array(len(units)),  # the files do not state the electrodes of units
        ),
        lfp=_lfp(trials, bounds, start_s),
        behavior=(
            Trace(
                times=times,
                values=np.concatenate([t.velocity for t in trials]),
                names=("velocity_x", "velocity_y"),
                units=("", ""),  # the files do not state them
                span=(start_s, float(times[-1]) + STEP_S),
            ),
        ),
        trial_intervals=np.array([(t.time[0], t.time[-1] + STEP_S) for t in trials]),
        pieces=start_s + pieces / LFP_HZ,
        subject="C",
        region=_ARRAY,
    )


def _placed(trials: list[FlintTrial], start_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(trials, 2) first and last LFP sample of each trial; (trials - 1,) whether the next trial follows without a gap.

    There is no gap if the next trial starts within half a step of `Time` after the end of the previous one.
    """
    spans = np.array([(t.time[0], t.time[-1] + STEP_S) for t in trials])
    bounds = np.round((spans - start_s) * LFP_HZ).astype(np.int64)
    between = bounds[1:, 0] - bounds[:-1, 1]
    half_step = LFP_HZ // RATE_HZ // 2
    if np.any(between < -half_step):
        at = int(np.argmax(between < -half_step))
        pair = f"trials {trials[at].number} and {trials[at + 1].number}"
        raise DataError(f"{pair} overlap by {-between[at] / LFP_HZ:.3f} s")
    joined = between <= half_step
    bounds[:-1, 1][joined] = bounds[1:, 0][joined]
    return bounds, joined


def _lfp(trials: list[FlintTrial], bounds: np.ndarray, start_s: float) -> tuple[Signal, ...]:
    channels = [n for n in range(len(trials[0].lfp)) if any(len(t.lfp[n]) for t in trials)]
    if not channels:
        return ()
    per_trial = [tuple(t.lfp[n] for n in channels) for t in trials]
    signal = Signal(
        read=partial(_read, per_trial, bounds),
        n_samples=int(bounds[-1, 1]),
        n_channels=len(channels),
        rate_hz=float(LFP_HZ),
        start_s=start_s,
        # The first entries of `Neuron` hold one electrode each; the unit of an entry may be from another electrode.
        channels=_on_array(len(channels), electrode=[n + 1 for n in channels]),
    )
    return (signal,)


def _on_array(n: int, **columns: list[int]) -> ChannelTable:
    """n rows of the one array, whose grid is unknown."""
    return channel_table(n, array=[_ARRAY] * n, region=[_ARRAY] * n, **columns)


def _read(per_trial, bounds: np.ndarray, start: int, stop: int) -> np.ndarray:
    """(stop - start, C) float32; NaN between trials and where a trial lacks the channel.

    If the LFP of a trial is a few samples short, its last sample is repeated.
    """
    out = np.full((stop - start, len(per_trial[0])), np.nan, dtype=np.float32)
    for i in range(np.searchsorted(bounds[:, 1], start, "right"), np.searchsorted(bounds[:, 0], stop)):
        first, last = max(start, bounds[i, 0]), min(stop, bounds[i, 1])
        rows = np.arange(first, last) - bounds[i, 0]
        for column, samples in enumerate(per_trial[i]):
            if len(samples):
                out[first - start : last - start, column] = samples[np.minimum(rows, len(samples) - 1)]
    return out


LAYOUT = Layout(
    name="flint",
    title="Flint 2012",
    files="`Flint_2012_e1.mat` to `_e5.mat`",
    sessions="`MonkeyC_e1_1` to `MonkeyC_e5_2`",
    find=find,
    open=open_raw,
    config=IngestConfig(bin_width_ms=10, min_rate_hz=1.0),  # the paper leaves out units below 1 Hz
    # The released code has neither notch nor high-pass for these files, and leaves out windows of restless behavior.
    # REALM leaves out such windows, too.
    by_protocol={
        "released": {"filters": {"notch_hz": None, "highpass_hz": None}, "splits": {"outliers": "drop"}},
        "realm": {"splits": {"outliers": "drop"}},
    },
)

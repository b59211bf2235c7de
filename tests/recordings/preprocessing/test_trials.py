"""Trials and pieces: what is outside is told or refused, and trials that were laid end to end stay apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.raw import Counts, Raw, Run, SpikeTrains, Trace
from raydistill.recordings.readers.arrays import ArrayOptions
from raydistill.recordings.recording import Recording, RecordingSource
from tests.recordings.signals import signal

TRIALS, BINS = 24, 500  # of 10 ms
SECONDS = TRIALS * BINS / 100


def session(raw, pieces="auto", **config):
    """The session, and the notes after the summary."""
    source = RecordingSource(layout="arrays", options=ArrayOptions(), pieces=pieces)
    recording = Recording(name="s", path=Path("s.h5"), source=source, config=IngestConfig(**config))
    made, (_, *notes) = to_session(recording, raw, {})
    return made, notes


@pytest.fixture
def binned():
    """Counts of 24 trials of 5 s, laid end to end, with their labels."""
    counts = np.random.default_rng(0).poisson(1, (TRIALS * BINS, 3))
    return Raw(spikes=Counts(values=counts), n_bins=len(counts), trial_labels=np.repeat(np.arange(TRIALS), BINS))


def trace(values, derive=None):
    """Behavior with one sample per bin."""
    n, width = values.shape
    return Trace(
        times=(np.arange(n) + 0.5) / 100,
        values=values,
        names=tuple(f"x{i}" for i in range(width)),
        units=("m",) * width,
        span=(0.0, n / 100),
        processing=Behavior(derive=derive),
    )


@pytest.fixture
def jumping():
    """Circles of 1 m per second, 50 m further in every trial: no speed is above 1 m/s."""
    t = np.arange(BINS) / 100
    return np.concatenate([np.column_stack([np.sin(t), np.cos(t)]) + 50 * k for k in range(TRIALS)])


def test_trials_laid_end_to_end_are_derived_within_each_if_they_are_pieces(binned, jumping):
    made, notes = session(replace(binned, behavior=(trace(jumping, "velocity"),)), "trials")
    assert np.nanmax(np.abs(made.behavior)) <= 1.0 and not np.isnan(made.behavior).any() and notes == []
    assert np.array_equal(made.piece, binned.trial_labels)


def test_behavior_that_jumps_between_trials_is_an_error_that_names_the_setting(binned, jumping):
    raw = replace(binned, behavior=(trace(jumping, "velocity"),))
    with pytest.raises(DataError, match=r"jumps at 23 of 23 borders .* by up to 51 .* `pieces: trials`"):
        session(raw)
    made, _ = session(raw, "none")
    assert np.nanmax(np.abs(made.behavior)) > 1000


def test_continuous_behavior_over_trials_without_gaps_is_no_error(binned):
    t = np.arange(TRIALS * BINS) / 100
    made, notes = session(replace(binned, behavior=(trace(np.sin(t)[:, None], "velocity"),)))
    assert made.piece is None and notes == []


def test_lfp_of_trials_laid_end_to_end_is_filtered_within_each(binned):
    """Each trial has its own constant voltage: after a high-pass nothing of it remains, at the borders neither."""
    steps = np.random.default_rng(1).normal(size=TRIALS) * 100
    level = lambda t: steps[np.clip((t / 5 + 1e-9).astype(int), 0, TRIALS - 1)][:, None] * [1.0, 2.0]  # noqa: E731
    raw = replace(binned, lfp=(signal(level, 1000.0, SECONDS),))
    apart, _ = session(raw, "trials")
    assert np.abs(apart.lfp).max() < 1e-3
    seams, notes = session(raw)
    assert np.abs(seams.lfp).max() > 10 and any("set `pieces: trials`" in note for note in notes)


def test_pieces_of_trials_without_trials_are_an_error():
    with pytest.raises(DataError, match="`pieces: trials` needs trials"):
        session(Raw(spikes=Counts(values=np.ones((100, 1), int)), n_bins=100), "trials")


def test_gaps_in_the_clock_of_lfp_are_pieces_and_later_samples_keep_their_time():
    """LFP stops at 30 s and goes on at 33 s; its values are ten times the time."""

    def read(start, stop):
        rows = np.arange(start, stop)
        return (10 * (rows / 1000 + 3.0 * (rows >= 30_000)))[:, None].astype(np.float32)

    runs = (Run(first=0, stop=30_000, start_s=0.0), Run(first=30_000, stop=60_000, start_s=33.0))
    lfp = replace(signal(lambda t: t[:, None], 1000.0, 60.0), read=read, runs=runs)
    made, _ = session(Raw(lfp=(lfp,)), filters=None)
    assert made.n_bins == 6300 and made.piece[2999] == 0 and made.piece[3300] == 1
    assert np.all(made.piece[3000:3300] == -1)
    seconds = (np.arange(6300) + 0.5) / 100
    for rows in (slice(50, 2950), slice(3350, 6250)):
        assert made.lfp[rows, 0] == pytest.approx(10 * seconds[rows], abs=1e-2)


SPIKES = SpikeTrains(times=(np.arange(0.05, 120, 0.1),), ids=(0,), observed=(0.0, 120.0))


def test_trials_all_outside_of_the_recording_are_an_error_that_asks_for_the_unit():
    starts = np.arange(20) * 5000.0 + 1000
    raw = Raw(spikes=SPIKES, trial_intervals=np.column_stack([starts, starts + 3000]))
    with pytest.raises(
        DataError, match=r"all 20 trials \(1000 to 99000 s\) are outside the recording \(0 to 120 s\).*`time_unit`"
    ):
        session(raw)


def test_trials_partly_outside_are_told_and_those_inside_are_kept():
    starts = np.arange(20) * 10.0
    made, notes = session(Raw(spikes=SPIKES, trial_intervals=np.column_stack([starts, starts + 5])), max_lost=0.5)
    assert sorted(set(made.trial)) == [-1, *range(12)]
    assert notes[:-1] == ["8 of 20 trials are not completely in the recording and were left out"]


def test_trials_without_start_are_told():
    starts = np.array([0.0, np.nan, 20.0])
    _, notes = session(Raw(spikes=SPIKES, trial_intervals=np.column_stack([starts, starts + 5])))
    assert notes[:-1] == ["1 of 3 trials have no start or stop and were left out"]


def test_label_zero_that_returns_between_trials_is_an_error_that_names_the_setting(binned):
    labels = np.zeros(TRIALS * BINS, dtype=int)
    for k in range(20):
        labels[k * 600 + 50 : k * 600 + 450] = k + 1
    with pytest.raises(DataError, match=r"trial label 0 comes 21 times, .* 20 runs of other labels.* outside: zero"):
        session(replace(binned, trial_labels=labels))


def test_labels_that_return_are_told(binned):
    labels = np.repeat([1, 2, 1, 3], 3000)
    _, notes = session(replace(binned, trial_labels=labels))
    assert notes == ["1 trial labels return after other labels (first: 1, 2 times); each run counts as a trial"]


# What is outside of the recording, and how much


def test_spikes_nearly_all_outside_are_an_error_that_asks_for_the_unit():
    """Times in milliseconds: 0.1 % of them are within the 120 s of the LFP."""
    times = np.sort(np.random.default_rng(0).uniform(0, 120_000, 6000))
    raw = Raw(spikes=SpikeTrains(times=(times,), ids=(0,)), lfp=(signal(lambda t: t[:, None], 250.0, 120.0),))
    with pytest.raises(DataError, match=r"599\d of 6000 spikes \(99\.9%\) are outside .*milliseconds.*`time_unit`"):
        session(raw, filters=None)


def test_behavior_nearly_all_missing_is_an_error_that_asks_for_the_unit():
    slow = Trace(times=np.arange(12000) * 10.0, values=np.zeros((12000, 1)), names=("x",), units=("",))
    spikes = SpikeTrains(times=(np.sort(np.random.default_rng(0).uniform(0, 120, 2400)),), ids=(0,))
    with pytest.raises(DataError, match=r"behavior is missing in 100\.0% of the bins"):
        session(Raw(spikes=spikes, behavior=(slow,)), max_lost=0.99, bin_width_ms=100)


def test_lfp_that_lasts_twice_as_long_as_the_rest_is_told():
    spikes = SpikeTrains(times=(np.arange(0.05, 240, 0.1),), ids=(0,), observed=(0.0, 240.0))
    _, notes = session(Raw(spikes=spikes, lfp=(signal(lambda t: t[:, None], 250.0, 480.0),)), filters=None)
    assert notes == [
        "240.0 of 480.0 s (50%) of lfp are unused, because other signals cover 0.0 to 240.0 s only; "
        "is the rate of lfp right?"
    ]


def test_intervals_without_an_end_reach_the_end_of_the_recording(binned):
    made, notes = session(replace(binned, trial_labels=None, windows=((-np.inf, 20.0), (30.0, np.inf))))
    assert made.n_bins == TRIALS * BINS and not notes
    assert made.piece.tolist() == [0] * 2000 + [-1] * 1000 + [1] * (TRIALS * BINS - 3000)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (((0.0, 20.0), (200.0, 300.0)), "the interval 200 to 300 s is outside the recording"),
        (((0.0, 30.0), (20.0, 60.0)), "intervals 0 to 30 s and 20 to 60 s overlap"),
    ],
)
def test_intervals_that_cannot_be_used_are_refused(binned, windows, message):
    with pytest.raises(DataError, match=message):
        session(replace(binned, windows=windows))


def test_what_an_interval_asks_for_beyond_the_recording_is_told(binned):
    made, notes = session(replace(binned, windows=((60.0, 400.0),)))
    assert made.n_bins == 6000 and "of the interval 60 to 400 s, only 60 to 120 s is recorded" in notes


@pytest.mark.parametrize("labels", [[0, 1] * 12, [0, 1, 0, 2] * 6, [0, 5, 0, 6, 7, 0, 8, 9, 10, 11]])
def test_label_0_that_returns_between_others_asks_what_it_means(binned, labels):
    runs = np.resize(np.repeat(labels, 100), TRIALS * BINS)
    runs[len(labels) * 100 :] = 99
    with pytest.raises(DataError, match="outside: zero"):
        session(replace(binned, trial_labels=runs))


def test_labels_that_are_all_outside_of_trials_are_refused(binned):
    with pytest.raises(DataError, match="all bins are outside of trials"):
        session(replace(binned, trial_labels=np.full(TRIALS * BINS, -1)))


def test_trials_that_nearly_all_lack_a_time_are_refused(binned):
    intervals = np.full((TRIALS, 2), np.nan)
    intervals[0] = 1, 4
    with pytest.raises(DataError, match="23 of 24 trials have no start or stop"):
        session(replace(binned, trial_labels=None, trial_intervals=intervals))


def test_trials_outside_the_recording_ask_for_their_unit_although_they_are_its_pieces(binned):
    starts = np.arange(TRIALS) * 5000.0 + 1000
    with pytest.raises(DataError, match=r"all 24 trials .* are they in seconds"):
        session(replace(binned, trial_labels=None, trial_intervals=np.column_stack([starts, starts + 4000])), "trials")


def test_trials_before_the_first_and_after_the_last_spike_are_kept_whole():
    times = np.arange(0.5, 59.6, 0.1)
    intervals = np.column_stack([np.arange(0, 60, 5), np.arange(5, 65, 5)]).astype(float)
    made, notes = session(Raw(spikes=SpikeTrains(times=(times,), ids=(0,)), trial_intervals=intervals))
    assert (made.start_s, made.n_bins) == (0.0, 6000) and not notes
    assert made.trial.tolist() == np.repeat(np.arange(12), 500).tolist()


def test_trials_in_gaps_are_told(binned):
    starts = np.arange(TRIALS) * 5.0
    raw = replace(
        binned,
        trial_labels=None,
        trial_intervals=np.column_stack([starts, starts + 4]),
        pieces=np.array([[0.0, 40.0], [52.0, 120.0]]),
    )
    made, notes = session(raw)
    assert set(made.trial.tolist()) == {-1, *range(8), *range(10, TRIALS)}
    assert any(note.startswith("2 of 24 trials are completely in gaps") for note in notes)

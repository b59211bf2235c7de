"""Clock, spikes, trials and pieces, against signals whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, LfpFilters, Splits
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.bins import common_bins
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.preprocessing.spikes import counts_of
from raydistill.recordings.raw import Counts, Raw, SpikeTrains, Trace
from raydistill.recordings.readers.arrays import ArrayOptions
from raydistill.recordings.recording import Recording, RecordingSource
from raydistill.store.channels import channel_table
from tests.recordings.signals import bins, signal, trace

NO_CAR = LfpFilters(common_average=False)


def session(raw, pieces="auto", **config):
    """The session, and the notes after the summary of what it holds."""
    recording = Recording(
        name="s",
        path=Path("s.h5"),
        source=RecordingSource(layout="arrays", options=ArrayOptions(), pieces=pieces),
        config=IngestConfig(**config),
    )
    made, (_, *notes) = to_session(recording, raw, {})
    return made, tuple(notes)


# The clock and the spikes


def test_common_clock_begins_where_all_modalities_are_there():
    trace = Trace(times=np.arange(2, 50, 0.02), values=np.zeros((2400, 1)), names=("x",), units=("m",))
    sig = signal(lambda t: t[:, None], 250.0, 40, start_s=5.0)
    raw = Raw(spikes=SpikeTrains(times=(), ids=(), observed=(0.0, 44.0)), lfp=(sig,), behavior=(trace,))
    clock = common_bins(raw, 0.1)
    assert (clock.start_s, clock.n) == (5.0, 390)


def test_common_clock_of_modalities_that_never_meet_is_refused():
    raw = Raw(
        spikes=SpikeTrains(times=(), ids=(), observed=(100.0, 200.0)), lfp=(signal(lambda t: t[:, None], 250.0, 40),)
    )
    with pytest.raises(DataError, match=r"lfp 0\.000 to 40\.000 s, spikes 100\.000 to 200\.000 s"):
        common_bins(raw, 0.1)


def test_spikes_on_bin_borders_belong_to_the_bin_that_begins_there():
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.30001, 0.69999])
    counts = counts_of(times, bins(7, width_s=0.1))
    assert counts.tolist() == [1, 1, 1, 2, 0, 0, 1]


def trains_raw(*times, seconds=20.0):
    return Raw(
        spikes=SpikeTrains(times=tuple(map(np.asarray, times)), ids=tuple(range(len(times))), observed=(0.0, seconds))
    )


REGULAR = np.arange(0.005, 20, 0.1)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1.0, 3.0, 2.0], "unit 1: spike 2 at 2.0000 s is earlier than spike 1"),
        ([1.0, np.nan], "unit 1: spike 1 has no finite time"),
        ([1000.0, 2000.0], "unit 1: all 2 spikes .* outside the recording"),
        ([], r"unit 1 has no spike .*drop_units: \[1\].*min_rate_hz"),
        (np.full(300, 5.001), r"unit 1 has 300 spikes in the bin at 5\.000 s; .* 255"),
    ],
)
def test_invalid_spikes_are_errors_naming_the_unit(times, message):
    with pytest.raises(DataError, match=message):
        session(trains_raw(REGULAR, times), bin_width_ms=10)


def test_spikes_a_little_past_the_end_are_left_out_in_silence_and_many_with_a_note():
    little, notes = session(trains_raw(np.append(REGULAR, 20.003)), bin_width_ms=10)
    assert little.spikes.sum() == 200 and notes == ()
    much, notes = session(trains_raw(np.append(REGULAR, [25.0, 26.0])), bin_width_ms=10)
    assert much.spikes.sum() == 200 and "2 of 202 spikes" in notes[0]


def test_units_dropped_and_too_slow_are_left_out_under_their_own_numbers():
    raw = trains_raw(REGULAR, REGULAR + 0.001, [3.0], REGULAR + 0.002)
    kept, notes = session(raw, bin_width_ms=10, drop_units=(0,), min_rate_hz=1.0)
    assert kept.spikes.shape == (2000, 2) and notes == ("units below 1 Hz left out: 2",)
    with pytest.raises(DataError, match="there is no unit 9; they are numbered 0 to 3"):
        session(raw, drop_units=(9,))


def test_counts_above_255_are_an_error_naming_the_unit():
    counts = np.ones((20, 2), dtype=np.int64)
    counts[4, 1] = 256
    with pytest.raises(DataError, match="unit 1 has 256 spikes"):
        session(Raw(spikes=Counts(values=counts), n_bins=20), bin_width_ms=100)


# Trials


def test_trial_intervals_label_the_bins_of_whole_trials_only():
    raw = replace(trains_raw(REGULAR), trial_intervals=np.array([[-3.0, 1.0], [2.0, 3.0], [3.0, 4.5], [19.0, 22.0]]))
    trial = session(raw, bin_width_ms=500)[0].trial
    assert trial.tolist() == [-1] * 4 + [1] * 2 + [2] * 3 + [-1] * 31


def test_bins_outside_of_trials_that_are_used_are_told_unless_whole_trials_are_segments():
    raw = replace(trains_raw(REGULAR), trial_intervals=np.array([[2.0, 3.0], [3.0, 7.0]]))
    _, notes = session(raw, bin_width_ms=10)
    assert notes[-1].startswith("75.0% of the bins are outside of trials and are used all the same")
    _, notes = session(raw, bin_width_ms=10, splits=Splits(by="trials"))
    assert notes == ()
    _, notes = session(replace(raw, trial_intervals=np.array([[0.0, 12.0], [12.0, 20.0]])), bin_width_ms=10)
    assert notes == ()


def test_trial_intervals_that_overlap_are_refused():
    raw = replace(trains_raw(REGULAR), trial_intervals=np.array([[5.0, 7.0], [6.0, 8.0]]))
    with pytest.raises(DataError, match="trials 0 and 1 overlap by 1"):
        session(raw, bin_width_ms=100)


# All modalities


def test_session_of_all_modalities_shares_one_clock():
    raw = replace(
        trains_raw(REGULAR, REGULAR),
        lfp=(signal(lambda t: np.sin(t)[:, None] * [1.0, 2.0], 250.0, 18.0, start_s=1.0),),
        behavior=(trace(np.arange(0, 20, 0.01), np.zeros((2000, 2))),),
        subject="rat 1",
        region="CA1",
    )
    made, _ = session(raw, bin_width_ms=20)
    assert (made.n_bins, made.start_s, made.subject, made.region) == (900, 1.0, "rat_1", "CA1")
    assert made.spikes.dtype == np.uint8 and made.lfp.dtype == np.float32 and made.behavior.dtype == np.float32


def test_drop_channels_of_a_number_that_is_not_there_is_refused():
    raw = replace(trains_raw(REGULAR), lfp=(signal(lambda t: np.sin(t)[:, None] * [1.0, 2.0], 250.0, 20.0),))
    with pytest.raises(DataError, match="there is no LFP channel 2; they are numbered 0 to 1"):
        session(raw, drop_channels=(2,))


def test_pieces_are_filtered_separately_and_label_the_bins_that_they_contain():
    """Between the pieces there is a step of 1 V and lost samples; neither may change a piece."""

    def between(t):
        voltage = np.sin(2 * np.pi * t)[:, None] * [1e-3, 2e-3]
        voltage[(t >= 8) & (t < 12)] = np.where(t[(t >= 8) & (t < 12)] < 10, 1.0, np.nan)[:, None]
        return voltage

    pieces = np.array([[0.0, 8.0], [12.0, 20.0]])
    whole = replace(trains_raw(REGULAR), lfp=(signal(between, 1000.0, 20.0),), pieces=pieces)
    made, _ = session(whole, filters=NO_CAR)
    assert np.unique(made.piece[:800]).tolist() == [0] and np.unique(made.piece[1200:]).tolist() == [1]
    assert np.all(made.piece[800:1200] == -1) and not made.lfp[800:1200].any()
    clean = replace(
        trains_raw(REGULAR[REGULAR < 8]),
        lfp=(signal(lambda t: np.sin(2 * np.pi * t)[:, None] * [1e-3, 2e-3], 1000.0, 8.0),),
    )
    alone, _ = session(clean, filters=NO_CAR)
    assert np.abs(made.lfp[:800] - alone.lfp).max() < 1e-6


def test_dropped_unit_says_nothing_about_the_time_of_the_recording():
    times = tuple(np.arange(0.05, 60, 0.1) + 0.001 * k for k in range(3))
    strange = (np.array([30000.0, 70000.0]), *times)
    trains = SpikeTrains(times=strange, ids=(0, 1, 2, 3), channels=channel_table(4, electrode=["a", "b", "c", "d"]))
    made, _ = session(Raw(spikes=trains), drop_units=(0,))
    assert made.n_bins == 5990 and made.spikes.sum() == pytest.approx(1800, abs=3)
    assert made.unit_channels.electrode == ("b", "c", "d")
    with pytest.raises(DataError, match="leaves none of the 4 units"):
        session(Raw(spikes=trains), drop_units=(0, 1, 2, 3))


def test_time_without_spikes_at_the_end_is_told_and_asks_for_the_rates():
    times = np.sort(np.random.default_rng(0).uniform(0, 60, 1800))
    behavior = trace(np.arange(0, 600, 0.2), np.zeros(3000))
    raw = Raw(spikes=SpikeTrains(times=(times,), ids=(0,)), behavior=(behavior,))
    with pytest.raises(
        DataError, match=r"from 0\.0\d to 59\.9\d s only, of 0\.00 to 600\.00 s \(90% without a spike\)"
    ):
        session(raw)
    _, notes = session(raw, max_lost=0.95)
    assert any("no unit has a spike from 59.9" in note and "to 600.00 s, 90%" in note for note in notes)


def test_spikes_in_milliseconds_alone_are_refused():
    times = np.sort(np.random.default_rng(0).uniform(0, 60_000, 1800))
    with pytest.raises(DataError, match=r"16\.7 hours: are they in seconds"):
        session(Raw(spikes=SpikeTrains(times=(times,), ids=(0,))))


def test_bins_of_a_file_that_are_mostly_outside_of_behavior_are_refused():
    raw = Raw(
        spikes=Counts(values=np.ones((6000, 2), dtype=int)),
        n_bins=6000,
        behavior=(trace(np.arange(0, 6, 0.02), np.zeros(300)),),
    )
    with pytest.raises(DataError, match=r"54\.0 of the 60\.0 s that are binned"):
        session(raw)
    assert session(raw, max_lost=0.95)[0].n_bins == 600

"""Clock, spikes, trials and behavior, against signals whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.behavior import behavior_on_bins, prepared
from raydistill.recordings.preprocessing.bins import common_bins
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.preprocessing.spikes import counts_of
from raydistill.recordings.raw import Counts, Raw, SpikeTrains, Trace
from raydistill.recordings.readers.arrays import ArrayOptions
from raydistill.recordings.recording import Recording, RecordingSource
from tests.recordings.signals import bins, signal

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


def test_trial_intervals_that_overlap_are_refused():
    raw = replace(trains_raw(REGULAR), trial_intervals=np.array([[5.0, 7.0], [6.0, 8.0]]))
    with pytest.raises(DataError, match="trials 0 and 1 overlap by 1"):
        session(raw, bin_width_ms=100)


# Behavior


def trace(times, values):
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    names = tuple(f"position_{a}" for a in "xyz"[: values.shape[1]])
    return Trace(times=np.asarray(times, dtype=np.float64), values=values, names=names, units=("cm",) * len(names))


def on_bins(tr, clock, gap_s=0.5, **options):
    return behavior_on_bins(prepared(tr, Behavior(**options)), clock, gap_s)[:, 0]


def test_behavior_on_irregular_stamps_is_interpolated_at_true_times(rng):
    times = np.sort(rng.uniform(0, 20, 1500))
    clock = bins(190, width_s=0.1, start_s=0.5)
    assert np.allclose(on_bins(trace(times, 3 * times + 1), clock), 3 * clock.centres + 1, atol=1e-5)


def test_behavior_out_of_order_and_repeated_stamps_are_merged():
    times = np.arange(0, 10, 0.02)
    values = 2 * times
    shuffled = np.random.default_rng(0).permutation(len(times))
    again = trace(np.append(times[shuffled], [5.0, np.nan]), np.append(values[shuffled], [30.0, 99.0]))
    merged = prepared(again, Behavior())
    assert len(merged.times) == len(times) and np.all(np.diff(merged.times) > 0)
    assert merged.values[250, 0] == pytest.approx((10.0 + 30.0) / 2)


def test_behavior_frames_almost_on_top_of_each_other_do_not_make_velocity_explode():
    times = np.sort(np.append(np.arange(0, 10, 0.0167), 5.0101))
    steps = np.round(10 * times)  # pixels
    steps[np.searchsorted(times, 5.0101)] += 1
    assert np.abs(on_bins(trace(times, steps), bins(480, width_s=0.02, start_s=0.2), derive="velocity")).max() < 70


def test_behavior_gaps_longer_than_allowed_become_nan_and_shorter_ones_are_bridged():
    times = np.arange(0, 20, 0.02)
    times = times[~((times > 4) & (times < 4.3)) & ~((times > 10) & (times < 12))]
    clock = bins(200, width_s=0.1)
    out = on_bins(trace(times, times), clock)
    lost = np.isnan(out)
    assert np.array_equal(lost, (clock.centres > 10) & (clock.centres < 12))
    assert np.allclose(out[~lost], clock.centres[~lost], atol=0.02)


def test_behavior_nan_samples_count_as_lost():
    times = np.arange(0, 20, 0.02)
    values = np.where((times >= 6) & (times < 7), np.nan, times)
    out = on_bins(trace(times, values), bins(200, width_s=0.1))
    assert np.flatnonzero(np.isnan(out)).tolist() == list(range(60, 70))


def test_behavior_at_bin_centres_passes_unchanged_with_its_long_gaps(rng):
    clock = bins(300, width_s=0.1)
    values = rng.normal(size=300).astype(np.float32)
    values[50:70] = np.nan
    assert np.array_equal(on_bins(trace(clock.centres, values), clock), values, equal_nan=True)


def test_behavior_faster_than_the_bins_is_averaged_instead_of_aliased():
    times = np.arange(0, 30, 0.001)
    hum = np.sin(2 * np.pi * 50 * times)
    assert np.abs(on_bins(trace(times, hum), bins(280, width_s=0.1, start_s=0.5))).max() < 0.01


def test_velocity_is_the_derivative_at_native_times():
    times = np.sort(np.random.default_rng(1).uniform(0, 30, 3000))
    clock = bins(1400, width_s=0.02, start_s=1.0)
    velocity = on_bins(trace(times, np.sin(times)), clock, derive="velocity")
    assert np.abs(velocity - np.cos(clock.centres)).max() < 0.01


def test_velocity_columns_are_named_and_chosen():
    tr = trace(np.arange(0, 5, 0.02), np.zeros((250, 2)))
    derived = prepared(tr, Behavior(derive="velocity"))
    assert (derived.names, derived.units) == (("velocity_x", "velocity_y"), ("cm/s", "cm/s"))
    both = prepared(tr, Behavior(derive="velocity", columns=("velocity_y", "position_x")))
    assert (both.names, both.units) == (("velocity_y", "position_x"), ("cm/s", "cm"))
    with pytest.raises(DataError, match='no behavior column "velocity_z"; did you mean'):
        prepared(tr, Behavior(derive="velocity", columns=("velocity_z",)))


def test_tracking_jumps_are_lost_and_bridged():
    times = np.arange(0, 20, 0.02)
    values = np.where((times > 8) & (times < 8.2), times + 300, times)
    out = on_bins(trace(times, values), bins(200, width_s=0.1), max_speed=100)
    assert np.abs(out - bins(200, width_s=0.1).centres).max() < 0.05


def test_smoothing_takes_noise_out_of_a_derived_velocity(rng):
    times = np.arange(0, 30, 0.02)
    noisy = trace(times, np.sin(times) + rng.normal(0, 0.02, len(times)))
    clock = bins(1300, width_s=0.02, start_s=2.0)
    error = lambda **o: np.std(on_bins(noisy, clock, derive="velocity", **o) - np.cos(clock.centres))  # noqa: E731
    assert error(smooth_s=0.2) < 0.1 * error()


def test_behavior_lost_throughout_is_an_error():
    with pytest.raises(DataError, match="lost in every bin"):
        on_bins(trace(np.arange(0, 20, 0.02), np.full(1000, np.nan)), bins(100, width_s=0.1))


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

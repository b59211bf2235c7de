import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy import signal

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError
from raydistill.simulation.simulate import generate, generate_session, session_names, simulate

SMALL = SyntheticConfig(
    subjects=2, sessions_per_subject=2, duration_s=20, min_units=6, max_units=10, min_channels=8, max_channels=12
)
SILENT = {name: 0.0 for name in ("motor_potential_uv", "beta_uv", "shared_uv", "private_uv", "reference_uv", "line_uv")}


def only(**terms):
    """A configuration whose LFP has these terms alone."""
    return dataclasses.replace(SMALL, **(SILENT | terms))


def arrays(recording):
    values = dataclasses.asdict(recording)
    return [*values.pop("spike_times"), *(v for v in values.values() if isinstance(v, np.ndarray))]


def oscillators(microvolts, sources=8):
    """(L, sources) the beta oscillators that these channels contain, mixed."""
    band = signal.sosfiltfilt(signal.butter(2, (10, 24), "band", fs=500, output="sos"), microvolts, axis=0)
    return band @ np.linalg.svd(band, full_matrices=False)[2][:sources].T


def beta_power(volts):
    """(L, pairs) slow products of oscillators, from which a linear readout can make the amplitude of each."""
    analytic = signal.hilbert(volts, axis=0)
    first, second = np.triu_indices(volts.shape[1])
    products = (analytic[:, first] * analytic[:, second].conj()).real
    return signal.sosfiltfilt(signal.butter(2, 3, fs=500, output="sos"), products, axis=0)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


def held_out_r2(features, targets):
    """OLS fitted on the first two thirds, scored on the rest, mean over columns."""
    x = np.column_stack([features, np.ones(len(features))])
    cut = len(x) * 2 // 3
    weights = np.linalg.lstsq(x[:cut], targets[:cut], rcond=None)[0]
    error = ((targets[cut:] - x[cut:] @ weights) ** 2).sum(0)
    return float((1 - error / ((targets[cut:] - targets[cut:].mean(0)) ** 2).sum(0)).mean())


def test_session_names_default_lists_three_sessions_of_three_subjects():
    names = session_names(SyntheticConfig())
    assert names[:4] == (("S1_01", "S1"), ("S1_02", "S1"), ("S1_03", "S1"), ("S2_01", "S2"))
    assert len(names) == len(set(names)) == 9


def test_session_names_in_a_fresh_process_import_nothing_heavy():
    code = (
        "import sys; from raydistill.simulation.simulate import session_names;"
        "from raydistill.config.synthetic import SyntheticConfig; session_names(SyntheticConfig());"
        "print([m for m in ('torch', 'ray', 'mlflow', 'pynwb', 'h5py', 'scipy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_generate_every_session_has_the_promised_shapes():
    recordings = list(generate(SMALL))
    assert tuple((r.session, r.subject) for r in recordings) == session_names(SMALL)
    for r in recordings:
        channels = r.lfp.shape[1]
        assert r.lfp.shape[0] == 20 * 500 and 8 <= channels <= 12 and r.lfp.dtype == np.float32
        assert r.position.shape == r.velocity.shape == (20 * 100, 2) and r.drive.shape == (20 * 100, SMALL.sources)
        assert 6 <= len(r.spike_times) == len(r.unit_channels) <= 10 and r.unit_channels.max() < channels
        for times in r.spike_times:
            assert len(times) and np.all(np.diff(times) >= 0) and times[0] >= 0 and times[-1] < 20


def test_generate_with_more_sessions_or_subjects_leaves_a_session_as_it_is():
    more = dataclasses.replace(SMALL, subjects=3, sessions_per_subject=4)
    assert same(generate_session(SMALL, 3), generate_session(more, 5))  # both are S2_02
    assert generate_session(more, 5).session == generate_session(SMALL, 3).session == "S2_02"


def test_simulate_without_lfp_leaves_all_else_as_it_is():
    whole, spikes_alone = (simulate(SMALL, 1, 0, session="a", subject="b", lfp=lfp) for lfp in (True, False))
    assert spikes_alone.lfp is None and (spikes_alone.session, spikes_alone.subject) == ("a", "b")
    assert same(spikes_alone, dataclasses.replace(whole, lfp=None))
    assert same(whole, generate_session(SMALL, 2)) and whole.n_channels == whole.lfp.shape[1]


def test_generate_with_another_seed_gives_other_recordings():
    other = dataclasses.replace(SMALL, seed=1)
    assert not np.array_equal(generate_session(SMALL, 0).position, generate_session(other, 0).position)


def test_one_array_gives_the_signals_that_it_always_gave():
    """If this fails, the results of every sweep on synthetic recordings change."""
    config = SyntheticConfig(duration_s=12, min_units=5, max_units=8, min_channels=9, max_channels=12)
    r = generate_session(config, 0)
    assert [len(times) for times in r.spike_times] == [80, 156, 121, 271, 74, 149, 272, 128]
    assert r.unit_channels.tolist() == [11, 4, 8, 3, 9, 6, 6, 11]
    assert r.spike_times[0][:3] == pytest.approx([0.01306392, 0.23840983, 0.32850821], abs=1e-8)
    assert r.drive[[100, 500], [0, 7]] == pytest.approx([-0.27944906, 0.80763883], abs=1e-8)
    assert r.lfp[[0, 1000, 5999], [0, 3, 8]] == pytest.approx([69.880414e-6, -30.771353e-6, -79.178251e-6], abs=1e-10)


def test_one_array_is_described_as_m1():
    r = generate_session(SMALL, 0)
    assert len(r.channels) == r.n_channels == r.lfp.shape[1]
    assert set(r.channels.array) == {"M1"} and set(r.channels.region) == {"primary motor cortex"}
    assert r.units.electrode == tuple(str(channel + 1) for channel in r.unit_channels)


def test_hand_reaches_stay_in_the_workspace_with_pauses_and_velocity_is_its_derivative():
    r = generate_session(SMALL, 0)
    speed = np.linalg.norm(r.velocity, axis=1)
    assert np.abs(r.position).max() < 12 and 15 < speed.max() < 80
    assert 0.1 < np.mean(speed < 0.5) < 0.6
    integral = r.position[0] + np.cumsum(r.velocity, axis=0) / r.kinematics_rate_hz
    assert np.abs(integral - r.position).max() < 0.5


def test_spikes_of_many_units_decode_velocity():
    r = generate_session(dataclasses.replace(SMALL, duration_s=60, min_units=48, max_units=48), 0)
    edges = np.arange(0, 60.01, 0.1)
    counts = np.stack([np.histogram(times, edges)[0] for times in r.spike_times], axis=1)
    velocity = r.velocity.reshape(-1, 10, 2).mean(axis=1)  # (bins of 100 ms, 2)
    assert held_out_r2(counts, velocity) > 0.6


def test_beta_carries_velocity_in_its_amplitude_but_not_in_its_voltage():
    config = only(beta_uv=20.0, private_uv=2.0)
    r = generate_session(dataclasses.replace(config, duration_s=120, min_channels=24, max_channels=24), 0)
    volts = oscillators(r.lfp * 1e6, config.sources)
    power = beta_power(volts)
    velocity = np.repeat(r.velocity, 5, axis=0)
    assert held_out_r2(volts[::10], velocity[::10]) < 0.1
    assert held_out_r2(power[::10], velocity[::10]) > 0.4


def test_shared_activity_alone_has_its_rank_and_size():
    r = generate_session(only(shared_uv=40.0, shared_rank=3), 0)
    assert np.linalg.matrix_rank(r.lfp, tol=1e-3 * np.linalg.norm(r.lfp)) == 3
    assert r.lfp.std(axis=0).mean() == pytest.approx(40e-6, rel=0.1)


def test_array_geometry_is_shared_within_a_subject_and_not_between_subjects():
    config = only(shared_uv=40.0, shared_rank=2)
    config = dataclasses.replace(config, min_channels=10, max_channels=10)
    spaces = [np.linalg.svd(r.lfp, full_matrices=False)[2][:2] for r in generate(config)]
    overlap = lambda a, b: np.linalg.svd(spaces[a] @ spaces[b].T)[1].min()  # noqa: E731
    assert overlap(0, 1) == pytest.approx(1, abs=1e-3) and overlap(0, 2) < 0.9


def test_line_noise_alone_is_at_60_hz():
    r = generate_session(only(line_uv=10.0), 0)
    frequency, power = signal.periodogram(r.lfp[:, 0], 500)
    assert frequency[power.argmax()] == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(("turnover", "low", "high"), [(0.0, 0.95, 1.0), (1.0, -1.0, 0.9)])
def test_units_keep_their_rates_from_session_to_session_unless_they_are_replaced(turnover, low, high):
    config = dataclasses.replace(SMALL, unit_turnover=turnover, min_units=10, duration_s=60)
    first, second = (np.array([len(t) for t in generate_session(config, n).spike_times]) for n in (0, 1))
    assert low < np.corrcoef(np.log(first), np.log(second))[0, 1] <= high


# Several arrays


@pytest.fixture(scope="module")
def two_arrays():
    """Two minutes of two arrays of 16 channels."""
    config = SyntheticConfig(arrays=2, duration_s=120, min_channels=32, max_channels=32, min_units=60, max_units=60)
    return generate_session(config, 0)


def of_array(table, name):
    """The rows of a table that belong to an array."""
    return np.flatnonzero(np.array(table.array) == name)


def test_two_arrays_have_the_hand_of_one_and_tables_of_their_channels_and_units(two_arrays):
    one = generate_session(SyntheticConfig(duration_s=120), 0)
    assert np.array_equal(two_arrays.position, one.position)
    assert np.array_equal(two_arrays.drive[:, :8], one.drive) and two_arrays.drive.shape == (12_000, 16)
    assert two_arrays.channels.array == ("M1",) * 16 + ("S1",) * 16
    assert two_arrays.channels.electrode == tuple(map(str, [*range(1, 17), *range(1, 17)]))
    assert two_arrays.units == two_arrays.channels.rows(two_arrays.unit_channels)
    assert len(two_arrays.units) == 60


@pytest.mark.parametrize("arrays", [3, 4])
def test_more_arrays_have_names_of_their_own_and_finite_signals(arrays):
    r = generate_session(dataclasses.replace(SMALL, arrays=arrays), 1)
    assert len(r.channels.names("array")) == arrays and r.drive.shape[1] == arrays * SMALL.sources
    assert np.isfinite(r.lfp).all() and min(map(len, r.spike_times)) > 0


def test_channels_of_one_array_are_more_alike_than_those_of_two_and_neighbours_most(two_arrays):
    likeness = np.abs(np.corrcoef(two_arrays.lfp.T))
    first, second = of_array(two_arrays.channels, "M1"), of_array(two_arrays.channels, "S1")
    pairs = np.triu_indices(16, k=1)
    within = np.mean([likeness[np.ix_(rows, rows)][pairs].mean() for rows in (first, second)])
    assert within > likeness[np.ix_(first, second)].mean() + 0.15
    place = np.column_stack([two_arrays.channels.x_um, two_arrays.channels.y_um])[first]
    near = np.linalg.norm(place[pairs[0]] - place[pairs[1]], axis=1) <= 400
    of_pairs = np.corrcoef(two_arrays.lfp.T[first])[pairs]
    assert of_pairs[near].mean() > of_pairs[~near].mean() + 0.15


def test_lfp_of_the_first_array_decodes_velocity_and_that_of_the_second_speed(two_arrays):
    velocity = two_arrays.velocity[::2]  # (bins of 20 ms, 2)
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    power = {}
    for name in ("M1", "S1"):
        microvolts = two_arrays.lfp[:, of_array(two_arrays.channels, name)] * 1e6
        power[name] = beta_power(oscillators(microvolts - microvolts.mean(axis=1, keepdims=True)))[::10]
    assert held_out_r2(power["M1"], velocity) > 0.5 and held_out_r2(power["S1"], velocity) < 0.1
    assert held_out_r2(power["S1"], speed) > held_out_r2(power["M1"], speed) + 0.15


def test_units_of_the_first_array_decode_velocity_and_those_of_the_second_speed(two_arrays):
    edges = np.arange(0, 120.01, 0.1)
    counts = np.stack([np.histogram(times, edges)[0] for times in two_arrays.spike_times], axis=1)
    velocity = two_arrays.velocity.reshape(-1, 10, 2).mean(axis=1)  # (bins of 100 ms, 2)
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    first, second = (counts[:, of_array(two_arrays.units, name)] for name in ("M1", "S1"))
    assert held_out_r2(first, velocity) > held_out_r2(second, velocity) + 0.3
    assert held_out_r2(second, speed) > held_out_r2(first, speed) + 0.15


def test_channels_of_an_array_are_harder_to_predict_when_all_of_it_is_masked(two_arrays):
    low = signal.sosfiltfilt(signal.butter(2, 50, fs=500, output="sos"), two_arrays.lfp * 1e6, axis=0)[::10]
    low -= low.mean(axis=1, keepdims=True)
    first, second = of_array(two_arrays.channels, "M1"), of_array(two_arrays.channels, "S1")
    shuffled = np.random.default_rng(0).permutation(32)
    of_array_masked = np.mean([held_out_r2(low[:, first], low[:, second]), held_out_r2(low[:, second], low[:, first])])
    of_random_masked = held_out_r2(low[:, shuffled[:16]], low[:, shuffled[16:]])
    assert of_random_masked > of_array_masked + 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"subjects": 0},
        {"min_units": 65},
        {"min_channels": 0},
        {"duration_s": 1.0},
        {"unit_turnover": 1.5},
        {"lfp_rate_hz": 100.0},
        {"arrays": 0},
        {"arrays": 5},
        {"arrays": 3, "min_channels": 2},
        {"array_coupling": -0.1},
        {"array_coupling": float("nan")},
        {"beta_uv": -1.0},
        {"private_uv": float("nan")},
    ],
)
def test_config_with_an_impossible_value_names_it(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SyntheticConfig(**wrong)

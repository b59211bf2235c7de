"""Sessions from objects in memory: what is stored is what a file with the same values gives, on the session's bins."""

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.python import add_session
from raydistill.store.store import Store

SECONDS = 60


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def add(store):
    """`add_session` for subject m1, and the lines that it reported."""

    def add_to_store(name="a", **values):
        lines = []
        entry = add_session(store, name, subject="m1", report=lines.append, **values)
        return entry, lines

    return add_to_store


def column(segments, name, axis=0):
    return np.concatenate([getattr(segment, name)[:, axis] for segment in segments])


def test_session_from_spike_times_has_their_counts_on_the_bins_of_the_session(add, store, spike_trains):
    entry, lines = add(spikes=spike_trains, config=IngestConfig(bin_width_ms=20))
    assert (entry.bin_width_ms, entry.n_units) == (20, 8)
    first = min(times[0] for times in spike_trains)
    segments = store.read(store.entry("a"))
    edges = segments[0].start_s + np.arange(segments[0].n_bins + 1) * 0.02
    assert segments[0].start_s == pytest.approx(first)
    np.testing.assert_array_equal(segments[0].spikes[:, 3], np.histogram(spike_trains[3], edges)[0])
    assert lines == ["a: 8 units; no LFP; no behavior"]


def test_session_from_binned_arrays_equals_that_of_a_file(add, store, binned, make_h5, manifest):
    """The bins are those of the arrays, not the default of 10 ms."""
    path = make_h5("rec.h5")
    text = "spikes: spikes, lfp: lfp, behavior: {values: behavior, names: [vx, vy]}, trials: trial"
    yaml = f"ingest: {{filters: null}}\nsessions:\n  - {{file: {path.name}, subject: m1, bin_width_ms: 100, {text}}}\n"
    (recording,) = plan_sources(manifest(yaml))
    result = ingest_one(recording, store.uri, None)
    assert result.state == "stored", result.cause
    store.publish()
    expected = store.entry("rec")
    expected_segments = store.read(expected)
    entry, _ = add(
        "rec",
        overwrite=True,
        **{key: binned[key] for key in ("spikes", "lfp", "behavior")},
        trials=binned["trial"],
        bin_width_ms=100,
        behavior_names=("vx", "vy"),
        config=IngestConfig(bin_width_ms=100, filters=None),
    )
    assert entry.bin_width_ms == expected.bin_width_ms == 100
    assert entry.behavior == ("vx", "vy")
    for own, other in zip(store.read(entry), expected_segments, strict=True):
        np.testing.assert_array_equal(own.spikes, other.spikes)
        np.testing.assert_array_equal(own.lfp, other.lfp)
        np.testing.assert_array_equal(own.behavior, other.behavior)
        assert own.trial == other.trial


def test_session_without_a_configuration_has_the_bins_of_its_arrays(add, binned):
    entry, _ = add(spikes=binned["spikes"], bin_width_ms=100)
    assert entry.bin_width_ms == entry.config["bin_width_ms"] == 100
    with pytest.raises(ConfigError, match=r"`bin_width_ms` 100 but `config\.bin_width_ms` is 10; give config=Ingest"):
        add("b", spikes=binned["spikes"], bin_width_ms=100, config=IngestConfig())


def test_session_of_features_is_not_filtered_unless_asked_and_that_is_told(add, store):
    power = np.random.default_rng(0).uniform(1, 2, (6000, 4))
    entry, _ = add(lfp=power, lfp_bands=2, bin_width_ms=10)
    segment = store.read(entry)[0]
    first = round(segment.start_s * 100)
    found = entry.normalisation["lfp"].undo(segment.lfp)
    assert found == pytest.approx(power[first : first + segment.n_bins], abs=1e-5)
    _, lines = add("b", lfp=power, lfp_bands=2, bin_width_ms=10, config=IngestConfig())
    assert any("features (`bands`) are filtered as voltages are" in line for line in lines)


def test_session_is_stored_once_and_replaced_only_if_asked(add, store, spike_trains):
    entry, _ = add(spikes=spike_trains)
    again, lines = add(spikes=[times.copy() for times in spike_trains])
    assert again == entry and lines == ["a: unchanged"]
    changed = [times + 1e-6 for times in spike_trains]
    with pytest.raises(DataError, match=r"there is a session a that was made from other data.*overwrite=True"):
        add(spikes=changed)
    with pytest.raises(DataError, match="overwrite=True"):
        add(spikes=spike_trains, config=IngestConfig(min_rate_hz=1))
    assert add(spikes=changed, overwrite=True)[0].fingerprint != entry.fingerprint
    assert len(store.entries()) == 1


def test_sessions_are_listed_when_they_are_published(add, store, spike_trains):
    add("a", spikes=spike_trains)
    add("b", spikes=[times + 0.5 for times in spike_trains], publish=False)
    assert [e.session for e in store.entries()] == ["a"]
    assert [e.session for e in store.publish()] == ["a", "b"] == [e.session for e in store.entries()]


def test_session_with_lfp_and_behavior_on_own_clocks_has_their_values_at_bin_centres(add, store, spike_trains):
    t = np.arange(SECONDS * 1000) / 1000
    lfp = np.column_stack([np.sin(2 * np.pi * 0.5 * t), np.cos(2 * np.pi * 0.25 * t)])
    stamps = np.arange(0, SECONDS, 0.02) + 0.5
    behavior = np.column_stack([np.sin(stamps), stamps])
    entry, lines = add(
        spikes=spike_trains,
        lfp=lfp,
        lfp_rate_hz=1000,
        lfp_start_s=0.25,
        behavior=behavior,
        behavior_times=stamps,
        behavior_names=("x", "y"),
        behavior_units=("cm", "cm"),
        lfp_channels={"region": ["M1", "S1"], "x_um": [0, 400]},
        unit_channels={"electrode": list("abcdefgh")},
        config=IngestConfig(filters=None),
    )
    segments = store.read(store.entry("a"))
    centres = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * 0.01 for s in segments])
    norm = entry.normalisation
    own = norm["lfp"].undo(column(segments, "lfp", 0)[:, None], [0])[:, 0]
    np.testing.assert_allclose(own, np.sin(2 * np.pi * 0.5 * (centres - 0.25)), atol=2e-3)
    own = norm["behavior"].undo(column(segments, "behavior", 1)[:, None], [1])[:, 0]
    np.testing.assert_allclose(own, centres, atol=1e-4)
    assert entry.lfp_channels.region == ("M1", "S1") and entry.lfp_channels.x_um == (0.0, 400.0)
    assert entry.unit_channels.electrode == tuple("abcdefgh")
    assert lines[0] == "a: 8 units, 2 LFP channels, behavior x, y"


def test_session_behavior_is_processed_as_in_a_manifest(add, store, spike_trains):
    t = np.arange(0, SECONDS, 0.02)
    entry, _ = add(
        spikes=spike_trains,
        behavior=3 * t,
        behavior_rate_hz=50,
        behavior_names=("x",),
        behavior_processing=Behavior(derive="velocity"),
    )
    assert entry.normalisation["behavior"].mean[0] == pytest.approx(3, abs=1e-4)


def test_session_uses_only_the_intervals_and_whole_trials(add, store, spike_trains):
    trials = np.array([(s, s + 4.0) for s in range(0, 60, 5)])
    entry, _ = add(spikes=spike_trains, trials=trials, intervals=[(10, 30), (40, 59)])
    starts = [segment.start_s for segment in store.read(entry)]
    assert min(starts) >= 10 - 1e-9 and not any(30 < start < 40 - 1e-9 for start in starts)
    assert {segment.trial for segment in store.read(entry)} - {None} <= set(range(2, 6)) | set(range(8, 12))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"spikes": np.zeros((600, 3), int)}, ConfigError, "matrix of `spikes` has one row per bin: give `bin_width"),
        ({"spikes": np.zeros((3, 600), int), "bin_width_ms": 10}, DataError, r"3 rows and 600 columns.*`spikes\.T`"),
        ({"spikes": np.full((600, 3), 0.5), "bin_width_ms": 10}, DataError, "holds 0.5 at bin 0, unit 0"),
        ({"spikes": np.full((600, 3), np.nan), "bin_width_ms": 10}, DataError, "holds nan at bin 0, unit 0"),
        ({"spikes": np.arange(5.0)}, DataError, r"of the shape \(5,\).*a list with the spike times of each unit"),
        ({"spikes": []}, DataError, "`spikes` holds no unit"),
        ({"spikes": [[1.0, 2.0], ["x"]]}, DataError, "unit 1 is not a vector of spike times"),
        ({"spikes": [np.zeros((2, 2))]}, DataError, r"unit 0 has the shape \(2, 2\)"),
        ({"lfp": np.zeros((600, 2))}, ConfigError, "give `lfp_rate_hz`, or `bin_width_ms`"),
        ({"lfp": np.zeros((600, 2)), "lfp_rate_hz": 0}, ConfigError, "`lfp_rate_hz` must be above 0, but got 0"),
        ({"lfp": np.zeros((2, 600)), "lfp_rate_hz": 1000}, DataError, r"rows must be time.*give `lfp\.T`"),
        ({"lfp": np.zeros((600, 3)), "lfp_rate_hz": 10, "lfp_bands": 2}, DataError, "not a multiple of `lfp_bands` 2"),
        ({"lfp": "no", "lfp_rate_hz": 10}, DataError, "`lfp` holds <U2 values"),
        ({}, DataError, "neither spikes nor LFP"),
        ({"behavior": np.zeros((99, 2))}, ConfigError, "give `behavior_times` or `behavior_rate_hz`"),
        (
            {"behavior": np.zeros((99, 2)), "behavior_times": [0, 1]},
            DataError,
            "99 samples but there are 2 `behavior_t",
        ),
        ({"behavior": np.zeros((99, 2)), "behavior_rate_hz": -1}, ConfigError, "`behavior_rate_hz` must be above 0"),
        (
            {"behavior": np.zeros((99, 2)), "behavior_rate_hz": 9, "behavior_names": ["x"]},
            DataError,
            "2 columns but there are 1 `behavior_names`",
        ),
        ({"trials": np.zeros(99, int)}, ConfigError, "`trials` has one number per bin: give `bin_width_ms`"),
        ({"trials": np.zeros((99, 3))}, DataError, r"`trials` has the shape \(99, 3\)"),
        ({"trials": [0.5, 1]}, DataError, "the whole number of the trial of each bin"),
        ({"intervals": [[0, 1, 2]]}, DataError, r"`intervals` has the shape \(1, 3\)"),
        ({"unit_channels": {"place": [1]}}, ConfigError, '`unit_channels`: a table of channels has no column "place"'),
        ({"unit_channels": ["M1"]}, ConfigError, "`unit_channels` must give lists by name"),
        (
            {"spikes": np.ones((600, 2), int), "trials": np.zeros(500, int), "bin_width_ms": 10},
            DataError,
            "differ in length: spikes 600, trials 500",
        ),
    ],
)
def test_session_from_wrong_arguments_is_refused(values, error, message, add, store, spike_trains):
    if not {"spikes", "lfp"} & set(values) and values:
        values = {"spikes": spike_trains} | values
    with pytest.raises(error, match=message):
        add(**values)
    assert store.complete() == []


@pytest.mark.parametrize("which", ["name", "subject"])
def test_session_of_an_invalid_name_is_refused(which, store, spike_trains):
    names = {"name": "a", "subject": "m"} | {which: "../x"}
    with pytest.raises(DataError, match=r"'\.\./x' is not allowed"):
        add_session(store, names["name"], subject=names["subject"], spikes=spike_trains)


# Objects of other packages, by the methods that are used


class Sorting:
    def __init__(self, trains, rate_hz):
        self.trains, self.rate_hz = trains, rate_hz

    def get_num_segments(self):
        return 1

    def get_unit_ids(self):
        return list(self.trains)

    def get_sampling_frequency(self):
        return self.rate_hz

    def get_unit_spike_train(self, unit_id, segment_index):
        return self.trains[unit_id]


def test_session_from_a_sorting_of_an_older_version_has_times_in_seconds(add, spike_trains, store):
    sorting = Sorting({f"u{i}": np.round(times * 30000).astype(int) for i, times in enumerate(spike_trains)}, 30000.0)
    entry, _ = add(spikes=sorting)
    segment = store.read(entry)[0]
    edges = segment.start_s + np.arange(segment.n_bins + 1) * 0.01
    exact = np.round(spike_trains[0] * 30000) / 30000
    np.testing.assert_array_equal(segment.spikes[:, 0], np.histogram(exact, edges)[0])


def test_session_from_spikeinterface_equals_that_of_its_arrays(add, store):
    core = pytest.importorskip("spikeinterface.core")
    recording, sorting = core.generate_ground_truth_recording(
        durations=[60.0], sampling_frequency=5000.0, num_channels=4, num_units=5, seed=0
    )
    recording.set_channel_gains(0.25)
    recording.set_channel_offsets(3.0)
    recording.set_property("brain_area", ["CA1", "CA1", "CA3", "CA3"])
    config = IngestConfig(filters=LfpFilters(notch_hz=None))
    entry, _ = add(spikes=sorting, lfp=recording, config=config)
    trains = [sorting.get_unit_spike_train(unit) / 5000 for unit in sorting.unit_ids]
    volts = (recording.get_traces() * 0.25 + 3.0) * 1e-6
    expected, _ = add("b", spikes=trains, lfp=volts, lfp_rate_hz=5000, config=config)
    for own, other in zip(store.read(entry), store.read(expected), strict=True):
        np.testing.assert_array_equal(own.spikes, other.spikes)
        np.testing.assert_allclose(own.lfp, other.lfp, atol=1e-4)
    assert entry.lfp_channels.region == ("CA1", "CA1", "CA3", "CA3")
    places = recording.get_channel_locations()
    assert entry.lfp_channels.y_um == tuple(places[:, 1].tolist())
    assert entry.lfp_channels.electrode == tuple(map(str, recording.channel_ids))


def test_session_from_pynapple_equals_that_of_its_arrays(add, store, spike_trains):
    nap = pytest.importorskip("pynapple")
    t = np.arange(SECONDS * 250) / 250
    lfp = np.random.default_rng(0).normal(size=(len(t), 2))
    stamps = np.arange(0, SECONDS, 0.04)
    position = np.column_stack([np.sin(stamps), np.cos(stamps)])
    trials = nap.IntervalSet(np.arange(0, 60, 5.0), np.arange(0, 60, 5.0) + 4)
    config = IngestConfig(filters=None)
    entry, _ = add(
        spikes=nap.TsGroup({i: nap.Ts(times) for i, times in enumerate(spike_trains)}),
        lfp=nap.TsdFrame(t=t, d=lfp),
        behavior=nap.TsdFrame(t=stamps, d=position, columns=["x", "y"]),
        trials=trials,
        config=config,
    )
    expected, _ = add(
        "b",
        spikes=spike_trains,
        lfp=lfp,
        lfp_rate_hz=250,
        behavior=position,
        behavior_times=stamps,
        behavior_names=("x", "y"),
        trials=trials.values,
        config=config,
    )
    assert entry.behavior == ("x", "y")
    for own, other in zip(store.read(entry), store.read(expected), strict=True):
        np.testing.assert_array_equal(own.spikes, other.spikes)
        np.testing.assert_allclose(own.lfp, other.lfp, atol=1e-5)
        np.testing.assert_allclose(own.behavior, other.behavior, atol=1e-5)
        assert own.trial == other.trial


def test_session_from_pynapple_with_gaps_is_cut_into_pieces(add, store, spike_trains):
    nap = pytest.importorskip("pynapple")
    support = nap.IntervalSet([0, 35], [30, 60])
    t = np.arange(SECONDS * 250) / 250
    lfp = nap.Tsd(t=t, d=np.sin(t)).restrict(support)
    spikes = nap.TsGroup({i: nap.Ts(times) for i, times in enumerate(spike_trains)}).restrict(support)
    entry, _ = add(spikes=spikes, lfp=lfp, config=IngestConfig(filters=None))
    starts = np.array([segment.start_s for segment in store.read(entry)])
    stops = starts + [segment.n_bins * 0.01 for segment in store.read(entry)]
    assert np.all((stops <= 30 + 1e-6) | (starts >= 35 - 1e-6)) and stops.max() > 55

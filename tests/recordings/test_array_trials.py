"""Arrays that are stored trial by trial: cells, struct arrays and tensors on one clock, trial after trial."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from raydistill.store.store import Store
from tests.recordings.matlab_files import write_matlab

VERSIONS = pytest.mark.parametrize("version", ["5", "7.3"])
LENGTHS = [100, 120, 90, 110]  # bins of 10 ms


@pytest.fixture
def trials(rng):
    """Counts of 3 units, LFP of 2 channels at 1000 Hz and hand position at 10 ms of trials of different length."""
    return [
        {
            "spk": rng.poisson(1, (n, 3)).astype(float),
            "lfp": rng.normal(size=(n * 10, 2)),
            "pos": np.column_stack([np.sin(np.arange(n) / 20), np.cos(np.arange(n) / 20)]) + 50 * k,
            "good": float(k != 2),
            "event": 0.1 * k,
        }
        for k, n in enumerate(LENGTHS)
    ]


@pytest.fixture
def recording(tmp_path, manifest):
    """The planned recording of a manifest entry."""

    def plan(name, entry, ingest="filters: null"):
        text = f"ingest: {{{ingest}}}\nsessions:\n  - {{file: {name}, subject: m1, {entry}}}\n"
        (planned,) = plan_sources(manifest(text), tmp_path)
        return planned

    return plan


@pytest.fixture
def raw(recording):
    def read(name, entry, ingest="filters: null"):
        planned = recording(name, entry, ingest)
        with open_raw(planned.path, planned.source, planned.config.bin_width_ms) as found:
            lfp = [signal.read(0, signal.n_samples) for signal in found.lfp]
        return found, lfp

    return read


@pytest.fixture
def session(recording):
    def make(name, entry, ingest="filters: null"):
        planned = recording(name, entry, ingest)
        with open_raw(planned.path, planned.source, planned.config.bin_width_ms) as found:
            return to_session(planned, found, {})

    return make


def joined(trials, key):
    return np.concatenate([trial[key] for trial in trials])


@VERSIONS
@pytest.mark.parametrize("form", ["struct array", "cells"])
def test_trials_of_structs_and_cells_are_laid_end_to_end(form, version, tmp_path, raw, trials):
    if form == "cells":
        write_matlab(tmp_path / "a.mat", version, {key: [trial[key] for trial in trials] for key in trials[0]})
        path = ""
    else:
        write_matlab(tmp_path / "a.mat", version, {"trial": trials})
        path = "trial/"
    entry = (
        f"bin_width_ms: 10, spikes: {path}spk, lfp: {{values: {path}lfp, rate_hz: 1000, scale: 2}}, "
        f"behavior: {{values: {path}pos, names: [x, y]}}"
    )
    found, (lfp,) = raw("a.mat", entry)
    assert np.array_equal(found.spikes.values, joined(trials, "spk"))
    assert np.allclose(lfp, 2 * joined(trials, "lfp")) and not found.lfp[0].runs
    assert np.array_equal(found.behavior[0].values, joined(trials, "pos"))
    assert np.array_equal(found.trial_labels, np.repeat(range(4), LENGTHS))
    assert np.allclose(found.pieces, [(0, 1), (1, 2.2), (2.2, 3.1), (3.1, 4.2)])
    assert found.taken == (
        f"3 units from {path}spk",
        f"LFP of 2 channels from {path}lfp",
        f"behavior x, y from {path}pos",
    )


@VERSIONS
def test_filters_and_derivatives_end_with_each_trial(version, tmp_path, session, trials):
    write_matlab(tmp_path / "a.mat", version, {"trial": trials})
    behavior = "behavior: {values: trial/pos, names: [x, y], derive: velocity}"
    made, notes = session("a.mat", f"bin_width_ms: 10, spikes: trial/spk, {behavior}")
    # position turns by 1/20 per bin of 10 ms, and jumps by 50 between trials
    assert np.abs(made.behavior).max() < 5.01 and np.isfinite(made.behavior).all()
    assert np.array_equal(made.piece, np.repeat(range(4), LENGTHS)) and np.array_equal(made.trial, made.piece)
    assert "4 trials are laid end to end, with a gap between each two" in notes


@pytest.mark.parametrize("order", ["trials time units", "time units trials", "units time trials"])
@pytest.mark.parametrize("kind", ["npz", "h5", "mat 5", "mat 7.3"])
def test_tensors_with_any_order_of_axes_lose_their_padding(kind, order, tmp_path, raw, trials):
    axes = order.split()
    tensors = {}
    for key, per_bin in (("spk", 1), ("lfp", 10), ("pos", 1)):
        tensor = np.full((4, max(LENGTHS) * per_bin, trials[0][key].shape[1]), np.nan)
        for k, trial in enumerate(trials):
            tensor[k, : len(trial[key])] = trial[key]
        tensors[key] = tensor.transpose([["trials", "time", "units"].index(axis) for axis in axes])
    name = {"npz": "a.npz", "h5": "a.h5"}.get(kind, "a.mat")
    if kind == "npz":
        np.savez(tmp_path / name, **tensors)
    elif kind == "h5":
        with h5py.File(tmp_path / name, "w") as file:
            for key, tensor in tensors.items():
                file[key] = tensor
    else:
        write_matlab(tmp_path / name, kind.removeprefix("mat "), tensors)
    listed = ", ".join(axes)
    found, (lfp,) = raw(
        name,
        f"bin_width_ms: 10, spikes: {{counts: spk, axes: [{listed}]}}, "
        f"lfp: {{values: lfp, rate_hz: 1000, axes: [{listed.replace('units', 'channels')}]}}, "
        f"behavior: {{values: pos, axes: [{listed.replace('units', 'columns')}]}}",
    )
    assert np.array_equal(found.spikes.values, joined(trials, "spk"))
    assert np.allclose(lfp, joined(trials, "lfp"))
    assert np.array_equal(found.behavior[0].values, joined(trials, "pos"))
    assert np.array_equal(found.trial_labels, np.repeat(range(4), LENGTHS))


def test_behavior_that_is_lost_at_the_end_of_a_trial_stays_nan_there(tmp_path, raw, trials):
    trials[1]["pos"][115:] = np.nan
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials})
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: trial/spk, behavior: trial/pos")
    assert np.array_equal(found.trial_labels, np.repeat(range(4), LENGTHS))
    assert np.flatnonzero(np.isnan(found.behavior[0].values[:, 0])).tolist() == list(range(215, 220))


@VERSIONS
def test_transposed_trials_are_turned_and_recognised(version, tmp_path, raw, trials):
    turned = [{"spk": trial["spk"].T} for trial in trials]
    write_matlab(tmp_path / "a.mat", version, {"trial": turned})
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: {counts: trial/spk, transpose: true}")
    assert np.array_equal(found.spikes.values, joined(trials, "spk"))
    with pytest.raises(
        DataError, match=r"a trial of trial/spk lies the other way round.*`transpose: true` in `spikes`"
    ):
        raw("a.mat", "bin_width_ms: 10, spikes: trial/spk")


def test_signals_that_disagree_on_trials_are_errors_naming_both(tmp_path, raw, trials):
    entry = "bin_width_ms: 10, spikes: trial/spk, lfp: {values: other/lfp, rate_hz: 1000}"
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials, "other": trials[:3]})
    with pytest.raises(DataError, match="trial/spk has 4 trials but other/lfp has 3"):
        raw("a.mat", entry)
    short = [dict(trial) for trial in trials]
    short[2]["lfp"] = short[2]["lfp"][:890]
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials, "other": short})
    message = (
        r"duration of trial 2: trial/spk has 90 bins of 10 ms \(0\.900 s\) but other/lfp has 890 samples at 1000 Hz"
    )
    with pytest.raises(DataError, match=message):
        raw("a.mat", entry)
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials, "flat": joined(trials, "lfp")})
    with pytest.raises(DataError, match=r"trial/spk .*stored trial by trial but flat is a 4200 x 2 float64 array"):
        raw("a.mat", "bin_width_ms: 10, spikes: trial/spk, lfp: {values: flat, rate_hz: 1000}")
    odd = [dict(trial) for trial in trials]
    odd[3]["spk"] = odd[3]["spk"][:, :2]
    write_matlab(tmp_path / "a.mat", "5", {"trial": odd})
    with pytest.raises(DataError, match=r"trials differ in their units: trial/spk.1. has 3, trial/spk.4. has 2"):
        raw("a.mat", "bin_width_ms: 10, spikes: trial/spk")


def test_trials_that_lie_the_other_way_round_are_recognised_by_the_duration_of_others(tmp_path, raw, rng):
    rows = [{"spk": rng.poisson(1, (50, 100)).astype(float), "lfp": np.ones((1000, 2))} for _ in range(3)]
    write_matlab(tmp_path / "a.mat", "5", {"trial": rows})
    with pytest.raises(DataError, match=r"a trial of trial/spk lies .*, as 50 samples of 100 units: set `transpose"):
        raw("a.mat", "bin_width_ms: 10, spikes: trial/spk, lfp: {values: trial/lfp, rate_hz: 1000}")


def test_one_sample_more_at_the_end_of_a_trial_is_cut_off(tmp_path, raw, trials):
    for trial in trials:
        trial["lfp"] = np.concatenate([trial["lfp"], [[99.0, 99.0]]])  # both ends of the trial are sampled
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials})
    found, (lfp,) = raw("a.mat", "bin_width_ms: 10, spikes: trial/spk, lfp: {values: trial/lfp, rate_hz: 1000}")
    assert found.n_bins == sum(LENGTHS) and len(lfp) == 10 * sum(LENGTHS) and lfp.max() < 90


def test_rate_without_whole_samples_per_trial_has_a_run_per_trial(tmp_path, session):
    rate = 1017.25
    t = [np.arange(int(n * 0.01 * rate) + 1) / rate for n in LENGTHS]
    lfp = [np.sin(2 * np.pi * 5 * s)[:, None] + 10 * k for k, s in enumerate(t)]
    write_matlab(
        tmp_path / "a.mat",
        "5",
        {"lfp": lfp, "spk": [np.ones((n, 1)) for n in LENGTHS], "x": [np.zeros((n, 1)) for n in LENGTHS]},
    )
    entry = f"bin_width_ms: 10, spikes: spk, lfp: {{values: lfp, rate_hz: {rate}}}"
    made, _ = session("a.mat", entry)
    assert made.n_bins == sum(LENGTHS) and (made.piece >= 0).all()
    within = (np.concatenate([np.arange(n) for n in LENGTHS]) + 0.5) * 0.01
    expected = np.sin(2 * np.pi * 5 * within) + 10 * np.repeat(range(4), LENGTHS)
    # no trial leaks into the next: at their ends only the short filter sees a repeated sample
    assert np.abs(made.lfp[:, 0] - expected).max() < 0.2


def test_counts_and_labels_of_trials_are_rebinned_within_each(tmp_path, raw, trials):
    for trial in trials:
        trial["spk"] = trial["spk"][:-3]  # 97, 117, 87 and 107 bins of 10 ms
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials})
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: trial/spk", ingest="bin_width_ms: 20, filters: null")
    expected = [trial["spk"][: len(trial["spk"]) // 2 * 2].reshape(-1, 2, 3).sum(1) for trial in trials]
    assert np.array_equal(found.spikes.values, np.concatenate(expected))
    assert np.array_equal(found.trial_labels, np.repeat(range(4), [48, 58, 43, 53]))
    assert found.notes[0].startswith("0.040 s at the ends of trials (0.98%) do not fill a bin of 20 ms")


@VERSIONS
def test_spike_times_of_trials_are_moved_to_the_clock_of_the_other_signals(version, tmp_path, raw, trials):
    for trial in trials:
        trial["st"] = [np.array([0.005, 0.7]), np.empty((1, 0)), np.array([0.3, 5.0])]  # 5.0 is after every trial
    starts = np.array([10.0, 20, 30, 40])
    write_matlab(
        tmp_path / "a.mat",
        version,
        {"trial": trials, "on": starts, "off": starts + np.array(LENGTHS) / 100},
    )
    lfp = "lfp: {values: trial/lfp, rate_hz: 1000}"
    found, _ = raw("a.mat", f"spikes: {{times: trial/st, axes: [trials, units], times_from: trial}}, {lfp}")
    begins = [0, 1, 2.2, 3.1]
    assert np.allclose(found.spikes.times[0], [b + t for b in begins for t in (0.005, 0.7)])
    assert len(found.spikes.times[1]) == 0 and np.allclose(found.spikes.times[2], [b + 0.3 for b in begins])
    assert "4 of 16 spikes (25.0%) are outside of their trials and were left out" in found.notes
    for trial, start in zip(trials, starts, strict=True):
        trial["st"] = [times + start for times in trial["st"]]
    write_matlab(tmp_path / "a.mat", version, {"trial": trials, "on": starts, "off": starts + np.array(LENGTHS) / 100})
    spikes = "spikes: {times: trial/st, axes: [trials, units]}"
    found, _ = raw("a.mat", f"{spikes}, {lfp}, trials: {{start_s: on, stop_s: off}}")
    assert np.allclose(found.spikes.times[0], [b + t for b in begins for t in (0.005, 0.7)])
    with pytest.raises(DataError, match="trial/lfp is stored trial by trial: set `times_from: trial`"):
        raw("a.mat", f"{spikes}, {lfp}")
    with pytest.raises(DataError, match=r"16 of 16 spikes \(100\.0%\) are outside of their trials"):
        raw("a.mat", f"spikes: {{times: trial/st, axes: [trials, units], times_from: trial}}, {lfp}")


def test_trials_are_chosen_by_a_value_per_trial(tmp_path, raw, trials):
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials, "on": np.arange(4.0), "off": np.arange(4.0) + 1})
    where = "trials: {start_s: on, stop_s: off, where: {trial/good: [1]}}"
    found, _ = raw("a.mat", f"bin_width_ms: 10, spikes: trial/spk, {where}")
    assert np.array_equal(found.spikes.values, joined([t for t in trials if t["good"]], "spk"))
    assert np.array_equal(np.unique(found.trial_labels), [0, 1, 3])
    assert "`where` leaves out 1 of 4 trials" in found.notes


@pytest.mark.parametrize("where", ["trial/good: 1", "outcome: R"])
def test_trials_are_chosen_without_their_times(where, tmp_path, raw, trials):
    outcome = np.array([["R"], ["R"], ["F"], ["R"]], dtype=object)
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials, "outcome": outcome})
    found, _ = raw("a.mat", f"bin_width_ms: 10, spikes: trial/spk, trials: {{where: {{{where}}}}}")
    expected = np.concatenate([trials[k]["spk"] for k in (0, 1, 3)])
    assert found.spikes.values.tolist() == expected.tolist()
    assert np.unique(found.trial_labels).tolist() == [0, 1, 3]
    assert "`where` leaves out 1 of 4 trials" in found.notes


def test_where_alone_needs_arrays_that_are_stored_trial_by_trial(tmp_path, raw, trials):
    write_matlab(tmp_path / "a.mat", "5", {"spk": trials[0]["spk"], "good": np.ones((4, 1))})
    with pytest.raises(
        DataError, match=r"give one of `labels`, .*; only arrays that are stored trial by trial need no"
    ):
        raw("a.mat", "bin_width_ms: 10, spikes: spk, trials: {where: {good: 1}}")


@pytest.mark.parametrize("shape", [(0, 0), (0, 3)])
def test_empty_trials_are_left_out_and_told(shape, tmp_path, raw, trials):
    trials[1]["spk"] = np.empty(shape)
    write_matlab(tmp_path / "a.mat", "5", {"trial": trials})
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: trial/spk")
    assert np.array_equal(found.spikes.values, joined([trials[0], *trials[2:]], "spk"))
    assert "1 trials are shorter than a bin of 10 ms and were left out" in found.notes


def test_trials_in_two_files_must_be_the_same(tmp_path, raw, session, trials):
    write_matlab(tmp_path / "a.mat", "5", {"spk": [trial["spk"] for trial in trials]})
    write_matlab(tmp_path / "b.mat", "7.3", {"lfp": [trial["lfp"] for trial in trials]})
    entry = "bin_width_ms: 10, spikes: spk, lfp: {file: b.mat, values: lfp, rate_hz: 1000}"
    made, _ = session("a.mat", entry)
    assert made.n_bins == sum(LENGTHS) and made.lfp.shape == (sum(LENGTHS), 2)
    write_matlab(tmp_path / "b.mat", "7.3", {"lfp": [trial["lfp"] for trial in trials[:3]]})
    with pytest.raises(DataError, match="the trials of two files differ in number or duration: 4 and 3 trials"):
        session("a.mat", entry)
    np.savez(tmp_path / "c.npz", lfp=joined(trials, "lfp"))
    with pytest.raises(
        DataError, match="one file holds its signals trial by trial and another on the clock of the rec"
    ):
        session("a.mat", entry.replace("b.mat", "c.npz"))


def test_tensor_with_other_axes_than_named_is_an_error(tmp_path, raw, trials):
    np.savez(tmp_path / "a.npz", spk=np.ones((4, 100)))
    with pytest.raises(
        DataError, match=r"spk is a 4 x 100 float64 array; `axes: \[trials, time, units\]` describes an ar"
    ):
        raw("a.npz", "bin_width_ms: 10, spikes: {counts: spk, axes: [trials, time, units]}")
    found, _ = raw("a.npz", "bin_width_ms: 10, spikes: {counts: spk, axes: [trials, time]}")
    assert found.spikes.values.shape == (400, 1) and np.unique(found.trial_labels).tolist() == [0, 1, 2, 3]


def test_trials_laid_end_to_end_by_the_lab_end_filters_with_pieces(tmp_path, session):
    t = np.arange(500) * 0.01
    position = np.concatenate([np.column_stack([np.sin(t), np.cos(t)]) + 50 * k for k in range(24)])
    rng = np.random.default_rng(0)
    lfp = rng.normal(size=(120_000, 4)) + np.repeat(rng.normal(size=(24, 4)) * 100, 5000, 0)
    write_matlab(
        tmp_path / "t.mat",
        "5",
        {"c": np.ones((12_000, 3)), "p": position, "lfp": lfp, "tr": np.repeat(np.arange(24.0), 500)},
    )
    entry = (
        "bin_width_ms: 10, spikes: c, lfp: {values: lfp, rate_hz: 1000}, trials: tr, "
        "behavior: {values: p, names: [position_x, position_y], derive: velocity}"
    )
    made, _ = session("t.mat", f"{entry}, pieces: trials", ingest="splits: {by: trials}")
    assert np.abs(made.behavior).max() <= 1 + 1e-3 and np.array_equal(made.piece, made.trial)
    with pytest.raises(DataError, match=r"behavior jumps at 23 of 23 borders between trials.* `pieces: trials`"):
        session("t.mat", entry, ingest="splits: {by: trials}")


def test_binned_lfp_keeps_its_values_when_trials_are_pieces(make_h5, recording, binned):
    make_h5("rec.h5")
    planned = recording("rec.h5", "bin_width_ms: 100, spikes: spikes, lfp: lfp, trials: trial, pieces: trials")
    with open_raw(planned.path, planned.source, 100.0) as found:
        made, _ = to_session(planned, found, {})
    assert np.array_equal(made.lfp, binned["lfp"]) and np.array_equal(made.piece, binned["trial"])


def test_trials_of_structs_become_a_stored_session_of_whole_trials(tmp_path, manifest, rng):
    rows = [{"spk": rng.poisson(1, (500, 3)).astype(float)} for _ in range(24)]
    write_matlab(tmp_path / "a.mat", "7.3", {"trial": rows})
    text = "ingest: {splits: {by: trials}}\nsessions: [{file: a.mat, subject: m1, bin_width_ms: 10, spikes: trial/spk}]"
    (planned,) = plan_sources(manifest(text))
    result = ingest_one(planned, str(tmp_path / "st"), None)
    assert result.state == "stored", result.cause
    store = Store(str(tmp_path / "st"))
    (entry,) = store.publish()
    assert len(store.read(entry)) == 24 and entry.n_bins == 12_000

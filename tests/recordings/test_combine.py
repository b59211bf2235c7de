"""Sessions whose signals are in several files, on several clocks, and in several series."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.intervals import shared
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from raydistill.store.channels import channel_table

SECONDS = 60


@pytest.fixture
def session(manifest):
    """The session of a manifest with one entry, and the notes."""

    def make(text, ingest="filters: null, bin_width_ms: 20"):
        (recording,) = plan_sources(manifest(f"ingest: {{{ingest}}}\nsessions:\n  - {text}\n"))
        with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
            return to_session(recording, raw, {})

    return make


@pytest.fixture
def spikes(tmp_path):
    """`spikes.mat`: the times of a unit at 10 Hz, and trials of 2 s."""
    starts = np.arange(0.0, SECONDS, 3)
    savemat(tmp_path / "spikes.mat", {"t": np.arange(0.05, SECONDS, 0.1), "id": np.zeros(600), "on": starts})


def probe(path, rate_hz=1000.0, start_s=0.0, channels=2):
    """LFP of 10 V per second of the session's clock, plus 1 V per channel."""
    seconds = start_s + np.arange(SECONDS * rate_hz) / rate_hz
    with h5py.File(path, "w") as file:
        file["lfp"] = 10 * seconds[:, None] + np.arange(channels)


SPIKES = "spikes: {file: spikes.mat, times: t, unit_ids: id}"


def test_signals_of_several_files_share_the_clock_of_the_session(session, spikes, tmp_path):
    probe(tmp_path / "probe.h5")
    stamps = np.arange(0, SECONDS, 0.01)
    np.savez(tmp_path / "track.npz", x=np.sin(stamps), t=1000 * stamps)
    made, (summary, *_) = session(
        f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, rate_hz: 1000}}, "
        "behavior: {file: track.npz, values: x, times: t, time_unit: ms}}"
    )
    seconds = (np.arange(made.n_bins) + 0.5) * 0.02
    inner = slice(50, -50)  # beyond the ends the sinc repeats the last sample
    assert made.n_bins == 3000 and made.spikes.sum() == 600
    assert made.lfp[inner, 1] == pytest.approx(10 * seconds[inner] + 1, abs=1e-2)
    assert made.behavior[:, 0] == pytest.approx(np.sin(seconds), abs=1e-3)
    assert "1 units" in summary or "1 unit" in summary


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (12.5, 1.0), (-3.0, 1.001)])
def test_offset_and_scale_bring_a_file_onto_the_clock_of_the_session(session, spikes, tmp_path, offset, scale):
    """The probe's own clock reads (session - offset) / scale; its values are those of the session's time."""
    rate = 1000.0
    session_seconds = offset + scale * np.arange(SECONDS * rate) / rate
    with h5py.File(tmp_path / "probe.h5", "w") as file:
        file["lfp"] = 10 * session_seconds[:, None]
    made, _ = session(
        f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, rate_hz: 1000, offset_s: {offset}, "
        f"time_scale: {scale}}}}}",
        "filters: null, bin_width_ms: 20, max_lost: 1",
    )
    seconds = made.start_s + (np.arange(made.n_bins) + 0.5) * 0.02
    assert made.start_s == pytest.approx(offset) and made.lfp[50:-50, 0] == pytest.approx(
        10 * seconds[50:-50], abs=0.02
    )


def test_nwb_units_with_lfp_of_another_file_leave_the_lfp_of_the_nwb_file_alone(session, make_nwb, tmp_path):
    make_nwb("rec.nwb")
    probe(tmp_path / "probe.h5", channels=5)
    made, _ = session("{file: rec.nwb, lfp: {file: probe.h5, values: lfp, rate_hz: 1000}}")
    assert made.spikes.shape[1] == 8 and made.lfp.shape[1] == 5 and made.behavior is not None
    assert made.subject == "rat_1"


def test_several_series_of_lfp_keep_their_own_rate_and_stand_side_by_side(session, tmp_path):
    probe(tmp_path / "a.h5", rate_hz=1000, channels=2)
    probe(tmp_path / "b.h5", rate_hz=250, start_s=1.0, channels=3)
    made, _ = session(
        "{name: s, subject: m, lfp: [{file: a.h5, values: lfp, rate_hz: 1000}, "
        "{file: b.h5, values: lfp, rate_hz: 250, start_s: 1}], ingest: {drop_channels: [0, 4]}}"
    )
    seconds = made.start_s + (np.arange(made.n_bins) + 0.5) * 0.02
    expected = 10 * seconds[:, None] + [1, 0, 1]
    assert made.lfp.shape[1] == 3 and made.lfp[50:-50] == pytest.approx(expected[50:-50], abs=0.05)


def test_columns_of_behavior_from_several_files_have_their_own_clocks(session, spikes, tmp_path):
    fast, slow = np.arange(0, SECONDS, 0.01), np.arange(0, SECONDS, 0.05)
    np.savez(tmp_path / "x.npz", v=fast, t=fast)
    np.savez(tmp_path / "y.npz", v=-slow, t=slow)
    made, _ = session(
        f"{{name: s, subject: m, {SPIKES}, behavior: [{{file: x.npz, values: v, times: t, names: x}}, "
        "{file: y.npz, values: v, times: t, names: y, derive: velocity}]}"
    )
    seconds = made.start_s + (np.arange(made.n_bins) + 0.5) * 0.02
    assert made.behavior_names == ("x", "velocity_y")
    assert made.behavior[:-5, 0] == pytest.approx(seconds[:-5], abs=1e-3)
    assert made.behavior[:-5, 1] == pytest.approx(np.full(len(seconds) - 5, -1), abs=1e-3)


def test_columns_of_one_name_in_two_series_are_an_error(session, spikes, tmp_path):
    np.savez(tmp_path / "x.npz", v=np.arange(600.0), t=np.arange(600) / 10)
    section = "{file: x.npz, values: v, times: t, names: x}"
    with pytest.raises(DataError, match='two columns of behavior are named "x"; give them `names`'):
        session(f"{{name: s, subject: m, {SPIKES}, behavior: [{section}, {section}]}}")


def test_offset_of_arrays_with_one_value_per_bin_is_an_error(session, tmp_path):
    savemat(tmp_path / "c.mat", {"c": np.ones((600, 2)), "b": np.ones((600, 1))})
    with pytest.raises(DataError, match=r"c\.mat: arrays with one value per bin have no clock: `offset_s`"):
        session(
            "{file: c.mat, subject: m, bin_width_ms: 20, spikes: c, behavior: {values: b, offset_s: 1}}",
        )


def test_files_with_different_numbers_of_bins_are_an_error(session, tmp_path):
    savemat(tmp_path / "c.mat", {"c": np.ones((600, 2))})
    savemat(tmp_path / "b.mat", {"b": np.ones((590, 1))})
    with pytest.raises(DataError, match="several files differ in length: 600, 590 bins"):
        session(
            "{file: c.mat, subject: m, bin_width_ms: 20, spikes: c, behavior: {file: b.mat, values: b}}",
        )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: s, subject: m, spikes: c}", r"yaml:3: a session lacks `file`: give it for the session, or for each"),
        ("{name: s, subject: m, lfp: {values: c}}", "yaml:3: a session lacks `file`"),
        ("{name: s, subject: m, lfp: {file: a.h5, values: x, offset_s: 1}}", "one signal must be on the clock"),
        (f"{{file: {'x' * 3000}, subject: m, spikes: c}}", r"cannot be looked up: .*x \(File name too long"),
        ("{file: a.h5, subject: m, spikes: c, ingest: {filters: {lowpass_hz: -1}}}", "lowpass_hz` must be above 0"),
        ("{file: a.h5, subject: m, spikes: c, ingest: {splits: {seed: -1}}}", "seed` must be at least 0"),
        ("{file: a.h5, subject: m, lfp: {values: x, time_scale: 0}}", "time_scale` must be above 0"),
        ("{file: a.h5, subject: m, spikes: {times: x, time_unit: samples}}", "needs the `rate_hz` of these samples"),
        ("{file: a.h5, subject: m, spikes: {times: x, time_unit: min}}", "must be one of s, ms, us, samples"),
        (
            "{file: a.h5, subject: m, lfp: {values: x, channels: no.csv}}",
            r"no\.csv: cannot be read .*\(No such file or",
        ),
    ],
)
def test_manifest_whose_files_or_clocks_are_unclear_is_refused(session, entry, message):
    with pytest.raises(ConfigError, match=message):
        session(entry)


def test_several_intervals_are_pieces_of_the_recording(session, spikes, tmp_path):
    probe(tmp_path / "probe.h5")
    made, _ = session(
        f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, rate_hz: 1000}}, "
        "interval: [{start_s: 40, stop_s: 50}, {start_s: 10, stop_s: 20}]}"
    )
    assert made.start_s == 10 and made.n_bins == 2000
    assert [(made.piece == i).sum() for i in (-1, 0, 1)] == [1000, 500, 500]


def test_electrodes_of_a_csv_file_are_stored_with_the_channels_that_remain(session, spikes, tmp_path):
    probe(tmp_path / "probe.h5", channels=4)
    (tmp_path / "map.csv").write_text(
        "electrode,array,x_um,bad\n11,A,0,\n12,A,400,yes\n11,B,0,0\n12,B,,\n", encoding="utf-8"
    )
    made, (_, *notes) = session(
        f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, rate_hz: 1000, channels: map.csv}}, "
        "ingest: {drop_channels: 0}}"
    )
    expected = channel_table(2, electrode=["11", "12"], array=["B", "B"], x_um=[0.0, None])
    assert made.lfp_channels == expected and made.lfp.shape[1] == 2
    assert any("1 LFP channels are marked as bad and were left out: 1" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("electrode,x_um\n1,2\n2,3,4\n", r"map\.csv:3: the row has more cells than there are columns \(2\)"),
        ("electrode,x_um,x_um\n1,2,3\n", r'map\.csv: the column "x_um" is there twice'),
        ("electrode,x_um\n1,nan\n", r"map\.csv:2: `x_um` must be a finite number, got nan"),
        ("", r"map\.csv: the file lists no channel"),
    ],
)
def test_electrodes_of_a_csv_file_that_is_unclear_are_refused(text, message, session, tmp_path):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        session("{file: a.h5, subject: m, lfp: {values: x, channels: map.csv}}")


def test_damage_to_one_of_several_files_names_that_file_alone(session, spikes, tmp_path):
    probe(tmp_path / "probe.h5")
    (tmp_path / "track.npz").write_bytes(b"text")
    with pytest.raises(DataError, match=rf"^{tmp_path / 'track.npz'}: not a readable \.npz file"):
        session(
            f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, rate_hz: 1000}}, "
            "behavior: {file: track.npz, values: x, times: t}}"
        )


def test_common_average_per_array_leaves_the_other_array_alone(session, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(SECONDS * 1000, 4)) + np.sin(np.arange(SECONDS * 1000) / 100)[:, None] * [5, 5, 0, 0]
    with h5py.File(tmp_path / "probe.h5", "w") as file:
        file["lfp"] = noise
    channels = ", ".join(f"{{electrode: {i}, array: {a}}}" for i, a in enumerate("AABB"))
    entry = f"{{file: probe.h5, subject: m, lfp: {{values: lfp, rate_hz: 1000, channels: [{channels}]}}}}"
    filters = "notch_hz: null, highpass_hz: null, lowpass_hz: null"
    none, _ = session(entry, f"filters: {{{filters}, common_average: false}}, bin_width_ms: 20")
    per_array, _ = session(entry, f"filters: {{{filters}, common_average: array}}, bin_width_ms: 20")
    for pair in (slice(0, 2), slice(2, 4)):
        own = none.lfp[:, pair]
        assert per_array.lfp[:, pair] == pytest.approx(own - own.mean(axis=1, keepdims=True), abs=1e-5)
    with pytest.raises(DataError, match="needs the array of every LFP channel"):
        session(
            "{file: probe.h5, subject: m, lfp: {values: lfp, rate_hz: 1000}}",
            f"filters: {{{filters}, common_average: array}}, bin_width_ms: 20",
        )


def test_intervals_shared_by_all_sets_stay_apart_where_they_touch():
    trials = np.array([[0.0, 5.0], [5.0, 10.0], [12.0, 20.0]])
    runs = np.array([[1.0, 8.0], [9.0, 15.0]])
    assert shared([trials, runs]).tolist() == [[1, 5], [5, 8], [9, 10], [12, 15]]


def test_signals_of_several_files_keep_the_order_of_the_manifest(session, spikes, tmp_path):
    probe(tmp_path / "first.h5")
    probe(tmp_path / "second.h5", channels=3)
    stamps = np.arange(0, SECONDS, 0.02)
    savemat(tmp_path / "spikes2.mat", {"t": np.arange(0.05, SECONDS, 0.1), "x": np.sin(stamps), "y": np.cos(stamps)})
    savemat(tmp_path / "x.mat", {"x": np.sin(stamps)})
    made, _ = session(
        "{name: s, subject: m, file: second.h5, lfp: [{file: first.h5, values: lfp, rate_hz: 1000}, "
        "{values: lfp, rate_hz: 1000, scale: 100}], spikes: {file: spikes2.mat, times: t}, "
        "behavior: [{file: x.mat, values: x, rate_hz: 50}, {file: spikes2.mat, values: y, rate_hz: 50}]}",
        "filters: null, bin_width_ms: 20, drop_channels: [0]",
    )
    assert made.behavior_names == ("x", "y")
    assert np.diff(made.lfp, axis=0)[100:-100].mean(axis=0) == pytest.approx([0.2, 20, 20, 20], rel=1e-3)
    assert made.lfp[1500, 0] == pytest.approx(10 * 1500.5 * 0.02 + 1, abs=0.01)  # channel 1 of the first file


def test_interval_chooses_between_parts_of_another_file_whose_clock_was_set_back(session, spikes, tmp_path):
    with h5py.File(tmp_path / "probe.h5", "w") as file:
        stamps = np.concatenate([100 + np.arange(20000) / 1000, np.arange(60000) / 1000])
        file["lfp"], file["t"] = stamps[:, None] * [1.0, 2.0], stamps - 5
    made, _ = session(
        f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: lfp, times: t, offset_s: 5}}, "
        "interval: {start_s: 10, stop_s: 40}}"
    )
    seconds = 10 + (np.arange(1500) + 0.5) * 0.02
    assert made.start_s == 10 and made.lfp[20:-20, 0] == pytest.approx(seconds[20:-20], abs=1e-3)


def test_error_of_one_file_names_only_this_file(session, spikes, tmp_path):
    probe(tmp_path / "probe.h5")
    with pytest.raises(DataError, match=r'^probe\.h5: there is no variable "nothere"'):
        session(f"{{name: s, subject: m, {SPIKES}, lfp: {{file: probe.h5, values: nothere, rate_hz: 1000}}}}")

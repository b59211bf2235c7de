"""Matrices of counts, LFP and behavior: how they lie, their clocks, sparse ones, and those of several variables."""

import h5py
import numpy as np
import pytest
from scipy.sparse import coo_array, csc_array, csr_array, save_npz

from raydistill.errors import DataError
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from tests.recordings.matlab_files import write_matlab

VERSIONS = pytest.mark.parametrize("version", ["5", "7.3"])


@pytest.fixture
def recording(tmp_path, manifest):
    def plan(name, entry, ingest="filters: null"):
        text = f"ingest: {{{ingest}}}\nsessions:\n  - {{file: {name}, subject: m1, {entry}}}\n"
        (planned,) = plan_sources(manifest(text), tmp_path)
        return planned

    return plan


@pytest.fixture
def raw(recording):
    """What a manifest entry describes, and the LFP."""

    def read(name, entry, ingest="filters: null"):
        planned = recording(name, entry, ingest)
        with open_raw(planned.path, planned.source, planned.config.bin_width_ms) as found:
            return found, [signal.read(0, signal.n_samples) for signal in found.lfp]

    return read


@pytest.fixture
def counts(rng):
    return rng.poisson(1, (1200, 3)).astype(float)


# How a matrix lies


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (0,)])
def test_empty_matrix_is_refused_as_empty(shape, tmp_path, raw):
    np.savez(tmp_path / "a.npz", c=np.empty(shape))
    for entry in ("spikes: c", "spikes: {counts: c, transpose: true}", "lfp: c"):
        with pytest.raises(DataError, match=r"a\.npz: c is an empty array"):
            raw("a.npz", f"bin_width_ms: 10, {entry}")


@VERSIONS
def test_counts_with_far_more_units_than_bins_name_transpose(version, tmp_path, raw, counts):
    write_matlab(tmp_path / "a.mat", version, {"c": counts.T, "right": counts})
    with pytest.raises(
        DataError, match=r"c lies the other way round, as 3 samples of 1200 units: set `transpose: true`"
    ):
        raw("a.mat", "bin_width_ms: 10, spikes: c")
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: {counts: c, transpose: true}")
    assert np.array_equal(found.spikes.values, counts)
    with pytest.raises(DataError, match=r"right lies the other way round.*: leave out `transpose: true` of `spikes`"):
        raw("a.mat", "bin_width_ms: 10, spikes: {counts: right, transpose: true}")
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: {counts: c, axes: [units, time]}")
    assert np.array_equal(found.spikes.values, counts)
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: {counts: c, axes: [time, units]}")  # as the manifest states
    assert np.array_equal(found.spikes.values, counts.T)


def test_matrix_whose_other_dimension_fits_the_others_names_transpose(tmp_path, raw, counts):
    lfp = np.zeros((1200, 400))
    np.savez(tmp_path / "a.npz", c=counts, lfp=lfp.T, pos=np.zeros((2, 1200)), t=np.arange(1200) * 0.01)
    with pytest.raises(
        DataError, match=r"lfp lies .*, as 400 samples of 1200 channels: set `transpose: true` in `lfp`"
    ):
        raw("a.npz", "bin_width_ms: 10, spikes: c, lfp: lfp")
    with pytest.raises(DataError, match=r"lfp lies .*`transpose: true` in `lfp` \(the bins end at 12\.000 s\)"):
        raw("a.npz", "bin_width_ms: 10, spikes: c, lfp: {values: lfp, rate_hz: 100}")
    with pytest.raises(
        DataError, match=r"pos lies .*, as 2 samples of 1200 columns: set `transpose: true` in `behavior`"
    ):
        raw("a.npz", "bin_width_ms: 10, spikes: c, behavior: {values: pos, times: t}")


@pytest.mark.parametrize(
    ("shape", "behavior"),
    [((8, 20), "{values: pos, times: t}"), ((2, 20), "{values: pos, rate_hz: 10, names: [x, y]}")],
)
def test_short_behavior_is_recognised_by_its_stamps_or_names(shape, behavior, tmp_path, raw):
    np.savez(tmp_path / "a.npz", c=np.ones((60, 1)), pos=np.zeros(shape), t=np.arange(20) * 0.1)
    with pytest.raises(DataError, match=r"pos lies the other way round.*`transpose: true` in `behavior`"):
        raw("a.npz", f"bin_width_ms: 100, spikes: c, behavior: {behavior}")


@VERSIONS
def test_vectors_are_one_column_whichever_way_they_lie(version, tmp_path, raw):
    rows = {"c": np.ones((1, 600)), "lfp": np.arange(600.0)[None], "x": np.arange(600.0)[:, None]}
    write_matlab(tmp_path / "a.mat", version, rows)
    found, (lfp,) = raw("a.mat", "bin_width_ms: 10, spikes: c, lfp: lfp, behavior: x")
    assert found.spikes.values.shape == (600, 1) and np.array_equal(lfp[:, 0], np.arange(600))
    assert np.array_equal(found.behavior[0].values[:, 0], np.arange(600)) and found.behavior[0].names == ("x",)


# Sparse matrices and several variables


@pytest.mark.parametrize("form", ["mat 5", "mat 7.3", "npz csr", "npz csc", "npz coo"])
def test_sparse_counts_are_read(form, tmp_path, raw, counts):
    counts[5] = 0
    kind, _, version = form.partition(" ")
    path = tmp_path / f"a.{kind}"
    if kind == "mat":
        write_matlab(path, version, {"c": csc_array(counts)})
    else:
        save_npz(path, {"csr": csr_array, "csc": csc_array, "coo": coo_array}[version](counts))
    found, _ = raw(path.name, f"bin_width_ms: 10, spikes: {'c' if kind == 'mat' else 'data'}")
    assert np.array_equal(found.spikes.values, counts)


@pytest.mark.parametrize("starts", [[0, 5, -(1 << 56), -1], [0, 900, 300, 1800], [0, 300, 600, -1], [0, 0, 0, -1]])
def test_sparse_matrix_whose_columns_do_not_begin_in_order_is_refused(starts, tmp_path, raw):
    write_matlab(tmp_path / "a.mat", "7.3", {"c": csc_array(np.ones((600, 3)))})
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["c/jc"][...] = np.array(starts).astype(np.uint64)
    with pytest.raises(DataError, match=r"c is damaged \("):
        raw("a.mat", "bin_width_ms: 10, spikes: c")


def test_sparse_matrix_without_a_value_and_with_damaged_rows(tmp_path, raw):
    write_matlab(tmp_path / "a.mat", "7.3", {"c": csc_array(np.ones((600, 3))), "none": csc_array((600, 3))})
    with pytest.raises(DataError, match=r"c is a sparse 600 x 3 matrix; it has no part rows"):
        raw("a.mat", "bin_width_ms: 10, spikes: c/rows")
    found, _ = raw("a.mat", "bin_width_ms: 10, spikes: none")
    assert not found.spikes.values.any() and found.spikes.values.shape == (600, 3)
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["c/ir"][0] = 10**9
    with pytest.raises(DataError, match="c is damaged"):
        raw("a.mat", "bin_width_ms: 10, spikes: c")


@VERSIONS
def test_pattern_takes_one_variable_per_channel_in_the_order_of_their_numbers(version, tmp_path, raw):
    lfp = {f"LFP_ch{k}": np.arange(600.0) + 1000 * k for k in range(12)}
    write_matlab(tmp_path / "a.mat", version, lfp | {"cursor": {"y": np.ones(600), "x": np.zeros(600)}})
    found, (values,) = raw(
        "a.mat", 'lfp: {values: "LFP_ch*", rate_hz: 100}, behavior: {values: "cursor/*", rate_hz: 100}'
    )
    assert np.array_equal(values, np.arange(600)[:, None] + 1000 * np.arange(12))
    assert found.taken[0] == "LFP of 12 channels from LFP_ch*" and found.behavior[0].values[0].tolist() == [0, 1]
    write_matlab(tmp_path / "b.mat", version, {"LFP_ch0": np.ones(600), "LFP_ch1": np.ones(599)})
    with pytest.raises(DataError, match="LFP_ch0 has 600 samples but LFP_ch1 has 599"):
        raw("b.mat", 'lfp: {values: "LFP_ch*", rate_hz: 100}')


# Clocks


def test_counts_labels_and_other_arrays_are_rebinned(tmp_path, recording, rng):
    fine = rng.poisson(0.1, (60_007, 2)).astype(np.uint8)
    label = np.full(60_007, -1)
    for k in range(12):
        label[k * 5000 + 5 : k * 5000 + 4000] = k
    x = np.arange(60_007) * 1e-3
    np.savez(tmp_path / "a.npz", c=fine, lfp=np.sin(x)[:, None], x=x[:, None], trial=label)
    entry = "bin_width_ms: 1, spikes: c, lfp: lfp, behavior: x, trials: trial"
    planned = recording("a.npz", entry, ingest="bin_width_ms: 10, filters: null")
    with open_raw(planned.path, planned.source, 10.0) as found:
        assert found.n_bins == 6000
        made, notes = to_session(planned, found, {})
    assert np.array_equal(made.spikes, fine[:60_000].reshape(6000, 10, 2).sum(1))
    centres = (np.arange(6000) + 0.5) * 0.01
    assert np.allclose(
        made.behavior[1:-1, 0], centres[1:-1] - 0.0005, atol=1e-5
    )  # a value is at the centre of its 1-ms bin
    assert np.allclose(made.lfp[20:-20, 0], np.sin(centres[20:-20] - 0.0005), atol=1e-3)
    assert [np.flatnonzero(made.trial == k).tolist() for k in (0, 11)] == [
        list(range(1, 400)),
        list(range(5501, 5900)),
    ]
    assert any(note.startswith("the last 7 of 60007 bins of the file do not fill one of 10 ms") for note in notes)


def test_lfp_with_stamps_is_cut_at_its_gaps(tmp_path, recording):
    stamps = np.concatenate([np.arange(5000), np.arange(5000) + 8000]) / 1000 + 2
    lfp = np.sin(2 * np.pi * 3 * stamps)[:, None]
    np.savez(tmp_path / "a.npz", lfp=lfp, t=stamps * 1e6, st=np.arange(2.0, 15, 0.05))
    entry = "lfp: {values: lfp, times: t, time_unit: us}, spikes: {times: st}"
    planned = recording("a.npz", entry)
    with open_raw(planned.path, planned.source, 10.0) as found:
        (signal,) = found.lfp
        assert [(run.first, run.stop) for run in signal.runs] == [(0, 5000), (5000, 10_000)]
        assert [run.start_s for run in signal.runs] == pytest.approx([2, 10]) and signal.rate_hz == pytest.approx(1000)
        made, notes = to_session(planned, found, {})
    assert "lfp has 1 gap, from 7.000 to 10.000 s; nothing is filtered across it" in notes
    centres = made.start_s + (np.arange(made.n_bins) + 0.5) * 0.01
    inside = made.piece >= 0
    assert inside.sum() == 1000 and np.array_equal(np.flatnonzero(~inside), np.arange(500, 800))
    assert np.abs(made.lfp[inside, 0] - np.sin(2 * np.pi * 3 * centres[inside])).max() < 0.1


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (
            np.r_[np.arange(300), np.arange(300)] / 100,
            r"t runs back at time stamp 300: 0\.0000 s comes after 2\.9900 s",
        ),
        (np.r_[np.arange(599) / 100, np.nan], "t: time stamp 599 is not a number"),
        (np.zeros(600), "t repeats its time stamps"),
        (np.arange(600) ** 1.2 / 100, "t is not sampled uniformly: time stamp"),
        (np.arange(599) / 100, "lfp has 600 samples but t has 599 time stamps"),
    ],
)
def test_stamps_of_lfp_that_are_no_clock_are_errors_naming_the_stamp(stamps, message, tmp_path, raw):
    np.savez(tmp_path / "a.npz", lfp=np.zeros((600, 2)), t=stamps)
    with pytest.raises(DataError, match=message):
        raw("a.npz", "lfp: {values: lfp, times: t}")


def test_several_series_and_traces_have_clocks_of_their_own(tmp_path, raw):
    np.savez(
        tmp_path / "a.npz",
        lfp=np.zeros((6000, 2)),
        probe=np.ones((3000, 3)),
        x=np.arange(600.0),
        tx=np.arange(600) * 100,
        y=np.arange(1200.0),
        ty=np.arange(1200) * 1500,
    )
    found, lfp = raw(
        "a.npz",
        "lfp: [{values: lfp, rate_hz: 100}, {values: probe, rate_hz: 50, start_s: 1}], "
        "behavior: [{values: x, times: tx, time_unit: ms}, "
        "{values: y, times: ty, time_unit: samples, rate_hz: 30000, names: [height]}]",
    )
    assert [values.shape for values in lfp] == [(6000, 2), (3000, 3)] and found.lfp[1].start_s == 1
    assert found.behavior[0].times[1] == pytest.approx(0.1) and found.behavior[1].times[1] == pytest.approx(0.05)
    assert [trace.names for trace in found.behavior] == [("x",), ("height",)]
    assert found.taken[1:] == ("LFP of 3 channels from probe", "behavior x from x", "behavior height from y")


def test_interval_takes_the_part_of_a_clock_that_was_set_back(tmp_path, recording):
    stamps = np.r_[np.arange(5000) + 9000, np.arange(3000)] / 1000  # 9 to 14 s, then 0 to 3 s
    np.savez(tmp_path / "a.npz", lfp=stamps[:, None], t=stamps)
    planned = recording("a.npz", "lfp: {values: lfp, times: t}, interval: {start_s: 0.5, stop_s: 2.5}")
    with open_raw(planned.path, planned.source, 10.0) as found:
        made, _ = to_session(planned, found, {})
    assert made.n_bins == 200 and made.start_s == pytest.approx(0.5)
    assert np.allclose(made.lfp[5:-5, 0], (made.start_s + (np.arange(200) + 0.5) * 0.01)[5:-5], atol=1e-3)
    planned = recording("a.npz", "lfp: {values: lfp, times: t}")
    message = r"t runs back at time stamp 5000: .* with `interval`"
    with pytest.raises(DataError, match=message), open_raw(planned.path, planned.source, 10.0):
        pass


# Channels


def test_channels_and_their_bands_are_given_to_the_signal(tmp_path, raw, manifest):
    np.savez(tmp_path / "a.npz", lfp=np.zeros((6000, 6)))
    (tmp_path / "map.csv").write_text("electrode,array,region,x_um,bad\ne1,A,M1,0,\ne2,A,M1,400,yes\ne3,B,PMd,0,\n")
    found, _ = raw("a.npz", "lfp: {values: lfp, rate_hz: 100, bands: 2, channels: map.csv}")
    (signal,) = found.lfp
    assert signal.bad == (2, 3) and signal.channels.array == ("A", "A", "B") and signal.channels.x_um == (0, 400, 0)
    with pytest.raises(DataError, match=r"`lfp\.channels` has 3 rows but lfp has 6 electrodes"):
        raw("a.npz", "lfp: {values: lfp, rate_hz: 100, channels: map.csv}")


def test_features_are_not_filtered_unless_filters_are_given(tmp_path, manifest):
    power = np.random.default_rng(0).uniform(1, 2, (6000, 6))
    np.savez(tmp_path / "a.npz", power=power)
    entry = "{file: a.npz, subject: m1, bin_width_ms: 10, lfp: {values: power, bands: 2}"
    made = {}
    for name, ingest in (("plain", ""), ("given", ", ingest: {filters: {common_average: false}}")):
        (planned,) = plan_sources(manifest(f"sessions:\n  - {entry}{ingest}}}\n"))
        with open_raw(planned.path, planned.source, 10.0) as found:
            made[name] = to_session(planned, found, {})[0].lfp
    assert np.array_equal(made["plain"], power.astype(np.float32))
    assert abs(made["given"].mean()) < 0.01  # by the high-pass


def test_bad_units_of_counts_keep_the_numbers_of_the_others(tmp_path, recording, counts):
    np.savez(tmp_path / "a.npz", c=counts)
    entry = "bin_width_ms: 10, spikes: {counts: c, channels: [{array: A, bad: true}, {array: B}, {array: C}]}"
    planned = recording("a.npz", entry, ingest="filters: null, drop_units: [2]")
    with open_raw(planned.path, planned.source, 10.0) as found:
        made, notes = to_session(planned, found, {})
    assert np.array_equal(made.spikes[:, 0], counts[:, 1]) and made.unit_channels.array == ("B",)
    assert "1 units are marked as bad and were left out: 0" in notes


# Damage and size


def test_declared_but_never_written_arrays_are_refused_before_they_are_read(tmp_path, raw):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("c", (10**12, 3), "u1", chunks=True)
        file.create_dataset("lfp", (10**10, 16), "f4", chunks=True)
    with pytest.raises(
        DataError, match=r"c is said to hold 1000000000000 x 3 values, but the file has only 0 bytes for"
    ):
        raw("a.h5", "bin_width_ms: 10, spikes: c")
    with pytest.raises(DataError, match="lfp is said to hold"):
        raw("a.h5", "lfp: {values: lfp, rate_hz: 1000}")


def test_npz_header_that_declares_more_than_the_file_holds_is_refused(tmp_path, raw):
    np.savez(tmp_path / "a.npz", c=np.ones((1200, 3)))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data.replace(b"(1200, 3), }  ", b"(120000000000, 3), }"[:14].ljust(14)))
    with pytest.raises(DataError, match=r"c is damaged|c is said to hold|not a readable"):
        raw("a.npz", "bin_width_ms: 10, spikes: c")


@pytest.mark.parametrize("kind", ["h5", "mat 5", "mat 7.3", "npz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_file_that_is_cut_off_anywhere_is_one_line_naming_it(share, kind, tmp_path, make_h5, raw, binned):
    path = tmp_path / {"h5": "a.h5", "npz": "a.npz"}.get(kind, "a.mat")
    if kind == "h5":
        make_h5("a.h5")
    elif kind == "npz":
        np.savez_compressed(path, **binned)
    else:
        write_matlab(path, kind.removeprefix("mat "), binned)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=path.name) as caught:
        raw(path.name, "bin_width_ms: 100, spikes: spikes, lfp: lfp, behavior: behavior, trials: trial")
    assert "\n" not in str(caught.value)


def test_damaged_variable_that_is_not_needed_does_no_harm(tmp_path, raw, counts):
    np.savez(tmp_path / "a.npz", c=counts, other=np.arange(1000.0))
    data = (tmp_path / "a.npz").read_bytes()
    at = data.index(np.arange(500.0, 502).tobytes())
    (tmp_path / "a.npz").write_bytes(data[:at] + b"damage" + data[at + 6 :])
    found, _ = raw("a.npz", "bin_width_ms: 10, spikes: c")
    assert np.array_equal(found.spikes.values, counts)
    with pytest.raises(DataError, match=r"a\.npz: other is damaged \(Bad CRC-32"):
        raw("a.npz", "bin_width_ms: 10, spikes: c, behavior: {values: other, rate_hz: 50}")


def test_link_to_a_missing_file_is_an_error_naming_it(tmp_path, raw):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["lfp"] = h5py.ExternalLink("raw.h5", "data")
    with pytest.raises(DataError, match=r"lfp is a link to raw\.h5, which cannot be opened"):
        raw("a.h5", "lfp: {values: lfp, rate_hz: 1000}")


def test_empty_matrix_is_an_error_naming_it(tmp_path, manifest):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["c"] = np.empty((0, 4))
    (recording,) = plan_sources(manifest("sessions: [{file: a.h5, subject: m1, bin_width_ms: 10, spikes: c}]"))
    with (
        pytest.raises(DataError, match=r"a\.h5: c is an empty array"),
        open_raw(tmp_path / "a.h5", recording.source, 10.0),
    ):
        pass


def test_scale_that_the_file_states_and_nothing_applies_is_told(tmp_path, raw):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["lfp"], file["x"] = np.zeros((1200, 2), dtype="i2"), np.zeros(1200)
        file["lfp"].attrs.update({"scale_factor": 0.5, "add_offset": 2.0})
        file["x"].attrs["scale_factor"] = 0.25
    entry = "lfp: {{values: lfp, rate_hz: 100{}}}, behavior: {{values: x, rate_hz: 100}}"
    told = [raw("a.h5", entry.format(scale))[0].notes for scale in ("", ", scale: 0.5")]
    of_lfp = "lfp: its file states scale_factor 0.5 and add_offset 2.0, not applied; set `scale` of `lfp`"
    of_x = "x: its file states scale_factor 0.25, not applied; its values and `units` are those of the file"
    assert told == [(of_lfp, of_x), (of_x,)]

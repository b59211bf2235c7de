"""Spike times of units: a list of vectors is taken only from what is one, and every other form is an error."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.files.nodes import find
from raydistill.recordings.files.opening import open_file
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from tests.recordings.matlab_files import cell, write_matlab

VERSIONS = pytest.mark.parametrize("version", ["5", "7.3"])


@pytest.fixture
def raw(tmp_path, manifest):
    """What a manifest entry describes in a file of the test."""

    def read(name, entry, width_ms=10.0):
        (recording,) = plan_sources(manifest(f"sessions: [{{file: {name}, subject: m1, {entry}}}]"))
        with open_raw(tmp_path / name, recording.source, width_ms) as found:
            return found

    return read


def times_of(found):
    return [unit.tolist() for unit in found.spikes.times]


@pytest.fixture
def trials(rng):
    """Times of 4 units in 30 trials of 10 s, unit -> trial -> times on the clock of the recording."""
    return [[np.sort(rng.uniform(j * 10, j * 10 + 10, 5)) for j in range(30)] for _ in range(4)]


@VERSIONS
def test_cell_matrix_without_axes_is_an_error_that_names_them(version, tmp_path, raw, trials):
    write_matlab(tmp_path / "a.mat", version, {"st": cell(trials)})
    with pytest.raises(DataError, match=r"a\.mat: st is a 4 x 30 cell array; a vector of cells .* `axes: \[units, tri"):
        raw("a.mat", "spikes: {times: st}")


@VERSIONS
@pytest.mark.parametrize("form", ["units x trials", "trials x units", "cells in cells", "trials of cells", "structs"])
def test_cells_of_units_and_trials_with_axes_are_joined_by_unit(form, version, tmp_path, raw, trials):
    by_trial = [list(column) for column in zip(*trials, strict=True)]
    value, axes = {
        "units x trials": (cell(trials), "[units, trials]"),
        "trials x units": (cell(by_trial), "[trials, units]"),
        "cells in cells": (trials, "[units, trials]"),
        "trials of cells": (by_trial, "[trials, units]"),
        "structs": ([{"t": units} for units in by_trial], "[trials, units]"),
    }[form]
    write_matlab(tmp_path / "a.mat", version, {"st": value})
    found = raw("a.mat", f"spikes: {{times: {'st/t' if form == 'structs' else 'st'}, axes: {axes}}}")
    assert times_of(found) == [np.concatenate(unit).tolist() for unit in trials]
    assert found.taken[0].startswith("4 units from st")


@VERSIONS
def test_times_from_their_trial_get_its_start(version, tmp_path, raw, trials):
    starts = np.arange(30) * 12.5 + 3
    write_matlab(
        tmp_path / "a.mat",
        version,
        {
            "st": cell([[t - j * 10 for j, t in enumerate(unit)] for unit in trials]),
            "on": starts,
            "off": starts + 10,
        },
    )
    entry = "spikes: {times: st, axes: [units, trials], times_from: trial}"
    found = raw("a.mat", f"{entry}, trials: {{start_s: on, stop_s: off}}")
    for unit, expected in zip(found.spikes.times, trials, strict=True):
        assert np.allclose(unit, np.concatenate([t + 2.5 * j + 3 for j, t in enumerate(expected)]))
    with pytest.raises(DataError, match="st is relative to its trial, whose start is not known: give `trials`"):
        raw("a.mat", entry)
    write_matlab(tmp_path / "b.mat", version, {"st": cell(trials), "on": starts[1:], "off": starts[1:] + 10})
    with pytest.raises(DataError, match="st has 30 trials but `trials` lists 29"):
        raw("b.mat", f"{entry}, trials: {{start_s: on, stop_s: off}}")


@VERSIONS
def test_times_of_one_unit_per_trial_need_one_axis(version, tmp_path, raw, trials):
    write_matlab(tmp_path / "a.mat", version, {"st": trials[0]})
    found = raw("a.mat", "spikes: {times: st, axes: [trials]}")
    assert times_of(found) == [np.concatenate(trials[0]).tolist()]
    assert len(raw("a.mat", "spikes: {times: st}").spikes.times) == 30  # without axes, a cell is a unit


@VERSIONS
def test_cells_in_cells_without_axes_and_of_different_sizes_are_errors(version, tmp_path, raw, trials):
    write_matlab(tmp_path / "a.mat", version, {"st": trials, "odd": [trials[0], trials[1][:29]]})
    with pytest.raises(
        DataError, match=r"st\{1\} is a 1 x 30 cell array, not a vector of spike times; if st holds cel"
    ):
        raw("a.mat", "spikes: {times: st}")
    with pytest.raises(DataError, match="odd: unit 2 has 29 trials but unit 1 has 30"):
        raw("a.mat", "spikes: {times: odd, axes: [units, trials]}")


@VERSIONS
@pytest.mark.parametrize(
    ("stranger", "described"),
    [
        (np.ones((2, 5)), "a 2 x 5 float64 array"),
        ("by hand", "text"),
        ({"t": np.ones(3)}, "a struct with the fields t"),
    ],
)
def test_cell_that_is_no_vector_is_an_error_naming_it(stranger, described, version, tmp_path, raw):
    write_matlab(tmp_path / "a.mat", version, {"st": [np.arange(1.0, 4), stranger]})
    with pytest.raises(DataError, match=rf"st\{{2\}} is {described}, not a vector of spike times"):
        raw("a.mat", "spikes: {times: st}")


def test_member_of_a_group_that_is_no_vector_is_an_error_and_a_pattern_leaves_it_out(tmp_path, raw):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        for k in range(12):
            file[f"units/unit_{k}"] = np.array([k, k + 100.0])
        file["units/n_units"] = 12
    with pytest.raises(DataError, match=r"units/n_units is a single number, not a vector .*such as \"units/unit_\*\""):
        raw("g.h5", "spikes: {times: units}")
    found = raw("g.h5", "spikes: {times: units/unit_*}")
    assert times_of(found) == [[k, k + 100.0] for k in range(12)]  # unit_2 before unit_10


def test_groups_in_a_group_are_an_error_and_a_pattern_takes_one_variable_of_each(tmp_path, raw):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for k in range(3):
            file[f"UnitTimes/{k}/times"] = np.array([k + 1.0, k + 2])
            file[f"UnitTimes/{k}/depth"] = 3.0
    with pytest.raises(
        DataError, match=r"UnitTimes/0 is a group with depth, times, not .* such as \"UnitTimes/\*/depth"
    ):
        raw("t.h5", "spikes: {times: UnitTimes}")
    assert times_of(raw("t.h5", "spikes: {times: UnitTimes/*/times}")) == [[1, 2], [2, 3], [3, 4]]
    with pytest.raises(DataError, match=r"no variable matches UnitTimes/x\*/times; the file holds UnitTimes"):
        raw("t.h5", "spikes: {times: UnitTimes/x*/times}")


@pytest.mark.parametrize("stranger", ["text", "matrix", "complex"])
def test_group_with_another_stranger_is_an_error_naming_it(stranger, tmp_path, raw):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["units/a"] = np.arange(3.0)
        file["units/b"] = {"text": "sorted", "matrix": np.ones((3, 2)), "complex": np.ones(3, complex)}[stranger]
    with pytest.raises(DataError, match=r"units/b is .*, not a vector of spike times"):
        raw("g.h5", "spikes: {times: units}")


def test_rows_of_different_lengths_in_one_dataset_are_units(tmp_path, raw):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        rows = file.create_dataset("st", 2, dtype=h5py.vlen_dtype(float))
        rows[0], rows[1] = np.array([1.0, 2]), np.array([3.0])
    assert times_of(raw("v.h5", "spikes: {times: st}")) == [[1, 2], [3]]


@VERSIONS
def test_vector_without_unit_ids_is_one_unit_and_told(version, tmp_path, raw):
    write_matlab(tmp_path / "a.mat", version, {"one": np.array([0.5, 1, 7]), "many": np.array([0.5, 7, 1])})
    found = raw("a.mat", "spikes: {times: one}")
    assert times_of(found) == [[0.5, 1, 7]] and "1 unit from one" in found.taken
    assert "one is one vector and was taken as the spike times of one unit" in found.notes[0]
    with pytest.raises(DataError, match=r"many runs back at spike 2 \(7 to 1\).*`unit_ids`"):
        raw("a.mat", "spikes: {times: many}")


@pytest.mark.parametrize("ids", [[4, 9, 4, 9, 4], [4.0, 9.5, 4, 9.5, 4], ["u2", "u10", "u2", "u10", "u2"]])
def test_list_of_all_spikes_is_sorted_by_unit_and_time(ids, tmp_path, raw):
    np.savez(tmp_path / "f.npz", t=np.array([5, 10, 3, 20, 59.9]), unit=np.array(ids))
    assert times_of(raw("f.npz", "spikes: {times: t, unit_ids: unit}")) == [[3, 5, 59.9], [10, 20]]


def test_spikes_without_a_unit_are_left_out_and_told(tmp_path, raw):
    np.savez(tmp_path / "f.npz", t=np.arange(1.0, 5), unit=np.array([1, np.nan, 1, 2]))
    found = raw("f.npz", "spikes: {times: t, unit_ids: unit}")
    assert times_of(found) == [[1, 3], [4]] and "1 of 4 spikes have no unit (NaN in unit), left out" in found.notes


def test_numbers_of_units_below_zero_are_told_with_the_setting_that_leaves_them_out(tmp_path, raw):
    np.savez(tmp_path / "f.npz", t=np.arange(1.0, 5), unit=np.array([7, -1, 7, -2]))
    found = raw("f.npz", "spikes: {times: t, unit_ids: unit}")
    assert times_of(found) == [[4], [2], [1, 3]]
    (note,) = found.notes
    assert "unit has numbers below 0 (-2, -1)" in note and "`drop_units: [0, 1]` leaves out" in note


@pytest.mark.parametrize(
    ("dtype", "setting", "rounded"),
    [("f2", "", "31.2 ms"), ("f4", "", None), ("f4", ", time_unit: us", None), ("f8", "", None)],
)
@pytest.mark.parametrize("form", ["one unit", "unit_ids"])
def test_times_in_a_type_that_is_too_short_are_told(dtype, setting, rounded, form, tmp_path, raw):
    np.savez(tmp_path / "f.npz", t=np.array([1.0, 2.0, 59.97], dtype=dtype), unit=np.array([1, 1, 1]))
    ids = ", unit_ids: unit" if form == "unit_ids" else ""
    found = raw("f.npz", f"spikes: {{times: t{ids}{setting}}}")
    told = [note for note in found.notes if "wrong bins" in note]
    assert [f"are rounded to {rounded}," in note for note in told] == ([True] if rounded else [])


@pytest.mark.parametrize(
    ("setting", "step"),
    [("time_unit: ms", 1e-3), ("time_unit: us", 1e-6), ("time_unit: samples, rate_hz: 30000", 1 / 30000)],
)
def test_spike_times_in_other_units_are_brought_to_seconds(setting, step, tmp_path, raw):
    savemat(tmp_path / "a.mat", {"one": np.array([3000, 6000], dtype=np.int32)})
    (unit,) = times_of(raw("a.mat", f"spikes: {{times: one, {setting}}}"))
    assert unit == pytest.approx([3000 * step, 6000 * step])


def test_columns_of_a_table_are_named_by_path(tmp_path, raw):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["table"] = np.rec.fromarrays([np.array([3.0, 1, 2]), np.array([0, 1, 0])], names="time,unit")
    assert times_of(raw("t.h5", "spikes: {times: table/time, unit_ids: table/unit}")) == [[2, 3], [1]]
    with pytest.raises(
        DataError, match=r"table is a table with the columns time, unit; .*name one of them, such as table"
    ):
        raw("t.h5", "spikes: {times: table, unit_ids: table}")
    with pytest.raises(DataError, match='there is no variable "tme" in table; did you mean "time"'):
        raw("t.h5", "spikes: {times: table/tme, unit_ids: table/unit}")


def test_pickled_list_is_an_error_that_says_how_to_save_it(tmp_path, raw):
    units = [np.array([1.0, 2]), np.array([3.0])]
    pickled = np.empty(2, dtype=object)
    pickled[:] = units
    np.savez(tmp_path / "p.npz", spikes=pickled)
    with pytest.raises(
        DataError, match=r"p\.npz: spikes is .* a pickled object, which is never loaded .* np\.savez\(file"
    ):
        raw("p.npz", "spikes: {times: spikes}")
    np.savez(tmp_path / "q.npz", **{f"spikes/{i}": v for i, v in enumerate(units)})  # as the message says
    assert times_of(raw("q.npz", "spikes: {times: spikes}")) == [[1, 2], [3]]


def test_units_marked_as_bad_are_left_out_and_keep_their_numbers(tmp_path, raw):
    np.savez(tmp_path / "f.npz", **{f"t/{k}": np.array([k + 1.0]) for k in range(3)})
    channels = "channels: [{array: A}, {array: A, bad: true}, {array: B}]"
    found = raw("f.npz", f"spikes: {{times: t, {channels}}}")
    assert times_of(found) == [[1], [3]] and found.spikes.ids == (0, 2) and found.spikes.channels.array == ("A", "B")
    assert "1 units are marked as bad and were left out: 1" in found.notes
    with pytest.raises(DataError, match=r"`spikes\.channels` has 1 rows but t has 3 units"):
        raw("f.npz", "spikes: {times: t, channels: [{array: A}]}")


@pytest.mark.parametrize(
    "section", ["lfp: {values: x, rate_hz: 1000, time_unit: ms, start_s: 5000}", "behavior: {values: x, time_unit: us}"]
)
def test_unit_of_time_stamps_that_are_not_given_is_refused(section, manifest):
    with pytest.raises(ConfigError, match="is the unit of its `times`, which are not given"):
        plan_sources(manifest(f"sessions: [{{file: a.mat, subject: m1, spikes: {{times: t}}, {section}}}]"))


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        ("{times: t, axes: [units, time]}", r"must be \[units, trials\], \[trials, units\] or \[trials\]"),
        ("{times: t, times_from: trial}", "`times_from: trial` needs `axes`"),
        ("{times: t, transpose: true}", "`transpose` applies to `spikes.counts`"),
        ("{times: t, unit_ids: u, axes: [trials]}", "`unit_ids` goes with one vector of times"),
        ("{counts: c, times_from: trial}", "`times_from` applies to `spikes.times`"),
        ("{counts: c, axes: [trials, units]}", r"`axes` of `spikes` must name each dimension once"),
        ("{counts: c, axes: [time, units], transpose: true}", "give `axes` or `transpose` of `spikes`, not both"),
    ],
)
def test_settings_that_do_not_go_together_are_found_before_a_file_is_opened(spikes, message, manifest):
    text = f"sessions: [{{file: a.mat, subject: m1, bin_width_ms: 10, spikes: {spikes}}}]"
    with pytest.raises(ConfigError, match=rf"manifest\.yaml:1: .*{message}"):
        plan_sources(manifest(text))


def test_times_relative_to_their_trial_are_recognised_when_that_is_not_said(tmp_path, raw):
    rng = np.random.default_rng(0)
    relative = cell([[np.sort(rng.uniform(0, 2, 20)) for _ in range(8)] for _ in range(3)])
    starts = np.arange(8) * 3.0
    absolute = cell([[relative[unit, k] + starts[k] for k in range(8)] for unit in range(3)])
    contents = {"relative": relative, "absolute": absolute, "on": starts, "off": starts + 2}
    write_matlab(tmp_path / "a.mat", "5", contents)
    trials = "trials: {start_s: on, stop_s: off}"
    with pytest.raises(DataError, match="set `times_from: trial` and give `trials`"):
        raw("a.mat", f"spikes: {{times: relative, axes: [units, trials]}}, {trials}")
    with pytest.raises(DataError, match="or is the order of `axes: \\[trials, units\\]` wrong"):
        raw("a.mat", f"spikes: {{times: absolute, axes: [trials, units]}}, {trials}")
    with pytest.raises(DataError, match="leave out `times_from: trial`"):
        raw("a.mat", f"spikes: {{times: absolute, axes: [units, trials], times_from: trial}}, {trials}")
    assert raw("a.mat", f"spikes: {{times: absolute, axes: [units, trials]}}, {trials}")


@pytest.mark.parametrize("names", [["0", "1", "2"], ["a", "b", "c"]])
def test_stranger_among_names_that_no_pattern_can_tell_apart_is_named_without_one(names, tmp_path, raw):
    np.savez(tmp_path / "g.npz", **{f"u/{name}": np.arange(5.0) for name in names}, **{"u/n": 3})
    with pytest.raises(DataError, match=r"u/n is a single number.* their names must begin alike"):
        raw("g.npz", "spikes: {times: u}")


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_element_of_a_cell_array_is_named_by_its_number_in_braces(version, tmp_path):
    runs = [{"trial": [np.full((30, 2), 10.0 * k + t) for t in range(4)]} for k in range(3)]
    path = write_matlab(tmp_path / "a.mat", version, {"runs": cell([runs])})
    with open_file(path) as root:
        trials = find(root, "runs{2}/trial")
        assert [e.read()[0, 0] for e in trials.elements().ravel()] == [10.0, 11.0, 12.0, 13.0]
        assert find(root, "runs{3}/trial{4}").read()[0, 0] == 23.0
        with pytest.raises(DataError, match="runs has the elements 1 to 3, not 4"):
            find(root, "runs{4}/trial")
        with pytest.raises(DataError, match=r"runs\{1\}/trial\{1\} is .*takes an element of a cell array"):
            find(root, "runs{1}/trial{1}{1}")

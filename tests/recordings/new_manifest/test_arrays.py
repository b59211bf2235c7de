"""Manifests for files of arrays: what is guessed, and what ingest makes of it once questions are answered."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from raydistill.recordings.files import matlab73
from raydistill.recordings.new_manifest.command import new_manifest
from tests.recordings.new_manifest.filling import behavior, counts, guessed, stored

SECONDS = 120
RNG = np.random.default_rng(0)
TIMES = np.sort(RNG.uniform(0, SECONDS, 3000))
UNITS = np.arange(3000) % 3
LFP = RNG.normal(size=(SECONDS * 500, 4))
COUNTS = RNG.poisson(1, (6000, 5))


def circle(seconds):
    """(n, 2) positions on a circle that is passed at 1 unit per second."""
    return np.column_stack([np.sin(seconds), np.cos(seconds)])


def by_trials(text):
    """A manifest whose trials are assigned to folds as a whole, so that all of their bins are stored."""
    return f"ingest: {{splits: {{by: trials}}}}\n{text}"


def write(path, values):
    """An HDF5, MATLAB or NPZ file; MATLAB 7.3 if the name ends in 73.mat."""
    if path.name.endswith("73.mat"):
        with matlab73.new_file(path) as file:
            for name, value in values.items():
                matlab73.write_array(file, name, value)
    elif path.suffix == ".mat":
        savemat(path, values)
    elif path.suffix == ".npz":
        np.savez(path, **values)
    else:
        with h5py.File(path, "w") as file:
            for name, value in values.items():
                file[name] = value


@pytest.mark.parametrize("name", ["day.h5", "day.npz", "day.mat", "day73.mat"])
def test_spike_times_with_units_and_signals_at_own_rates(name, tmp_path):
    columns = (lambda v: v[:, None]) if name.endswith(".mat") else (lambda v: v)
    values = {
        "spike_times": columns(TIMES),
        "unit": columns(UNITS.astype(float)),
        "lfp": LFP,
        "lfp_fs": columns(np.array([500.0])),
        "cursor": circle(np.arange(SECONDS * 100) / 100),
    }
    write(tmp_path / name, values)
    session = guessed(tmp_path, name)
    assert session["spikes"] == {"times": "spike_times", "unit_ids": "unit", "time_unit": "s"}
    assert session["lfp"] == {"values": "lfp", "rate_hz": 500}
    assert session["behavior"]["values"] == "cursor" and session["behavior"]["rate_hz"] == "FILL_IN"
    store = stored(tmp_path, [name], subject="m1", rate_hz=100)
    entry = store.entry(session["name"])
    position, times = behavior(store, session["name"])
    assert (entry.n_units, entry.n_channels, entry.subject) == (3, 4, "m1")
    assert position == pytest.approx(circle(times), abs=1e-3)
    assert abs(np.array(counts(store, session["name"])) - 1000).max() <= 2  # a spike may be after the last bin


@pytest.mark.parametrize("name", ["binned.mat", "binned.h5"])
def test_counts_with_turned_lfp_labels_and_a_bin_width_that_follows_from_the_rate(name, tmp_path):
    labels = np.where(np.arange(6000) % 100 < 80, np.arange(6000) // 100 + 1, 0)
    hand = circle(np.arange(6000) / 50 + 0.01)
    lfp = LFP.T
    values = {"counts": COUNTS.astype(float), "lfp": lfp, "hand_vel": hand, "trial": labels, "fs": 500.0}
    write(tmp_path / name, values)
    session = guessed(tmp_path, name)
    assert session["bin_width_ms"] == 20  # 10 samples per bin at 500 Hz
    assert session["spikes"] == {"counts": "counts"}
    assert session["lfp"] == {"values": "lfp", "transpose": True, "rate_hz": 500}
    assert session["trials"] == {"labels": "trial", "outside": "zero"}
    store = stored(tmp_path, [name], subject="m1")
    entry = store.entry("binned")
    assert counts(store, "binned") == COUNTS.sum(axis=0).tolist()
    assert (entry.n_channels, entry.bin_width_ms) == (4, 20)
    velocity, times = behavior(store, "binned")
    assert velocity == pytest.approx(circle(times), abs=1e-3)


@pytest.mark.parametrize("name", ["cells.mat", "groups.h5", "keys.npz", "names.npz"])
def test_list_of_spike_times_in_milliseconds(name, tmp_path):
    trains = [1000 * TIMES[unit == UNITS] for unit in range(3)]
    if name == "cells.mat":
        cells = np.empty((1, 3), dtype=object)
        cells[0] = [train[:, None] for train in trains]
        savemat(tmp_path / name, {"st": cells, "lfp": LFP, "fs": 500.0})
        path = "st"
    elif name == "groups.h5":
        with h5py.File(tmp_path / name, "w") as file:
            for unit, train in enumerate(trains):
                file[f"units/unit_{unit}/times"] = train
            file["lfp"], file["fs"] = LFP, 500.0
        path = "units/unit_*/times"
    else:
        start, path = ("times/", "times") if name == "keys.npz" else ("unit_", "unit_*")
        np.savez(tmp_path / name, **{f"{start}{unit}": train for unit, train in enumerate(trains)}, lfp=LFP, fs=500.0)
    session = guessed(tmp_path, name)
    assert session["spikes"] == {"times": path, "time_unit": "ms"}
    store = stored(tmp_path, [name], subject="m1")
    assert abs(np.array(counts(store, session["name"])) - 1000).max() <= 2


def test_sample_numbers_ask_for_their_rate(tmp_path):
    savemat(tmp_path / "a.mat", {"spikes": np.round(TIMES * 30000), "cluster": UNITS, "lfp": LFP, "lfp_rate": 500.0})
    session = guessed(tmp_path, "a.mat")
    expected = {"times": "spikes", "unit_ids": "cluster", "time_unit": "samples", "rate_hz": "FILL_IN"}
    assert session["spikes"] == expected
    store = stored(tmp_path, ["a.mat"], subject="m1", rate_hz=30000)
    assert abs(np.array(counts(store, "a")) - 1000).max() <= 2


def test_one_variable_per_channel_and_behavior_apart_on_stamps_in_milliseconds(tmp_path):
    stamps = np.arange(0, SECONDS, 0.02)
    channels = {f"LFP_ch{i}": LFP[:, i] for i in range(4)}
    x, y = circle(stamps).T
    np.savez(tmp_path / "a.npz", x=x, y=y, t=1000 * stamps, srate=500.0, st=TIMES, id=UNITS, **channels)
    session = guessed(tmp_path, "a.npz")
    assert session["lfp"] == {"values": "LFP_ch*", "rate_hz": 500}
    assert [(b["values"], b["times"], b["time_unit"]) for b in session["behavior"]] == [
        ("x", "t", "ms"),
        ("y", "t", "ms"),
    ]
    store = stored(tmp_path, ["a.npz"], subject="m1")
    position, times = behavior(store, "a")
    inner = times < SECONDS - 0.1
    assert position[inner] == pytest.approx(circle(times)[inner], abs=1e-3)
    assert store.entry("a").n_channels == 4


def test_angle_is_circular_with_its_period(tmp_path):
    stamps = np.arange(0, SECONDS, 0.02)
    np.savez(tmp_path / "a.npz", hd=np.degrees(stamps) % 360, t=stamps, spike_times=TIMES, unit=UNITS)
    assert guessed(tmp_path, "a.npz")["behavior"]["circular"] == {"hd": 360}
    store = stored(tmp_path, ["a.npz"], subject="m1")
    found, times = behavior(store, "a")
    inner = times < SECONDS - 0.1
    assert store.entry("a").behavior == ("hd_cos", "hd_sin")
    assert found[inner] == pytest.approx(np.column_stack([np.cos(times), np.sin(times)])[inner], abs=1e-2)


def test_stamps_that_run_back_are_asked_for(tmp_path):
    stamps = np.arange(0, SECONDS, 0.02)
    back = np.where(stamps > 60, stamps - 30, stamps)
    np.savez(tmp_path / "a.npz", hand=circle(stamps), t=back, spike_times=TIMES, unit=UNITS)
    text = new_manifest([tmp_path / "a.npz"], tmp_path)
    assert guessed(tmp_path, "a.npz")["behavior"]["times"] == "t"
    assert "# QUESTION: t runs back: was its clock set back?" in text


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_struct_array_of_trials(version, tmp_path):
    lengths = [300 + 10 * k for k in range(24)]
    rows = [
        {"spk": RNG.poisson(1, (n, 3)).astype(float), "pos": circle(np.arange(n) / 50), "t": np.arange(n)[None] / 50.0}
        for n in lengths
    ]
    if version == "5":
        array = np.array([tuple(row.values()) for row in rows], dtype=[(name, object) for name in rows[0]])
        savemat(tmp_path / "a.mat", {"trial": array[None]})
    else:
        with matlab73.new_file(tmp_path / "a.mat") as file:
            matlab73.write_struct_array(file, "trial", rows)
    session = guessed(tmp_path, "a.mat")
    assert session["spikes"] == {"counts": "trial/spk"}
    assert session["behavior"] == {"values": "trial/pos", "names": ["position_x", "position_y"]}
    store = stored(tmp_path, ["a.mat"], by_trials, subject="m1", bin_width_ms=20)
    segments = store.read(store.entry("a"))
    assert sorted({s.trial for s in segments}) == list(range(24))
    assert counts(store, "a") == sum(row["spk"].sum(axis=0) for row in rows).tolist()


def test_facts_of_trials_are_no_signals_and_select_trials(tmp_path):
    rows = [
        (RNG.poisson(1, (300, 3)), circle(np.arange(300) / 50).T, np.array([[9.0], [k]]), float(k % 2), "RF"[k % 2])
        for k in range(24)
    ]
    names = ["spk", "cursorPos", "targetPos", "isSuccessful", "result"]
    array = np.array(rows, dtype=[(name, object) for name in names])
    savemat(tmp_path / "a.mat", {"R": array[None]})
    session = guessed(tmp_path, "a.mat")
    assert "lfp" not in session and session["behavior"]["values"] == "R/cursorPos"
    text = new_manifest([tmp_path / "a.mat"], tmp_path)
    assert "# ingest: {splits: {by: trials}}" in text and "One value per trial: R/isSuccessful, R/result" in text
    use = lambda text: text.replace("# ingest:", "ingest:").replace("# trials:", "trials:")  # noqa: E731
    store = stored(tmp_path, ["a.mat"], use, subject="m1", bin_width_ms=20)
    assert {s.trial for s in store.read(store.entry("a"))} == set(range(1, 24, 2))
    assert counts(store, "a") == sum(row[0].sum(axis=0) for row in rows[1::2]).tolist()


def test_targets_of_trials_are_no_behavior_and_texts_per_trial_select_trials(tmp_path):
    starts = np.arange(24) * 5.0
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["counts"], file["cursor"], file["trials/target_pos"] = COUNTS, circle(np.arange(6000) / 50), circle(starts)
        file["trials/go"], file["trials/start"], file["trials/stop"] = starts + 0.5, starts, starts + 4
        file["trials/choice"] = np.array([b"left", b"right"] * 12)
        file["lfp"] = LFP
        file["lfp"].attrs["unit"] = "mV"
    session = guessed(tmp_path, "a.h5")
    assert session["behavior"]["values"] == "cursor" and session["lfp"]["scale"] == 0.001
    assert "# where: {trials/choice: left}" in new_manifest([tmp_path / "a.h5"], tmp_path)


def test_defaults_for_lfp_and_units_of_columns_are_told(tmp_path):
    angle = np.mod(np.arange(12000) * 0.7, 360)
    arrays = {"lfp": (1000 * LFP).astype(np.int16), "cursor_vel": circle(np.arange(12000) / 100), "head_dir": angle}
    np.savez(tmp_path / "a.npz", **arrays)
    text = new_manifest([tmp_path / "a.npz"], tmp_path)
    assert "# ingest: {filters: {common_average: false}}" in text and "0.05 to 50 Hz" in text
    assert "# units: [cm/s, cm/s]" in text and "# units: [deg]" in text
    assert "# hint: whole numbers are often steps of a converter" in text


def test_rate_of_a_group_is_that_of_its_lfp_and_other_rates_are_hints(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["lfp/data"], file["counts"], file["fs"] = LFP, COUNTS, 50.0
        file["lfp"].attrs["sampling_rate"], file["lfp/data"].attrs["bitVolts"] = 500.0, 0.195
    session = guessed(tmp_path, "a.h5")
    assert session["lfp"] == {"values": "lfp/data", "rate_hz": 500}
    text = new_manifest([tmp_path / "a.h5"], tmp_path)
    assert "lfp/sampling_rate: an attribute" not in text  # it is used
    assert "# hint: bitVolts is 0.195" in text
    np.savez(tmp_path / "a.npz", counts=COUNTS, fs=50.0)
    assert "# hint: a rate in Hz could be that of the bins: fs is 50, that of 20 ms" in new_manifest(
        [tmp_path / "a.npz"], tmp_path
    )


def test_padded_tensors(tmp_path):
    spikes, hand = np.full((24, 350, 3), np.nan), np.full((24, 350, 2), np.nan)
    for k in range(24):
        spikes[k, : 300 + k], hand[k, : 300 + k] = RNG.poisson(1, (300 + k, 3)), circle(np.arange(300 + k) / 50)
    np.savez(tmp_path / "a.npz", spikes=np.transpose(spikes, (1, 2, 0)), hand=np.transpose(hand, (1, 2, 0)))
    session = guessed(tmp_path, "a.npz")
    assert session["spikes"]["axes"] == ["time", "units", "trials"]
    assert session["behavior"]["axes"] == ["time", "columns", "trials"]
    store = stored(tmp_path, ["a.npz"], by_trials, subject="m1", bin_width_ms=20)
    assert counts(store, "a") == np.nansum(spikes, axis=(0, 1)).astype(int).tolist()


def test_spike_times_by_unit_and_trial(tmp_path):
    cells = np.empty((3, 24), dtype=object)
    for index in np.ndindex(3, 24):
        cells[index] = np.sort(RNG.uniform(0, 5, 40))
    savemat(tmp_path / "a.mat", {"spikes": cells, "lfp": RNG.normal(size=(24, 2500, 2))})
    session = guessed(tmp_path, "a.mat")
    assert session["spikes"] == {
        "times": "spikes",
        "axes": ["units", "trials"],
        "times_from": "trial",
        "time_unit": "s",
    }
    assert session["lfp"]["axes"] == ["trials", "time", "channels"]
    store = stored(tmp_path, ["a.mat"], subject="m1", rate_hz=500)
    assert counts(store, "a") == [24 * 40] * 3


def test_trials_as_matlab_sample_numbers(tmp_path):
    hand = circle(np.arange(6000) / 50 + 0.01)
    on = np.arange(1, 6000, 500.0)
    values = {"counts": COUNTS, "hand": hand, "on": on, "off": on + 399, "is_good": np.arange(12.0) % 2}
    savemat(tmp_path / "a.mat", values)
    session = guessed(tmp_path, "a.mat")
    assert session["trials"]["start_s"] == "on" and session["trials"]["stop_s"] == "off"
    assert (session["trials"]["time_unit"], session["trials"]["one_based"]) == ("samples", True)
    assert "# where: {is_good: 1}" in new_manifest([tmp_path / "a.mat"], tmp_path)
    store = stored(tmp_path, ["a.mat"], by_trials, subject="m1", bin_width_ms=20, trials_rate_hz=50)
    segments = sorted(store.read(store.entry("a")), key=lambda s: s.start_s)
    assert [(s.start_s, s.n_bins) for s in segments if s.trial == 3] == [(30, 250), (35, 150)]


def test_raster_and_sparse_counts_ask_whether_bins_are_to_be_wider(tmp_path):
    raster = (RNG.uniform(size=(60000, 4)) < 0.05).astype(float)
    savemat(tmp_path / "a.mat", {"raster": csc_matrix(raster), "bin_ms": 1.0})
    text = new_manifest([tmp_path / "a.mat"], tmp_path)
    assert guessed(tmp_path, "a.mat")["bin_width_ms"] == 1
    assert "# ingest: {bin_width_ms: 10}" in text
    store = stored(tmp_path, ["a.mat"], lambda text: text.replace("# ingest:", "ingest:"), subject="m1")
    assert store.entry("a").bin_width_ms == 10 and counts(store, "a") == raster.sum(axis=0).astype(int).tolist()


def test_text_that_names_the_subject_is_used(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["info/subject"], file["lfp"] = "monkey J", LFP
        file["lfp"].attrs["sampling_rate"] = 500.0
    session = guessed(tmp_path, "a.h5")
    assert session["subject"] == "monkey_J" and session["lfp"] == {"values": "lfp", "rate_hz": 500}
    assert stored(tmp_path, ["a.h5"]).entry("a").n_channels == 4


def test_every_guess_has_its_reason_and_every_open_value_its_description(tmp_path):
    np.savez(tmp_path / "a.npz", spike_times=TIMES, unit=UNITS, lfp=LFP.T, dat=circle(np.arange(12000) / 100))
    lines = new_manifest([tmp_path / "a.npz"], tmp_path).splitlines()
    for number, line in enumerate(lines):
        key = line.strip().lstrip("- ").partition(":")[0]
        if key in ("times", "unit_ids", "time_unit", "values", "transpose", "names"):
            assert "# guess: " in line or "# guess: " in lines[number - 1], line
        if "FILL_IN" in line and not line.startswith("#"):
            assert "FILL_IN  # the " in line
    assert sum("# QUESTION: is dat behavior?" in line for line in lines) == 1
    assert all(len(line) <= 120 for line in lines)


def test_data_called_x_and_y_are_told_apart_by_their_values(tmp_path):
    write(tmp_path / "a.mat", {"X": np.cumsum(RNG.normal(size=(6000, 4)), 0), "Y": RNG.poisson(1, (6000, 30))})
    session = guessed(tmp_path, "a.mat")
    assert session["spikes"] == {"counts": "Y"} and session["behavior"]["values"] == "X"


def test_signals_of_fieldtrip_are_taken_and_the_description_of_its_sensors_is_not(tmp_path):
    trials = np.empty((1, 5), dtype=object)
    for k in range(5):
        trials[0, k] = RNG.normal(size=(6, 300))
    sensors = {"tra": (RNG.random((50, 60)) < 0.3).astype(float), "coilpos": RNG.normal(size=(60, 3))}
    savemat(tmp_path / "a.mat", {"data": {"trial": trials, "fsample": 508.63, "grad": sensors}})
    session = guessed(tmp_path, "a.mat")
    assert session["lfp"] == {"values": "data/trial", "transpose": True, "rate_hz": 508.63}
    assert "spikes" not in session and "behavior" not in session


def test_first_element_of_an_unused_cell_array_is_described(tmp_path):
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0] = cells[0, 1] = {"trial": np.ones((3, 3)), "label": "a"}
    savemat(tmp_path / "a.mat", {"runs": cells})
    assert "runs: a 1 x 2 cell array, first a struct with the fields trial, label" in new_manifest(
        [tmp_path / "a.mat"], tmp_path
    )


def test_lfp_of_one_channel_is_stored_as_it_is_and_not_minus_itself(tmp_path):
    seconds = np.arange(60_000) / 1000
    times, unit = np.sort(np.random.default_rng(0).uniform(0, 60, 900)), np.arange(900) % 3
    on = 3.0 * np.arange(20)
    lfp = np.sin(2 * np.pi * 3 * seconds)
    savemat(tmp_path / "a.mat", {"spike_times": times, "unit": unit, "lfp": lfp, "trial_on": on, "trial_off": on + 2})
    made = guessed(tmp_path, "a.mat")
    assert made["ingest"] == {"filters": {"common_average": False}}
    assert "# splits: {by: trials}" in new_manifest([tmp_path / "a.mat"], tmp_path)
    store = stored(tmp_path, ["a.mat"], subject="m1", rate_hz=1000)
    entry = store.entry("a")
    segments = store.read(entry)
    found = entry.normalisation["lfp"].undo(np.concatenate([s.lfp for s in segments]))[:, 0]
    at = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) / 100 for s in segments])
    inner = (at > 15) & (at < 45)
    assert np.allclose(found[inner], np.sin(2 * np.pi * 3 * at[inner]), atol=0.01)


def test_groups_that_links_lead_back_to_are_looked_into_once(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("rec")
        group["spike_times"], group["unit"] = np.sort(rng.uniform(0, 60, 900)), np.arange(900) % 3
        group["position"], group["self"], group["up"] = rng.normal(size=(6000, 2)), group, h5py.SoftLink("/")
    made = guessed(tmp_path, "a.h5")
    assert made["spikes"] == {"times": "rec/spike_times", "unit_ids": "rec/unit", "time_unit": "s"}
    assert made["behavior"]["values"] == "rec/position"
    assert "Not used" not in new_manifest([tmp_path / "a.h5"], tmp_path)


@pytest.mark.parametrize("turned", [False, True])
def test_column_of_time_in_a_matrix_of_tracking_is_left_out_with_a_question(turned, tmp_path):
    seconds = np.arange(SECONDS * 100) / 100
    table = np.column_stack([seconds, circle(seconds)])
    values = {"spike_times": TIMES, "unit": UNITS, "tracking": table.T if turned else table}
    write(tmp_path / "day.npz", values)
    section = guessed(tmp_path, "day.npz")["behavior"]
    assert section["names"] == ["time", "tracking_x", "tracking_y"]
    assert section["columns"] == ["tracking_x", "tracking_y"]
    text = new_manifest([tmp_path / "day.npz"], tmp_path)
    asked = " ".join(text.replace("#", "").split())
    assert "QUESTION: is column 1 time? It rises by nearly equal steps of 0.01 from 0: if these are seconds" in asked
    assert "rate_hz is 100 and start_s 0" in asked and "then name the velocities in columns" not in asked
    store = stored(tmp_path, ["day.npz"], subject="m1", rate_hz=100)
    position, times = behavior(store, "day")
    assert position == pytest.approx(circle(times), abs=1e-3)

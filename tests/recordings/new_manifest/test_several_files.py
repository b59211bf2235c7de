"""Manifests for several files: one session from all, one per file, and pairs."""

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy.io import savemat

from raydistill.recordings.new_manifest.command import new_manifest
from tests.recordings.new_manifest.filling import behavior, counts, guessed, stored
from tests.recordings.own_nwb import write_nwb

SECONDS = 60
RNG = np.random.default_rng(0)
TIMES = np.sort(RNG.uniform(0, SECONDS, 1500))
UNITS = np.arange(1500) % 3


def write_lfp(path):
    with h5py.File(path, "w") as file:
        file["lfp"] = RNG.normal(size=(SECONDS * 500, 2))


def write_sorter(folder):
    folder.mkdir()
    np.save(folder / "spike_times.npy", np.round(TIMES * 30000).astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", UNITS.astype(np.int32))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tnoise\n2\tgood\n")


def manifest(folder, *names):
    text = new_manifest([folder / name for name in names], folder)
    return text, YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    ("ks_labels", "option"),
    [("0\tgood\n1\tmua\n2\tgood\n", "# unit_filter: {column: KSLabel, keep: [good]}"), ("", None)],
)
def test_folder_in_which_only_noise_was_labelled_is_not_asked_to_keep_the_noise(ks_labels, option, tmp_path):
    write_sorter(tmp_path / "kilosort")
    (tmp_path / "kilosort" / "cluster_group.tsv").write_text("cluster_id\tgroup\n1\tnoise\n")
    (tmp_path / "kilosort" / "cluster_KSLabel.tsv").write_text(f"cluster_id\tKSLabel\n{ks_labels}")
    text, _ = manifest(tmp_path, "kilosort")
    assert option in text if option else "unit_filter" not in text


def test_files_with_different_content_are_one_session(tmp_path):
    stamps = np.arange(0, SECONDS, 0.02)
    savemat(tmp_path / "sorted.mat", {"spike_times": TIMES, "unit": UNITS})
    write_lfp(tmp_path / "probe.h5")
    np.savez(tmp_path / "tracking.npz", x=np.sin(stamps), t=1000 * stamps)
    names = ["sorted.mat", "probe.h5", "tracking.npz"]
    text, _ = manifest(tmp_path, *names)
    session = guessed(tmp_path, *names)
    assert session["spikes"]["file"] == "sorted.mat" and session["lfp"]["file"] == "probe.h5"
    assert session["behavior"]["file"] == "tracking.npz" and session["behavior"]["time_unit"] == "ms"
    assert "# QUESTION: one session from all files" in text
    assert "# QUESTION: does the clock of probe.h5 start with that of sorted.mat?" in text
    store = stored(tmp_path, names, subject="m1", rate_hz=500)
    found, times = behavior(store, "sorted")
    inner = times < SECONDS - 0.1
    assert store.entry("sorted").n_channels == 2 and found[inner, 0] == pytest.approx(np.sin(times[inner]), abs=1e-3)


def test_sorter_folder_with_a_file_of_lfp(tmp_path):
    write_sorter(tmp_path / "kilosort")
    np.save(tmp_path / "lfp.npy", RNG.normal(size=(SECONDS * 500, 2)))
    names = ["kilosort/spike_times.npy", "kilosort", "lfp.npy"]
    session = guessed(tmp_path, *names)
    assert session["spikes"] == {"file": "kilosort", "rate_hz": "FILL_IN"}
    assert "# unit_filter: {column: group, keep: [good]}" in manifest(tmp_path, *names)[0]
    store = stored(tmp_path, names, subject="m1", spikes_rate_hz=30000, lfp_rate_hz=500)
    entry = store.entry("kilosort")
    assert (entry.n_units, entry.n_channels) == (2, 2) and abs(np.array(counts(store, "kilosort")) - 500).max() <= 2


def test_session_of_unlike_names_is_called_after_its_folder(tmp_path):
    day = tmp_path / "rat7_day1"
    day.mkdir()
    write_sorter(day / "kilosort")
    np.save(day / "lfp.npy", RNG.normal(size=(SECONDS * 500, 2)))
    (session,) = YAML(typ="safe").load(new_manifest([day / "kilosort", day / "lfp.npy"], tmp_path))["sessions"]
    assert session["name"] == "rat7_day1"


def test_sorter_folder_that_states_its_rate_needs_only_the_subject(tmp_path):
    write_sorter(tmp_path / "kilosort")
    (tmp_path / "kilosort" / "params.py").write_text("sample_rate = 30000.\n")
    assert guessed(tmp_path, "kilosort")["spikes"] == {"rate_hz": 30000}
    assert stored(tmp_path, ["kilosort"], subject="m1").entry("kilosort").n_units == 2


def test_files_with_the_same_variables_are_one_session_each_with_shared_defaults(tmp_path):
    for day in (1, 2, 10):
        savemat(tmp_path / f"day{day}.mat", {"counts": RNG.poisson(1, (3000, 4)), "hand": RNG.normal(size=(3000, 2))})
    names = ["day1.mat", "day2.mat", "day10.mat"]
    text, tree = manifest(tmp_path, *names)
    assert [session["file"] for session in tree["sessions"]] == names
    assert set(tree["defaults"]) == {"subject", "bin_width_ms", "spikes", "behavior"}
    assert "# QUESTION: one session per file" in text
    store = stored(tmp_path, names, subject="m1", bin_width_ms=20)
    assert [entry.session for entry in store.entries()] == ["day1", "day10", "day2"]


def test_files_that_differ_in_one_signal_share_only_the_others(tmp_path):
    for day, width in ((1, 4), (2, 4)):
        lfp = RNG.normal(size=(3000 * 5 * day, width))
        np.savez(tmp_path / f"d{day}.npz", counts=RNG.poisson(1, (3000, 4)), lfp=lfp, fs=500.0 * day)
    _, tree = manifest(tmp_path, "d1.npz", "d2.npz")
    assert "lfp" not in tree["defaults"]
    assert [session["lfp"]["rate_hz"] for session in tree["sessions"]] == [500, 1000]


def test_pairs_of_files_are_one_session_each(tmp_path):
    for day in (1, 2):
        savemat(tmp_path / f"s{day}_sorted.mat", {"spike_times": TIMES, "unit": UNITS})
        write_lfp(tmp_path / f"s{day}_probe.h5")
    names = [f"s{day}_{part}" for part in ("sorted.mat", "probe.h5") for day in (2, 1)]
    text, tree = manifest(tmp_path, *names)
    pairs = [(session["spikes"]["file"], session["lfp"]["file"]) for session in tree["sessions"]]
    assert pairs == [("s1_sorted.mat", "s1_probe.h5"), ("s2_sorted.mat", "s2_probe.h5")]
    assert "s1_sorted.mat + s1_probe.h5; s2_sorted.mat + s2_probe.h5?" in text
    store = stored(tmp_path, names, subject="m1", rate_hz=500)
    assert len(store.entries()) == 2


def test_complete_recordings_of_different_kinds_are_sessions_of_their_own(tmp_path):
    write_nwb(tmp_path / "rec.nwb", SECONDS)
    np.savez(tmp_path / "a.npz", counts=RNG.poisson(1, (3000, 4)), hand=RNG.normal(size=(3000, 2)))
    text, tree = manifest(tmp_path, "a.npz", "rec.nwb")
    assert [session["file"] for session in tree["sessions"]] == ["a.npz", "rec.nwb"]
    assert "# QUESTION: one session per file, as guessed because several hold spikes" in text
    assert len(stored(tmp_path, ["a.npz", "rec.nwb"], subject="m1", bin_width_ms=20).entries()) == 2


def test_files_of_one_name_in_two_folders_are_two_sessions(tmp_path):
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        np.savez(tmp_path / day / "rec.npz", counts=RNG.poisson(1, (3000, 4)))
    store = stored(tmp_path, ["day1/rec.npz", "day2/rec.npz"], subject="m1", bin_width_ms=20)
    assert [entry.session for entry in store.entries()] == ["day1_rec", "day2_rec"]


def test_units_of_an_nwb_file_with_lfp_of_another(tmp_path):
    write_nwb(tmp_path / "rec.nwb", SECONDS)
    with h5py.File(tmp_path / "rec.nwb", "r+") as file:
        del file["acquisition/LFP_probe0"]
    write_lfp(tmp_path / "probe.h5")
    session = guessed(tmp_path, "rec.nwb", "probe.h5")
    assert session["spikes"] == {"file": "rec.nwb", "table": "units"} and session["lfp"]["file"] == "probe.h5"
    entry = stored(tmp_path, ["rec.nwb", "probe.h5"], rate_hz=500).entry("rec")
    assert (entry.n_units, entry.n_channels, entry.subject) == (3, 2, "m1")

"""Every manifest of docs/bring-your-own-data.md, run on files as it describes them."""

import re

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from tests.paths import ROOT

MANIFESTS = dict(
    re.findall(
        r"^```yaml\n# (\w+\.yaml)\n(.*?)^```", (ROOT / "docs" / "bring-your-own-data.md").read_text(), re.M | re.S
    )
)
SECONDS = 120
TIMES = np.sort(np.random.default_rng(0).uniform(0, SECONDS, 3000))
UNITS = np.arange(3000) % 3


@pytest.fixture
def ingested(tmp_path):
    """Ingests a manifest of the page, and returns the store and the line of each session."""

    def run(name):
        (tmp_path / name).write_text(MANIFESTS[name])
        lines = {}
        for recording in plan_sources(tmp_path / name):
            result = ingest_one(recording, str(tmp_path / "store"), None)
            assert result.state == "stored", result.cause
            lines[recording.name] = "; ".join(result.notes)
        store = Store(str(tmp_path / "store"))
        store.publish()
        return store, lines

    return run


def behavior(store, name):
    """(N, K) behavior of a session in its own unit, and the time of each bin in seconds."""
    entry = store.entry(name)
    segments = store.read(entry)
    width_s = entry.bin_width_ms / 1000
    times = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * width_s for s in segments])
    return entry.normalisation["behavior"].undo(np.concatenate([s.behavior for s in segments])), times


def counts(store, name):
    """Number of spikes of each unit in all segments."""
    return sum(s.spikes.sum(axis=0, dtype=int) for s in store.read(store.entry(name)))


def test_page_has_a_manifest_for_each_shape():
    shapes = ("nwb", "several_files", "trials", "labels", "sorter", "arrays")
    assert list(MANIFESTS) == [f"{shape}.yaml" for shape in shapes]


def circle(seconds):
    """(n, 2) positions on a circle that is passed at 1 unit per second."""
    return np.column_stack([np.sin(seconds), np.cos(seconds)])


def test_nwb_manifest_takes_the_named_series_the_good_units_and_the_good_trials(ingested, tmp_path):
    from tests.recordings.own_nwb import write_nwb

    write_nwb(tmp_path / "recording.nwb", SECONDS)
    store, lines = ingested("nwb.yaml")
    entry = store.entry("recording")
    velocity, times = behavior(store, "recording")
    inner = (times > 1) & (times < SECONDS - 1)
    assert (entry.n_units, entry.n_channels, entry.bin_width_ms) == (2, 4, 20)
    assert velocity[inner] == pytest.approx(np.column_stack([np.cos(times), -np.sin(times)])[inner], abs=0.01)
    assert "LFP of 4 channels from acquisition/LFP_probe0" in lines["recording"]
    assert {s.trial for s in store.read(entry)} == {0, 2, 4, 6, 8, 10}  # rows of the table
    assert {s.start_s for s in store.read(entry)} >= {0.0, 20.0, 40.0} and times.max() < 108


def test_manifest_of_several_files_brings_all_clocks_onto_one(ingested, tmp_path):
    savemat(tmp_path / "sorted.mat", {"spike_times": TIMES, "unit": UNITS})
    own = np.arange((SECONDS - 5) * 1000) / 1000  # the probe's clock, which started 2.5 s later
    with h5py.File(tmp_path / "probe.h5", "w") as file:
        file["lfp"] = 1e6 * np.sin(2 * np.pi * (own + 2.5))[:, None] * [1.0, -1.0]
    stamps = np.arange(0, SECONDS, 0.02)
    np.savez(tmp_path / "tracking.npz", x=np.sin(stamps), y=np.cos(stamps), t=1000 * stamps)
    store, _ = ingested("several_files.yaml")
    entry = store.entry("day1")
    position, times = behavior(store, "day1")
    segments = store.read(entry)
    lfp = entry.normalisation["lfp"].undo(np.concatenate([s.lfp for s in segments]))
    assert entry.behavior == ("position_x", "position_y") and position == pytest.approx(circle(times), abs=1e-3)
    inner = (times > 12) & (times < SECONDS - 12)  # the high-pass needs some time at both ends
    assert lfp[inner, 0] == pytest.approx(np.sin(2 * np.pi * times[inner]), abs=0.02)


def test_manifest_of_trials_reads_struct_arrays_tensors_and_trials_end_to_end(ingested, tmp_path):
    rng, n, length = np.random.default_rng(0), 24, 500
    spikes = rng.poisson(1, (n, length, 3)).astype(float)
    seconds = (np.arange(length) + 0.5) / 100
    position = np.stack([circle(seconds) + 50 * k for k in range(n)])  # (trials, bins, 2)
    velocity = np.stack([np.column_stack([np.cos(seconds), -np.sin(seconds)])] * n)
    struct = np.zeros((1, n), dtype=[("spk", "O"), ("pos", "O")])
    for k in range(n):
        struct[0, k]["spk"], struct[0, k]["pos"] = spikes[k], position[k]
    savemat(tmp_path / "struct.mat", {"trial": struct})
    padded, hand = np.full((n, length + 50, 3), np.nan), np.full((n, length + 50, 2), np.nan)
    padded[:, :length], hand[:, :length] = spikes, velocity
    np.savez(tmp_path / "tensor.npz", spikes=padded, hand=hand)
    labels = np.repeat(np.arange(1, n + 1), length)
    flat = {"counts": np.concatenate(spikes), "pos": np.concatenate(position), "trial": labels}
    savemat(tmp_path / "flat.mat", flat)
    store, _ = ingested("trials.yaml")
    for name in ("struct_array", "tensor", "end_to_end"):
        entry = store.entry(name)
        segments = store.read(entry)
        assert len(segments) == n and {s.n_bins for s in segments} == {length}, name
        assert counts(store, name).tolist() == spikes.sum(axis=(0, 1)).tolist()
        decoded, _ = behavior(store, name)
        assert decoded.reshape(n, length, 2)[:, 1:-1] == pytest.approx(velocity[:, 1:-1], abs=0.01), name


def test_manifest_of_a_sorter_folder_takes_the_good_clusters(ingested, tmp_path):
    folder = tmp_path / "kilosort"
    folder.mkdir()
    np.save(folder / "spike_times.npy", np.round(TIMES * 30000).astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", UNITS.astype(np.int32))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n1\tnoise\n2\tgood\n")
    np.save(tmp_path / "lfp.npy", np.random.default_rng(0).normal(size=(SECONDS * 1000, 4)))
    store, _ = ingested("sorter.yaml")
    entry = store.entry("day1")
    assert (entry.n_units, entry.n_channels) == (2, 4)
    assert abs(counts(store, "day1") - 1000).max() <= 2  # a spike may be after the last bin


def test_manifest_of_arrays_reads_spike_times_and_counts(ingested, tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "day1.h5", "w") as file:
        file["spikes/times"], file["spikes/unit"] = TIMES, UNITS
        file["lfp"] = rng.normal(size=(SECONDS * 1000, 4))
        file["cursor"] = circle(np.arange(SECONDS * 100) / 100)
    (tmp_path / "map.csv").write_text("electrode,array,x_um,y_um\n1,M1,0,0\n2,M1,400,0\n3,PMd,0,0\n4,PMd,400,0\n")
    binned = {
        "counts": rng.poisson(1, (6000, 5)),
        "lfp": rng.normal(size=(6000, 4)),
        "hand": rng.normal(size=(6000, 2)),
    }
    savemat(tmp_path / "day2.mat", binned)
    store, _ = ingested("arrays.yaml")
    first, second = store.entry("day1"), store.entry("day2_hand")
    velocity, times = behavior(store, "day1")
    inner = (times > 1) & (times < SECONDS - 1)
    assert velocity[inner] == pytest.approx(np.column_stack([np.cos(times), -np.sin(times)])[inner], abs=0.01)
    assert first.lfp_channels.array == ("M1", "M1", "PMd", "PMd") and first.behavior_units == ("cm/s", "cm/s")
    assert (second.n_units, second.n_channels, second.subject) == (5, 3, "monkeyA")
    assert counts(store, "day2_hand").tolist() == binned["counts"].sum(axis=0).tolist()


def test_python_example_of_the_page_stores_what_it_is_given(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "bring-your-own-data.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    stamps = np.arange(0, SECONDS, 0.02)
    names = {
        "spike_times": [TIMES[unit == UNITS] for unit in range(3)],
        "lfp": np.random.default_rng(0).normal(size=(SECONDS * 1000, 4)),
        "cursor": circle(stamps),
        "times": stamps,
        "trials": np.column_stack([np.arange(0.0, SECONDS, 10), np.arange(0.0, SECONDS, 10) + 5]),
    }
    monkeypatch.chdir(tmp_path)
    exec(example, names)
    store = Store("runs/store")
    assert store.entries() == [names["entry"]] and names["entry"].n_channels == 4
    velocity, times = behavior(store, "day1")
    assert names["entry"].behavior == ("velocity_x", "velocity_y")
    inner = (times > 0.1) & (times < SECONDS - 0.1)
    assert velocity[inner] == pytest.approx(np.column_stack([np.cos(times), -np.sin(times)])[inner], abs=1e-3)
    assert counts(store, "day1").sum() == np.sum(TIMES % 10 < 5)  # within trials

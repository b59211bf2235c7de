"""`raydistill new-manifest`: where it writes, odd files, and that it reads no long recording."""

import os
import time
import zlib

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML
from scipy.io import savemat

from raydistill.cli import main
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.manifest import read_manifest
from tests.recordings.fuzzing import sound


def write_small(path):
    np.savez(path, counts=np.random.default_rng(0).poisson(1, (3000, 4)))


def test_manifest_is_printed_or_written_and_never_over_a_file(tmp_path, capsys):
    write_small(tmp_path / "a.npz")
    out = tmp_path / "lab.yaml"
    for command in ([], ["--out", str(out)]):
        with pytest.raises(SystemExit) as done:
            main(["new-manifest", str(tmp_path / "a.npz"), *command])
        assert not done.value.code
    printed, _, path = capsys.readouterr().out.strip().rpartition("\n")
    assert "counts: counts  # guess: 3000 x 4" in printed and path == str(out)
    before = out.read_text()
    with pytest.raises(SystemExit) as done:
        main(["new-manifest", str(tmp_path / "a.npz"), "--out", str(out)])
    assert done.value.code == 2 and out.read_text() == before
    assert "lab.yaml exists; choose another name, or remove it first" in capsys.readouterr().err


def test_manifest_names_files_relative_to_where_it_is_written(tmp_path):
    (tmp_path / "data" / "day 1").mkdir(parents=True)
    write_small(tmp_path / "data" / "day 1" / "a: b.npz")
    (tmp_path / "manifests").mkdir()
    text = new_manifest([tmp_path / "data" / "day 1" / "a: b.npz"], tmp_path / "manifests")
    tree = YAML(typ="safe").load(text)
    assert tree["folder"] == os.path.join("..", "data", "day 1") and tree["sessions"][0]["file"] == "a: b.npz"
    manifest = tmp_path / "manifests" / "lab.yaml"
    manifest.write_text(text.replace("subject: FILL_IN", "subject: m").replace("ms: FILL_IN", "ms: 20"))
    (recording,) = read_manifest(manifest)
    assert recording.path.is_file() and recording.name == "a__b"


def test_ingest_of_a_manifest_that_was_not_filled_in_names_the_first_open_value(tmp_path):
    write_small(tmp_path / "a.npz")
    (tmp_path / "lab.yaml").write_text(new_manifest([tmp_path / "a.npz"], tmp_path))
    with pytest.raises(ConfigError, match=r"lab.yaml:\d+: `subject` is still FILL_IN: the name of the animal"):
        read_manifest(tmp_path / "lab.yaml")


def test_same_files_give_the_same_text(tmp_path):
    sound.write_h5(tmp_path / "a.h5", sound.arrays())
    assert new_manifest([tmp_path / "a.h5"], tmp_path) == new_manifest([tmp_path / "a.h5"], tmp_path)


def test_names_that_yaml_reads_otherwise_and_long_or_odd_texts_are_quoted(tmp_path):
    names = ["1e3", "a: b", "c # d", 'say "hi"', "-", "ä"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in names:
            file[f"lfp/{name}"] = np.random.default_rng(0).normal(size=(100, 8))
        file["note"] = "two\nlines \x07" + "long " * 300
    text = new_manifest([tmp_path / "a.h5"], tmp_path)
    (session,) = YAML(typ="safe").load(text)["sessions"]
    assert sorted(section["values"] for section in session["lfp"]) == sorted(f"lfp/{name}" for name in names)
    assert text.count("\x07") == 0


def write_text(path):
    savemat(path, {"note": "hi"})


def write_scalar(path):
    savemat(path, {"fs": 1000.0})


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.mat", write_text, r"a.mat: holds no array of numbers, only note \(text\), so there is nothing to describe"),
        ("a.mat", write_scalar, r"a.mat: holds no array of numbers, only fs \(a single number\)"),
        ("a.npz", np.savez, "a.npz: holds no array of numbers, so"),
        ("a.h5", lambda path: h5py.File(path, "w").close(), "a.h5: holds no array of numbers, so"),
        ("a.mat", lambda path: path.write_bytes(b""), "a.mat: not a readable .mat file"),
        ("a.nwb", lambda path: path.write_bytes(b"x" * 99), "a.nwb: not a readable NWB file"),
        ("a.npy", lambda path: path.write_bytes(b"x" * 99), "a.npy is not an .npy file"),
        ("a.npy", lambda path: np.save(path, np.array([{}])), "a.npy is a pickled object, which is never loaded"),
    ],
)
def test_file_with_nothing_to_describe_is_one_line(name, write, message, tmp_path):
    write(tmp_path / name)
    with pytest.raises(DataError, match=message) as caught:
        new_manifest([tmp_path / name], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"), [("none.mat", "no such file"), ("a.csv", "of no known kind; give files that end in .h5")]
)
def test_missing_file_or_one_of_another_kind_is_an_error(name, message, tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n")
    with pytest.raises(ConfigError, match=message):
        new_manifest([tmp_path / name], tmp_path)


def test_raw_file_of_a_recording_system_is_told_what_to_write(tmp_path):
    (tmp_path / "rec.ns2").write_bytes(b"")
    with pytest.raises(
        ConfigError, match=r"rec\.ns2: a raw file .* write `sessions: \[\{file: rec\.ns2, subject: NAME"
    ):
        new_manifest([tmp_path / "rec.ns2"], tmp_path)


def test_folder_without_sorted_spikes_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"a folder without spike_times.npy; give files that end in"):
        new_manifest([tmp_path], tmp_path)


def test_nwb_file_in_zarr_is_sent_to_ingest(tmp_path):
    (tmp_path / "a.nwb.zarr").mkdir()
    with pytest.raises(ConfigError, match=r"a.nwb.zarr: an NWB file in the Zarr format needs no manifest"):
        new_manifest([tmp_path / "a.nwb.zarr"], tmp_path)


def test_arrays_that_are_neither_spikes_nor_lfp_leave_spikes_open(tmp_path):
    np.savez(tmp_path / "a.npz", hand=np.random.default_rng(0).normal(size=(3000, 2)))
    text = new_manifest([tmp_path / "a.npz"], tmp_path)
    assert "    spikes: FILL_IN  # the path of the spikes" in text and "      values: hand" in text


def test_nested_groups_are_searched(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/b/c/d/counts"] = np.random.default_rng(0).poisson(1, (3000, 4))
    assert "counts: a/b/c/d/counts" in new_manifest([tmp_path / "a.h5"], tmp_path)


def test_long_recordings_are_described_without_reading_them(tmp_path):
    chunk = zlib.compress(np.zeros((10**5, 64), dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        lfp = file.create_dataset("lfp", (10**8, 64), "f4", chunks=(10**5, 64), compression="gzip")
        for first in range(0, len(lfp), 10**5):
            lfp.id.write_direct_chunk((first, 0), chunk)
        file["spike_times"], file["unit"] = np.sort(np.random.default_rng(0).uniform(0, 9, 900)), np.arange(900) % 3
    np.savez(tmp_path / "b.npz", lfp=np.zeros((4 * 10**6, 8), dtype=np.int16))
    start = time.monotonic()
    text = new_manifest([tmp_path / "a.h5"], tmp_path)
    assert "values: lfp  # guess: 100000000 x 64 " in text
    assert "values: lfp  # guess: 4000000 x 8 " in new_manifest([tmp_path / "b.npz"], tmp_path)
    assert time.monotonic() - start < 20

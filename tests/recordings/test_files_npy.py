"""Arrays in .npy files: read in slices, under the name of the file, and never unpickled."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.files.nodes import find
from raydistill.recordings.files.npy import NpyFile, load_npy
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources


def test_numpy_file_is_mapped_and_not_read_as_a_whole(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(12).reshape(4, 3))
    file = NpyFile(tmp_path / "a.npy")
    node = find(file, "a")
    assert (node.shape, node.kind) == ((4, 3), "number")
    part = node.read((slice(1, 3), slice(None)))
    assert np.shares_memory(part, file.values) and isinstance(file.values, np.memmap)
    np.testing.assert_array_equal(part, [[3, 4, 5], [6, 7, 8]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([{}]), r"a\.npy is a pickled object, which is never loaded"),
        (b"\x93NUMPY\x01", r"a\.npy is damaged"),
        (b"\x80\x04N.", r"a\.npy is not an \.npy file"),
        (b"", r"a\.npy is not an \.npy file"),
    ],
)
def test_numpy_file_that_is_no_array_is_refused(content, message, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(DataError, match=message):
        load_npy(path)


def test_numpy_file_without_a_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.npy: no such file"):
        load_npy(tmp_path / "a.npy")


def test_numpy_file_gives_lfp_behavior_and_counts(tmp_path, binned, manifest):
    for name, values in binned.items():
        np.save(tmp_path / f"{name}.npy", values)
    path = manifest(
        "sessions:\n  - {name: a, subject: m1, bin_width_ms: 100, spikes: {file: spikes.npy, counts: spikes}, "
        "lfp: {file: lfp.npy}, behavior: {file: behavior.npy, names: [vx, vy]}, "
        "trials: {file: trial.npy, labels: trial}}\n"
    )
    (recording,) = plan_sources(path)
    with open_raw(recording.path, recording.source, 100.0) as raw:
        np.testing.assert_array_equal(raw.spikes.values, binned["spikes"])
        np.testing.assert_array_equal(raw.lfp[0].read(10, 20), binned["lfp"][10:20])
        np.testing.assert_array_equal(raw.behavior[0].values, binned["behavior"])
        np.testing.assert_array_equal(raw.trial_labels, binned["trial"])
        assert any("from lfp" in text for text in raw.taken)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("lfp: {values: x, rate_hz: 1000}", 'lfp.npy: there is no variable "x": the file holds one array, named lfp'),
        ("lfp: {rate_hz: 1000, transpose: true}, behavior: {values: x, rate_hz: 3}", "one array, named lfp"),
    ],
)
def test_numpy_file_with_another_name_is_refused(entry, message, tmp_path, manifest):
    np.save(tmp_path / "lfp.npy", np.zeros((4, 100)))
    (recording,) = plan_sources(manifest(f"sessions:\n  - {{file: lfp.npy, subject: m1, {entry}}}\n"))
    with pytest.raises(DataError, match=message), open_raw(recording.path, recording.source, 10.0):
        pass

"""HDF5 files with types and compressions that h5py alone cannot read, and with arrays as values."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.files.nodes import find
from raydistill.recordings.files.opening import open_file
from tests.recordings.listing import variables

_BLOSC = 32001


def write_compressed(path):
    """A dataset of which one chunk was compressed by a plugin that is not here."""
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((4,))
        settings.set_filter(_BLOSC, h5py.h5z.FLAG_OPTIONAL, (2, 2, 8, 32, 5, 1, 0))
        dataset = h5py.h5d.create(file.id, b"lfp", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4,)), settings)
        dataset.write_direct_chunk((0,), bytes(16))


def test_compression_by_a_plugin_that_is_missing_is_not_called_damage(tmp_path):
    if h5py.h5z.filter_avail(_BLOSC):
        pytest.skip("hdf5plugin is installed")
    write_compressed(tmp_path / "a.h5")
    with (
        open_file(tmp_path / "a.h5") as root,
        pytest.raises(DataError, match=r"lfp is compressed by a plugin .*pip inst"),
    ):
        root.member("lfp").read()


def test_type_that_numpy_lacks_is_not_called_damage(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"stamps", h5py.h5t.UNIX_D64LE, h5py.h5s.create_simple((4,)))
    with open_file(tmp_path / "a.h5") as root, pytest.raises(DataError, match=r"stamps has a type .*float64"):
        root.member("stamps")


def test_values_that_are_arrays_are_further_dimensions(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 3, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        inner = h5py.h5t.array_create(h5py.h5t.IEEE_F64LE, (3, 2))
        dataset = h5py.h5d.create(file.id, b"pose", inner, h5py.h5s.create_simple((50,)))
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(values), mtype=inner)
    with open_file(tmp_path / "a.h5") as root:
        node = find(root, "pose")
        assert (node.kind, node.shape, node.dtype) == ("number", (50, 3, 2), "float64")
        assert np.array_equal(node.read(), values)
        assert np.array_equal(node.read((slice(10, 20),)), values[10:20])
        assert np.array_equal(node.read((slice(10, 20), slice(None), 1)), values[10:20, :, 1])


def test_search_index_of_a_table_is_not_among_the_variables(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"] = np.arange(40.0)
        file["_i_table/index/sorted"] = np.arange(40.0)
        file["_i_table"].attrs["CLASS"] = np.bytes_("TINDEX")
        file["_i_own/values"] = np.arange(40.0)
    assert [v.path for v in variables(tmp_path / "a.h5")] == ["_i_own", "_i_own/values", "table"]


def test_attribute_of_a_type_that_numpy_lacks_does_not_hide_the_others(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["lfp"] = np.arange(40.0)
        file["lfp"].attrs["unit"] = "V"
        wide = h5py.h5t.STD_U64BE.copy()
        wide.set_size(16)
        h5py.h5a.create(file["lfp"].id, b"made_at", wide, h5py.h5s.create_simple((1,)))
    with open_file(tmp_path / "a.h5") as root:
        assert root.member("lfp").attributes() == {"unit": ("V",)}


@pytest.mark.parametrize("dtype", ["i2", "f4", ">f8"])
def test_values_that_the_file_calls_missing_are_nan(dtype, tmp_path):
    values = np.arange(12, dtype=dtype).reshape(6, 2)
    values[2, 0], values[4, 1] = (-32768, -1) if dtype == "i2" else (9.96921e36, -1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = values
        file["x"].attrs["_FillValue"] = values[2:3, 0]
        file["x"].attrs["missing_value"] = values.dtype.type(-1)
        file["counts"] = np.array([0, 1, 2])
        file["counts"].attrs["_FillValue"] = np.int64(0)  # as written by default, where 0 is a value
        file["text"] = np.array([3, 4])
        file["text"].attrs["_FillValue"] = "none"
    with open_file(tmp_path / "a.h5") as root:
        found = root.member("x").read((slice(1, 5), slice(None)))
        assert np.array_equal(found, [[2, 3], [np.nan, 5], [6, 7], [8, np.nan]], equal_nan=True)
        assert root.member("x").read((slice(0, 2), slice(None))).dtype == np.dtype(dtype)
        assert root.member("counts").read().tolist() == [0, 1, 2] and root.member("text").read().tolist() == [3, 4]

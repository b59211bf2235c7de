"""MATLAB 7.3 files, written and read as MATLAB shows them."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.files import matlab73

ROWS = [
    {"values": np.arange(6.0).reshape(2, 3), "empty": np.empty((0, 4)), "name": "left", "size": 0.03},
    {"values": np.ones((1, 3)), "empty": np.ones((2, 2)), "name": "", "size": 1.0},
]


def written(path, rows=ROWS):
    with matlab73.new_file(path) as file:
        matlab73.write_struct_array(file, "data", rows)
    return path


def struct_array(file):
    return matlab73.StructArray(file, "data", element="trial")


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1]], ids=["two elements", "one element"])
def test_struct_array_is_read_as_written(tmp_path, rows):
    with matlab73.open_hdf5(written(tmp_path / "a.mat", rows)) as file:
        data = struct_array(file)
        assert data.n_elements("values") == len(rows) and set(data.fields) == set(ROWS[0])
        for i, row in enumerate(rows):
            assert np.array_equal(data.array("values", i), row["values"])
            assert data.shape("values", i) == row["values"].shape
            assert data.shape("empty", i) == data.array("empty", i).shape == row["empty"].shape
            assert (data.text("name", i), data.number("size", i)) == (row["name"], row["size"])
        assert np.isnan(data.number("empty", 0))


def test_file_has_the_header_and_the_orientation_of_matlab(tmp_path):
    path = written(tmp_path / "a.mat", ROWS[:1])
    header = path.read_bytes()[:128]
    assert header.startswith(b"MATLAB 7.3 MAT-file") and header.endswith(b"\x00\x02IM")
    assert matlab73.is_hdf5(path)
    with h5py.File(path) as file:
        assert np.array_equal(file["data/values"][()], ROWS[0]["values"].T)
        assert file["data/name"].attrs["MATLAB_class"] == b"char" and file["data/name"].shape == (4, 1)
        assert file["data/empty"][()].tolist() == [0, 4] and file["data/empty"].attrs["MATLAB_empty"] == 1


def test_cell_array_is_read_as_written(tmp_path):
    with matlab73.new_file(tmp_path / "a.mat") as file:
        values = [np.arange(3.0), np.empty((0, 0))]
        references = [matlab73.write_array(file, matlab73.reference_name(f"c{i}"), v).ref for i, v in enumerate(values)]
        matlab73.write_cells(file, "cells", [references])
    with matlab73.open_hdf5(tmp_path / "a.mat") as file:
        first, second = matlab73.cells(file, "cells").ravel()
        assert np.array_equal(matlab73.cell(file, first, "cell 0"), [[0], [1], [2]])  # a row in MATLAB
        assert matlab73.cell(file, second, "cell 1").tolist() == [0, 0] and matlab73.is_empty(file[second])
        with pytest.raises(DataError, match='there is no "cell"; did you mean "cells"'):
            matlab73.cells(file, "cell")


def test_file_appears_only_when_it_is_complete(tmp_path):
    with pytest.raises(ZeroDivisionError), matlab73.new_file(tmp_path / "a.mat") as file:
        matlab73.write_array(file, "x", np.ones(3))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_element_and_field(tmp_path):
    with matlab73.open_hdf5(written(tmp_path / "a.mat")) as file:
        data = struct_array(file)
        with pytest.raises(DataError, match='data has no field "value"; did you mean "values"'):
            data.array("value", 0)
        with pytest.raises(DataError, match='there is no struct array "other"; the file holds'):
            matlab73.StructArray(file, "other", element="trial")
    with h5py.File(tmp_path / "a.mat", "r+") as file:
        file["data/values"][1, 0] = h5py.Reference()
    with (
        matlab73.open_hdf5(tmp_path / "a.mat") as file,
        pytest.raises(DataError, match="trial 2: values is damaged"),
    ):
        struct_array(file).array("values", 1)


def test_array_that_was_never_written_and_text_without_characters_are_refused(tmp_path):
    with h5py.File(written(tmp_path / "a.mat"), "r+") as file:
        huge = file.create_dataset("#refs#/huge", (10**6, 10**6), "f8", chunks=(1000, 1000))
        codes = file.create_dataset("#refs#/codes", data=np.array([[1e9], [np.nan]]))
        file["data/values"][1, 0], file["data/name"][1, 0] = huge.ref, codes.ref
    with matlab73.open_hdf5(tmp_path / "a.mat") as file:
        data = struct_array(file)
        with pytest.raises(DataError, match="trial 2: values holds 1000000 x 1000000 values, more than"):
            data.array("values", 1)
        with pytest.raises(DataError, match=r"a text is damaged .its characters have codes that do not exist"):
            data.text("name", 1)


def test_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(1000))
    assert not matlab73.is_hdf5(tmp_path / "a.mat")
    with pytest.raises(DataError, match=r"a\.mat: not a readable HDF5 or MATLAB 7\.3 file"):
        matlab73.open_hdf5(tmp_path / "a.mat")
    with pytest.raises(DataError, match="there is no file"):
        matlab73.open_hdf5(tmp_path / "b.mat")

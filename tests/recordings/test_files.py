"""What a file of arrays holds, as `variables` lists it."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix, save_npz

from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from tests.recordings.listing import variables


def listed(path):
    return {v.path: (v.kind, v.shape, v.dtype, v.first) for v in variables(path)}


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_variables_of_matlab_files_have_the_shape_that_matlab_shows(version, tmp_path):
    rows = [{"spk": np.ones((100 + k, 4)), "good": np.array([[1.0]])} for k in range(3)]
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = np.ones((1, 5)), np.ones((1, 6))
    if version == "5":
        trials = np.array([tuple(row.values()) for row in rows], dtype=[("spk", object), ("good", object)])
        arrays = {"counts": np.ones((600, 3)), "trial": trials[None], "st": cells, "note": "by hand"}
        savemat(tmp_path / "a.mat", arrays | {"sparse": csc_matrix((9, 2)), "info": {"rate": 1000.0}})
    else:
        with matlab73.new_file(tmp_path / "a.mat") as file:
            matlab73.write_array(file, "counts", np.ones((600, 3)))
            matlab73.write_struct_array(file, "trial", rows)
            parts = [
                matlab73.write_array(file, matlab73.reference_name(f"c{i}"), c).ref for i, c in enumerate(cells[0])
            ]
            matlab73.write_cells(file, "st", [[part] for part in parts])
            matlab73.write_array(file, "note", "by hand")
            file.create_dataset("sparse/jc", data=np.zeros(3, np.uint64))
            file["sparse"].attrs["MATLAB_sparse"] = np.uint64(9)
            matlab73.write_struct_array(file, "info", [{"rate": 1000.0}])
    found = listed(tmp_path / "a.mat")
    assert found["counts"] == ("number", (600, 3), "float64", None)
    assert found["trial"][0] == "struct" and found["info"][:2] == ("struct", ())
    assert found["trial/spk"][:2] == ("cell", (1, 3)) or found["trial/spk"][:2] == ("cell", (3, 1))
    assert found["trial/spk"][3] == (100, 4) and found["trial/good"][3] == (1, 1)
    assert found["st"] == ("cell", (1, 2), "", (1, 5))
    assert found["note"][0] == "text" and found["sparse"][:2] == ("sparse", (9, 2))
    assert found["info/rate"] == ("number", (1, 1), "float64", None)


def test_variables_of_hdf5_files_include_groups_tables_and_what_cannot_be_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["units/0/times"] = np.arange(5.0)
        file["table"] = np.rec.fromarrays([np.arange(4.0), np.arange(4)], names="time,unit")
        file["names"] = ["x", "y"]
        file["complex"] = np.ones(3, complex)
        file["lost"] = h5py.ExternalLink("other.h5", "lfp")
        file.create_dataset("lfp", (10**9, 16), "f4", chunks=True)  # nothing is written, and nothing must be read
    found = listed(tmp_path / "a.h5")
    assert {path: kind for path, (kind, *_) in found.items()} == {
        "units": "group",
        "units/0": "group",
        "units/0/times": "number",
        "table": "table",
        "table/time": "number",
        "table/unit": "number",
        "names": "text",
        "complex": "object",
        "lost": "object",
        "lfp": "number",
    }
    assert found["lfp"][1:3] == ((10**9, 16), "float32") and found["units/0/times"][1] == (5,)


def test_variables_of_npz_files_are_grouped_by_their_keys_and_pickles_stay_closed(tmp_path):
    np.savez(tmp_path / "a.npz", **{"times/0": np.arange(3), "times/1": np.arange(4)}, odd=np.array([{}], dtype=object))
    found = listed(tmp_path / "a.npz")
    assert found["times"][0] == "group" and found["times/1"][:3] == ("number", (4,), "int64")
    assert found["odd"][0] == "object"
    save_npz(tmp_path / "b.npz", csc_matrix((600, 3)))
    assert listed(tmp_path / "b.npz") == {"data": ("sparse", (600, 3), "float64", None)}


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz"])
def test_variables_of_a_damaged_file_are_an_error_naming_it(name, tmp_path):
    (tmp_path / name).write_bytes(b"damaged" * 100)
    with pytest.raises(DataError, match=rf"{name}: not a readable"):
        variables(tmp_path / name)

"""MATLAB files with variables that only MATLAB can read, next to some that can be read."""

import struct

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from raydistill.recordings.files.mat_headers import headers
from raydistill.recordings.files.nodes import find
from raydistill.recordings.files.opening import open_file
from tests.recordings.listing import variables


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def write_with_object(path, matlab_class, **arrays):
    """A file as `save` writes it when one variable, `made`, is an object: a string, a datetime or a table."""
    savemat(path.with_suffix(".part.mat"), {"id": np.arange(6, dtype=np.uint32)[:, None]})
    inside = path.with_suffix(".part.mat").read_bytes()[128:]
    flags = element(6, struct.pack("<II", 17, 0))
    words = b"".join(element(1, word) for word in (b"made", b"MCOS", matlab_class.encode()))
    savemat(path, arrays)
    whole = path.read_bytes()
    path.write_bytes(whole[:128] + element(14, flags + words + inside) + whole[128:])


@pytest.mark.parametrize("matlab_class", ["string", "datetime"])
def test_object_of_matlab_is_listed_by_its_class_and_the_other_variables_are_read(matlab_class, tmp_path):
    counts = np.random.default_rng(0).poisson(1, (40, 3))
    write_with_object(tmp_path / "a.mat", matlab_class, counts=counts)
    assert [(v.path, v.kind) for v in variables(tmp_path / "a.mat")] == [("made", "object"), ("counts", "number")]
    with open_file(tmp_path / "a.mat") as root:
        assert f"of MATLAB's class {matlab_class}; save it as" in root.member("made").described
        assert np.array_equal(find(root, "counts").read(), counts)


def test_sparse_logical_matrix_is_read_as_a_sparse_matrix(tmp_path):
    raster = np.random.default_rng(0).random((3000, 4)) < 0.1
    savemat(tmp_path / "a.mat", {"raster": csc_matrix(raster)})
    with open_file(tmp_path / "a.mat") as root:
        node = root.member("raster")
        assert (node.kind, node.shape) == ("sparse", (3000, 4))
        assert np.array_equal(node.read(), raster) and np.array_equal(node.read((slice(5, 9),)), raster[5:9])


def test_headers_name_class_and_shape_of_compressed_and_plain_variables(tmp_path):
    arrays = {"a": np.ones((2, 3, 4)), "longer_name": np.ones((5, 1), bool), "c": np.ones((1, 2)) * 1j, "t": "text"}
    for compressed in (False, True):
        savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
        found = {name: (h.kind, h.shape, h.is_complex) for name, h in headers(tmp_path / "a.mat").items()}
        assert found == {
            "a": ("double", (2, 3, 4), False),
            "longer_name": ("logical", (5, 1), False),
            "c": ("double", (1, 2), True),
            "t": ("char", (1, 4), False),
        }


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_complex_matrix_is_refused_in_the_same_words_in_all_versions(version, tmp_path):
    import h5py

    path = tmp_path / "a.mat"
    if version == "5":
        savemat(path, {"lfp": np.ones((60, 2)) * 1j})
    else:
        with h5py.File(path, "w") as file:
            parts = np.zeros((2, 60), dtype=[("real", "f8"), ("imag", "f8")])
            file.create_dataset("lfp", data=parts).attrs["MATLAB_class"] = np.bytes_("double")
    with open_file(path) as root:
        node = root.member("lfp")
        assert node.kind == "object" and "complex values; save its real and imaginary part" in node.described

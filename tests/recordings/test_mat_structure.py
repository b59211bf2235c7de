"""Damage inside the variables of a MATLAB 5 file, which scipy's C code does not look for."""

import struct

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_array

from raydistill.errors import DataError
from raydistill.recordings.files.mat_headers import headers
from raydistill.recordings.files.mat_structure import check_whole
from raydistill.recordings.files.opening import open_file
from tests.recordings.matlab_files import cell

TIMES = np.arange(5.0)
HOLDERS = {
    "numbers": TIMES,
    "cells": cell([[TIMES, "text"]]),
    "struct": {"name": "u1", "inside": {"times": TIMES, "none": np.zeros((0, 0))}},
    "sparse": csc_array(np.diag(TIMES)),
    "cells of sparse": cell([[csc_array(np.diag(TIMES))]]),
    "text": "left",
}


def load(path):
    with open_file(path) as root:
        node = root.member("v")
        return node.read() if node.kind in ("number", "sparse") else node


def spoiled(path, old, new):
    whole = path.read_bytes()
    assert old in whole
    at = whole.rindex(old)
    path.write_bytes(whole[:at] + new + whole[at + len(old) :])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
def test_whole_variables_of_every_class_pass_the_check(holder, compressed, tmp_path):
    savemat(tmp_path / "a.mat", {"w": TIMES, "v": HOLDERS[holder]}, do_compression=compressed)
    check_whole(tmp_path / "a.mat", headers(tmp_path / "a.mat")["v"].at)
    assert load(tmp_path / "a.mat") is not None


@pytest.mark.parametrize("kind", [0, 8, 14, 19, 60000])
@pytest.mark.parametrize("holder", [name for name in HOLDERS if name != "text"])
def test_values_of_a_type_that_does_not_exist_are_damage(holder, kind, tmp_path):
    savemat(tmp_path / "a.mat", {"v": HOLDERS[holder]})
    n_bytes = 40 if "sparse" not in holder else 32  # the sparse matrix leaves out the 0
    spoiled(tmp_path / "a.mat", struct.pack("<II", 9, n_bytes), struct.pack("<II", kind, n_bytes))
    with pytest.raises(DataError, match=rf"v is damaged \(there are values of type {kind}\)"):
        load(tmp_path / "a.mat")


def test_overwritten_sparse_matrix_is_damage(tmp_path):
    savemat(tmp_path / "a.mat", {"v": HOLDERS["sparse"]})
    path = tmp_path / "a.mat"
    whole = path.read_bytes()
    at = whole.index(struct.pack("<II", 5, 16))  # the numbers of the rows
    path.write_bytes(whole[:at] + bytes(len(whole) - at))
    with pytest.raises(DataError, match="v is damaged"):
        load(path)


def test_text_without_characters_that_is_said_to_be_long_is_damage(tmp_path):
    savemat(tmp_path / "a.mat", {"v": cell([["left"]])})
    shape = struct.pack("<IIii", 5, 8, 1, 4)
    spoiled(tmp_path / "a.mat", shape, struct.pack("<IIii", 5, 8, 2**30, 4))
    with pytest.raises(DataError, match="a text of 4294967296 characters has 4 bytes"):
        load(tmp_path / "a.mat")


def test_cells_in_cells_without_end_are_damage(tmp_path):
    inside = TIMES
    for _ in range(150):
        inside = cell([[inside]])
    savemat(tmp_path / "a.mat", {"v": inside})
    with pytest.raises(DataError, match="more than 100 levels deep"):
        load(tmp_path / "a.mat")


def test_of_two_variables_of_one_name_the_first_is_listed_and_read(tmp_path):
    savemat(tmp_path / "a.mat", {"v": np.ones((3, 2))})
    savemat(tmp_path / "b.mat", {"v": np.zeros((5, 4))})
    with open(tmp_path / "a.mat", "ab") as file:
        file.write((tmp_path / "b.mat").read_bytes()[128:])
    with open_file(tmp_path / "a.mat") as root:
        assert root.member("v").shape == (3, 2) and np.array_equal(root.member("v").read(), np.ones((3, 2)))

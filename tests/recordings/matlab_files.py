"""MATLAB files of version 5 and 7.3 with the same contents, as MATLAB writes them."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat
from scipy.sparse import csc_array, issparse

from raydistill.recordings.files import matlab73


def write_matlab(path: Path, version: str, variables: dict[str, Any]) -> Path:
    """A file of version "5" or "7.3". A list is a 1 x n cell array, a list of dicts a 1 x n struct array, an object
    array a cell array of its shape, a dict a struct, a scipy matrix a sparse matrix."""
    if version == "5":
        savemat(path, {name: _version_5(value) for name, value in variables.items()})
        return path
    path.unlink(missing_ok=True)
    with matlab73.new_file(path) as file:
        for name, value in variables.items():
            _version_73(file, file, name, value)
    return path


def cell(rows: list[list[Any]]) -> np.ndarray:
    """A cell array of this many rows and columns."""
    values = np.empty((len(rows), len(rows[0])), dtype=object)
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            values[i, j] = value
    return values


def _is_structs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _version_5(value: Any) -> Any:
    if _is_structs(value):
        structs = np.empty((1, len(value)), dtype=[(name, object) for name in value[0]])
        for i, element in enumerate(value):
            structs[0, i] = tuple(_version_5(field) for field in element.values())
        return structs
    if isinstance(value, dict):
        return {name: _version_5(field) for name, field in value.items()}
    if isinstance(value, list):
        value = cell([value])
    if isinstance(value, np.ndarray) and value.dtype == object:
        out = np.empty(value.shape, dtype=object)
        for at in np.ndindex(value.shape):
            out[at] = _version_5(value[at])
        return out
    return value


def _version_73(file: h5py.File, parent: h5py.Group, name: str, value: Any) -> h5py.Group | h5py.Dataset:
    if _is_structs(value):
        group = _group(parent, name)
        for field in value[0]:
            column = cell([[element[field] for element in value]])
            _references(file, group, field, column)  # the field of a struct array is no cell for MATLAB
        return group
    if isinstance(value, dict):
        group = _group(parent, name)
        for field, inside in value.items():
            _version_73(file, group, field, inside)
        return group
    if isinstance(value, list):
        value = cell([value])
    if issparse(value):
        return _sparse(parent, name, csc_array(value))
    if isinstance(value, np.ndarray) and value.dtype == object:
        node = _references(file, parent, name, value)
        node.attrs["MATLAB_class"] = np.bytes_("cell")
        return node
    if isinstance(value, np.ndarray) and value.ndim > 2:
        return parent.create_dataset(name, data=value.T)
    return matlab73.write_array(parent, name, value)


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    return group


def _references(file: h5py.File, parent: h5py.Group, name: str, cells: np.ndarray) -> h5py.Dataset:
    node = parent.create_dataset(name, cells.shape[::-1], dtype=h5py.ref_dtype)
    hidden = file.require_group("#refs#")
    for at in np.ndindex(cells.shape):
        node[at[::-1]] = _version_73(file, hidden, f"r{len(hidden)}", cells[at]).ref
    return node


def _sparse(parent: h5py.Group, name: str, matrix: csc_array) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
    group.attrs["MATLAB_class"] = np.bytes_("double")
    for key, values in (("data", matrix.data), ("ir", matrix.indices), ("jc", matrix.indptr)):
        group.create_dataset(key, data=values.astype(float if key == "data" else np.uint64))
    return group

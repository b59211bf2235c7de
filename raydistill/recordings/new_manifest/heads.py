"""Some values of a variable, without reading a long recording."""

import contextlib
import zipfile

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.mat import MatFile
from raydistill.recordings.files.nodes import Node
from raydistill.recordings.files.npz import NpzFile

_ALL = 2**20
"""Matrices of no more values are read as a whole."""
_ALL_OF_VECTOR = 2**24
_LOADED = 2**24
"""More values are not loaded from formats that can only load a variable as a whole."""


def head(root: Node, node: Node) -> tuple[np.ndarray, bool] | None:
    """Values from the beginning of a variable of numbers, and whether they are all; None: they were not read.

    Args:
        root: the file of the variable.
        node: of the kind `number` or `sparse`.

    Raises:
        DataError: the variable is damaged.
    """
    n = int(np.prod(node.shape, dtype=float))
    is_vector = n == max(node.shape, default=1)
    if n <= (_ALL_OF_VECTOR if is_vector else _ALL):
        return node.read(), True
    if isinstance(root, NpzFile) and node.kind == "number":
        return _npz_head(root, node)
    if isinstance(root, MatFile) or node.kind == "sparse":
        return (node.read(), True) if n <= _LOADED else None
    longest = int(np.argmax(node.shape))
    rows = max(1, _ALL * node.shape[longest] // n)
    key = tuple(slice(0, rows) if i == longest else slice(None) for i in range(len(node.shape)))
    return node.read(key), False


def _npz_head(root: NpzFile, node: Node) -> tuple[np.ndarray, bool]:
    """The first values in the order of the file, as whole rows or columns."""
    archive = root.archive.zip
    assert archive is not None
    name = node.path
    with contextlib.suppress(KeyError):
        archive.getinfo(f"{node.path}.npy")
        name = f"{node.path}.npy"
    try:
        with archive.open(name) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, is_fortran, dtype = read(file)
            outer = shape[-1] if is_fortran else shape[0]
            inner = shape[:-1] if is_fortran else shape[1:]
            size = int(np.prod(inner, dtype=float))
            n = min(outer, max(1, _ALL // size))
            if n * size > _LOADED:
                n, inner, size = 1, (_ALL,), _ALL  # a part of the first row or column
            values = np.frombuffer(file.read(n * size * dtype.itemsize), dtype=dtype)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zipfile.error, MemoryError) as err:
        raise DataError(f"{node.path} is damaged ({err})") from err
    if len(values) < n * size:
        raise DataError(f"{node.path} is damaged: it ends early")
    return (values.reshape((*inner, n), order="F") if is_fortran else values.reshape((n, *inner))), False

"""HDF5, MATLAB, NPZ and NPY files as trees of variables (nodes.py)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raydistill.errors import DataError, one_line
from raydistill.recordings.files import matlab73
from raydistill.recordings.files.hdf5 import H5Group, open_hdf5
from raydistill.recordings.files.mat import MatFile
from raydistill.recordings.files.nodes import Node
from raydistill.recordings.files.npy import NpyFile
from raydistill.recordings.files.npz import NpzFile

ENDINGS = (".h5", ".hdf5", ".mat", ".npz", ".npy")
"""Suffixes of the files that `open_file` reads."""


@contextmanager
def open_file(path: Path) -> Iterator[Node]:
    """Yield the variables of a file as the members of one node; values can be read inside the context.

    Raises:
        DataError: the file is damaged or of another kind than its suffix says.
    """
    try:
        root = _opened(path)
    except DataError:
        raise
    except Exception as err:  # the libraries report damage by exceptions of many kinds
        raise DataError(f"{path}: not a readable {path.suffix} file ({one_line(err)})") from err
    try:
        yield root
    finally:
        root.close()


def _opened(path: Path) -> MatFile | NpzFile | NpyFile | H5Group:
    if path.suffix.lower() == ".npz":
        return NpzFile(path)
    if path.suffix.lower() == ".npy":
        return NpyFile(path)
    if path.suffix.lower() == ".mat" and not matlab73.is_hdf5(path):
        return MatFile(path)
    return open_hdf5(path)

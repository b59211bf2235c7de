"""HDF5, MATLAB and NPZ files behind one interface.

array(path)              a whole variable
vectors(path)            one vector per unit, of any lengths
matrix(path, transpose)  (samples, channels), read a slice of samples at a time if the format allows it
attribute(path, name)    strings stored with a variable (HDF5)

Variables have the shape that MATLAB or numpy shows. Pickled objects are never loaded. Missing or damaged variables
raise a DataError.
"""

import re
import zipfile
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings import matlab73
from raydistill.recordings.raw import as_columns
from raydistill.recordings.readers.files_hdf5 import open_hdf5
from raydistill.recordings.readers.files_mat import MatFile
from raydistill.recordings.readers.files_npz import NpzFile
from raydistill.recordings.readers.nodes import Variable, listed


def open_file(path: Path):
    """The file behind the interface above, as a context manager."""
    if path.suffix.lower() == ".npz":
        return _Npz(path)
    if path.suffix.lower() == ".mat" and not matlab73.is_hdf5(path):
        return _Mat(path)
    return _Hdf5(path)


def as_matrix(values, transpose: bool, what: str) -> np.ndarray:
    """`values` as (samples, columns), transposed if `transpose`."""
    values = as_columns(values, what)
    return values.T if transpose else values


class _InMemory:
    """A file whose variables are numpy arrays once read."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        pass

    def array(self, path) -> np.ndarray:
        raise NotImplementedError

    def matrix(self, path, transpose):
        return as_matrix(self.array(path), transpose, path)

    def attribute(self, path, name):
        raise DataError(
            f'{path} has no attribute "{name}": only HDF5 files have attributes; give the names or units directly'
        )


class _Npz(_InMemory):
    def __init__(self, path):
        self.file = np.load(path, allow_pickle=False)
        if not isinstance(self.file, np.lib.npyio.NpzFile):
            raise ValueError("a single array, not an archive of named arrays")

    def close(self):
        self.file.close()

    def array(self, path):
        if path not in self.file:
            raise DataError(f'there is no array "{path}"{suggest(path, self.file.files)}')
        try:
            return self.file[path]
        except ValueError as err:
            raise DataError(f"{path} is a pickled object, which is never loaded; save it as a plain array") from err
        except (zipfile.BadZipFile, OSError) as err:
            raise DataError(f"{path} is damaged ({one_line(err)})") from err

    def vectors(self, path):
        """The vectors under the keys `path/0`, `path/1`, ..., as NPZ has no ragged lists."""
        keys = [k for k in self.file.files if k.startswith(f"{path}/")]
        if not keys:
            raise DataError(f'there is no array "{path}/0"{suggest(path, self.file.files)}; or give `unit_ids`')
        return [self.array(k).ravel() for k in sorted(keys, key=_natural)]


class _Mat(_InMemory):
    """MATLAB 4 to 7.2 through scipy."""

    def __init__(self, path):
        from scipy.io import loadmat

        self.tree = loadmat(path, squeeze_me=False, struct_as_record=False)

    def array(self, path):
        node = self.tree
        for depth, key in enumerate(path.split("/")):
            fields = node if isinstance(node, dict) else vars(node) if hasattr(node, "_fieldnames") else {}
            available = [k for k in fields if not k.startswith("_")]
            if key not in available:
                place = "/".join(path.split("/")[:depth]) or "the file"
                raise DataError(f'there is no variable "{key}" in {place}{suggest(key, available)}')
            node = fields[key]
            while isinstance(node, np.ndarray) and node.dtype == object and node.size == 1:
                node = node.item()  # a 1 x 1 struct array
        return np.asarray(node)

    def vectors(self, path):
        cells = self.array(path)
        if cells.dtype != object:
            raise DataError(
                f"{path} is one {cells.dtype} array, not a cell array with one vector per unit; give `unit_ids`"
            )
        return [np.asarray(c).ravel() for c in cells.ravel(order="F")]


class _Hdf5:
    """HDF5 and MATLAB 7.3 through h5py."""

    def __init__(self, path):
        import h5py

        self.file = h5py.File(path, "r")
        self.is_matlab = path.suffix.lower() == ".mat"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def _node(self, path):
        if path not in self.file:
            datasets: list[str] = []
            self.file.visit(datasets.append)
            raise DataError(f'there is no dataset "{path}"{suggest(path, datasets)}')
        return self.file[path]

    def array(self, path):
        node = self._node(path)
        if not hasattr(node, "shape"):
            raise DataError(f"{path} is a group, not a dataset; it holds {', '.join(node) or 'nothing'}")
        values = self._values(node, path)
        return values.T if self.is_matlab else values

    def _values(self, node, path):
        if matlab73.is_empty(node):
            return np.empty(0)
        return matlab73.read(node, (), path)

    def vectors(self, path):
        """A group with one dataset per unit, an array of references to them (a MATLAB cell), or ragged rows."""
        node = self._node(path)
        if not hasattr(node, "shape"):
            members = [node[k] for k in sorted(node, key=_natural)]
        elif node.dtype.kind == "O" and node.size:
            cells = node[()].ravel()  # a MATLAB cell array is stored transposed, so this is MATLAB's column order
            members = [self.file[c] for c in cells] if not isinstance(cells[0], np.ndarray) else cells
        else:
            raise DataError(f"{path} is one {node.dtype} array, not a list with one vector per unit; give `unit_ids`")
        return [m if isinstance(m, np.ndarray) else self._values(m, path).ravel() for m in members]

    def matrix(self, path, transpose):
        node = self._node(path)
        if not hasattr(node, "shape") or node.ndim not in (1, 2) or node.dtype.kind not in "buif":
            form = f"{node.shape} {node.dtype}" if hasattr(node, "shape") else "a group"
            raise DataError(f"{path} is {form}; a (samples, channels) matrix of real numbers is needed")
        return _Sliced(node, transposed=transpose != (self.is_matlab and node.ndim == 2))

    def attribute(self, path, name):
        attributes = self._node(path).attrs
        if name not in attributes:
            raise DataError(f'{path} has no attribute "{name}"{suggest(name, attributes)}')
        words = np.atleast_1d(attributes[name])
        return tuple(w.decode() if isinstance(w, bytes) else str(w) for w in words)


class _Sliced:
    """A dataset as (samples, channels), read a slice at a time. On disk it may be (channels, samples)."""

    def __init__(self, dataset, transposed):
        self.dataset, self.transposed = dataset, transposed
        shape = dataset.shape if dataset.ndim == 2 else (len(dataset), 1)
        self.shape = shape[::-1] if transposed else shape

    def __getitem__(self, rows):
        values = matlab73.read(self.dataset, (slice(None), rows) if self.transposed else rows, self.dataset.name)
        values = values.T if self.transposed else values
        return values.reshape(-1, self.shape[1])  # a vector (n,) -> (n, 1)


def _natural(text: str):
    """Sorts unit2 before unit10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def variables(path: Path) -> list[Variable]:
    """The variables of a file with those inside its groups and structs, without their values.

    Variables that cannot be read are listed as an `object`. At most 10000 are listed.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        root = _opened(path)
    except Exception as err:  # the libraries report damage by exceptions of many kinds
        raise DataError(f"{path}: not a readable {path.suffix} file ({one_line(err)})") from err
    try:
        return listed(root)
    finally:
        root.close()


def _opened(path: Path) -> MatFile | NpzFile:
    if path.suffix.lower() == ".npz":
        return NpzFile(path)
    if path.suffix.lower() == ".mat" and not matlab73.is_hdf5(path):
        return MatFile(path)
    return open_hdf5(path)

"""HDF5 files and MATLAB files of version 7.3, through h5py. Datasets are read in the slices that are asked for.

matlab73.py says how MATLAB stores its arrays. `is_matlab` nodes are shown as MATLAB shows them, not as they are stored.
"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.files import matlab73
from raydistill.recordings.files.mat import COMPLEX, SparseMatrix, in_memory
from raydistill.recordings.files.nodes import Node, as_objects, check_readable, check_size
from raydistill.recordings.files.plugins import opened, what_is_wrong

_INDEX = "_i_"
_MISSING = "_FillValue", "missing_value"  # attributes
_HIDDEN = "#"  # groups in which MATLAB keeps the elements of cells


def open_hdf5(path: Path) -> "H5Group":
    """The file as a group of its variables."""
    return H5Group(opened(path), "", path.suffix.lower() == ".mat")


class H5Group(Node):
    """A group of HDF5, or a struct of MATLAB."""

    def __init__(self, group: Any, path: str, is_matlab: bool, kind: Any = "group"):
        super().__init__(path, kind)
        self.group, self.is_matlab = group, is_matlab

    def names(self) -> list[str]:
        """As `Node.names`."""
        with matlab73.damage_named(self.path or "the file"):
            return [name for name in self.group if not name.startswith(_HIDDEN) and not self._is_index(name)]

    def _is_index(self, name: str) -> bool:
        """Whether PyTables, and so pandas, keeps the search index of a table under this name."""
        if not name.startswith(_INDEX):
            return False
        return "TINDEX" in _attributes(self.group[name]).get("CLASS", ())

    def close(self) -> None:
        """Close the file."""
        self.group.file.close()

    def is_same(self, other: Node) -> bool:
        """As `Node.is_same`."""
        return isinstance(other, H5Group) and self.group == other.group

    def attributes(self) -> dict[str, tuple[str, ...]]:
        """As `Node.attributes`."""
        return _attributes(self.group)

    def _has(self, name: str) -> bool:
        with matlab73.damage_named(self.path or "the file"):
            return name in self.group or self.group.get(name, getlink=True) is not None

    def _member(self, name: str) -> Node:
        path = f"{self.path}/{name}" if self.path else name
        try:
            node = self.group[name]
        except Exception as err:  # links to other files report what they cannot open by exceptions of many kinds
            link = self.group.get(name, getlink=True)
            target = getattr(link, "filename", None) or getattr(link, "path", None)
            if target:
                raise DataError(f"{path} is a link to {target}, which cannot be opened ({one_line(err)})") from err
            raise DataError(f"{path} {what_is_wrong(err)}") from err
        return node_of(node, path, self.is_matlab)


class _Dataset(Node):
    """A dataset of numbers."""

    def __init__(self, dataset: Any, path: str, shape: tuple[int, ...], is_matlab: bool):
        super().__init__(path, "number", shape, str(dataset.dtype.base))
        self.dataset, self.is_matlab = dataset, is_matlab
        self.is_empty = is_matlab and matlab73.is_empty(dataset)
        self.missing = () if is_matlab else _missing_values(dataset)
        self._is_checked = False

    def attributes(self) -> dict[str, tuple[str, ...]]:
        """As `Node.attributes`."""
        return _attributes(self.dataset)

    def _read(self, key: tuple) -> np.ndarray:
        if self.is_empty:
            return np.empty(self.shape)[key]
        if not self._is_checked:  # once, because the size of many chunks takes time to add up
            self._check_stored()
            self._is_checked = True
        if not key:
            check_readable(self.path, self.shape)
        if not self.is_matlab:
            n = len(self.dataset.shape)  # each value can be an array, whose dimensions h5py does not slice
            values = np.asarray(matlab73.read(self.dataset, key[:n], self.path))
            inner = (*key[n:], *(slice(None) for _ in self.shape[max(n, len(key)) :]))
            values = values[(..., *inner)]
            is_missing = np.isin(values, self.missing) if self.missing else np.False_
            return np.where(is_missing, np.nan, values) if is_missing.any() else values
        stored_key = (*(slice(None) for _ in self.shape[len(key) :]), *key[::-1])
        return np.asarray(matlab73.read(self.dataset, stored_key, self.path)).T

    def _check_stored(self) -> None:
        """Raise DataError if more values are declared than can be in the file."""
        with matlab73.damage_named(self.path):
            if not self.dataset.is_virtual and not self.dataset.external:
                stored_bytes = self.dataset.id.get_storage_size()
                check_size(self.path, self.shape, self.dataset.dtype.itemsize, stored_bytes)


class _Column(Node):
    """A column of a table: a dataset whose values have named parts."""

    def __init__(self, dataset: Any, path: str, name: str):
        super().__init__(path, "number", dataset.shape, str(dataset.dtype[name]))
        self.dataset, self.name = dataset, name

    def _read(self, key: tuple) -> np.ndarray:
        check_readable(self.path, self.shape)
        with matlab73.damage_named(self.path):
            return self.dataset.fields(self.name)[()][key]


class _Table(Node):
    def __init__(self, dataset: Any, path: str):
        super().__init__(path, "table", dataset.shape)
        self.dataset = dataset

    def names(self) -> list[str]:
        """As `Node.names`."""
        return list(self.dataset.dtype.names)

    def _member(self, name: str) -> Node:
        path, dtype = f"{self.path}/{name}", self.dataset.dtype[name]
        if dtype.kind in "buif" and dtype.subdtype is None:
            return _Column(self.dataset, path, name)
        with matlab73.damage_named(path):
            return _loaded(path, self.dataset.fields(name)[()])


class _References(Node):
    """A dataset of references to others: a cell array, or a field of a struct array."""

    def __init__(self, dataset: Any, path: str, shape: tuple[int, ...], is_matlab: bool):
        super().__init__(path, "cell", shape)
        self.dataset, self.is_matlab = dataset, is_matlab

    def elements(self) -> np.ndarray:
        """As `Node.elements`."""
        if 0 in self.shape:
            return np.empty(self.shape, dtype=object)
        references = matlab73.read(self.dataset, (), self.path)
        parts = [self._element(i, reference) for i, reference in enumerate(np.ravel(references))]
        nodes = as_objects(parts, np.shape(references))
        return nodes.T if self.is_matlab else nodes

    def first(self) -> Node | None:
        """As `Node.first`."""
        if 0 in self.shape:
            return None
        return self._element(0, matlab73.read(self.dataset, (0,) * len(self.shape), self.path))

    def _element(self, i: int, reference: Any) -> Node:
        what = f"{self.path}{{{i + 1}}}" if self.is_matlab else f"{self.path}[{i}]"
        with matlab73.damage_named(what):
            target = self.dataset.file[reference]
            matlab73.check_own(target.id, what)
        return node_of(target, what, self.is_matlab)


class _Ragged(Node):
    """A dataset whose rows are vectors of any lengths."""

    def __init__(self, dataset: Any, path: str):
        super().__init__(path, "cell", dataset.shape)
        self.dataset = dataset

    def elements(self) -> np.ndarray:
        """As `Node.elements`."""
        rows = matlab73.read(self.dataset, (), self.path)
        parts = [in_memory(f"{self.path}[{i}]", np.asarray(row)) for i, row in enumerate(np.ravel(rows))]
        return as_objects(parts, self.shape)

    def first(self) -> Node | None:
        """As `Node.first`."""
        if 0 in self.shape:
            return None
        row = matlab73.read(self.dataset, (0,) * len(self.shape), self.path)
        return in_memory(f"{self.path}[0]", np.asarray(row))


class _Text(Node):
    def __init__(self, dataset: Any, path: str, is_matlab: bool):
        super().__init__(path, "text", dataset.shape or ())
        self.dataset, self.is_matlab = dataset, is_matlab

    def texts(self) -> list[str]:
        """As `Node.texts`."""
        if self.is_matlab and matlab73.is_empty(self.dataset):
            return [""]
        values = matlab73.read(self.dataset, (), self.path)
        if self.is_matlab:  # character codes; each row that MATLAB shows is a text
            return [matlab73.text(codes).rstrip() for codes in np.atleast_2d(values).T]
        return [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in np.ravel(values)]


class _Sparse(Node):
    """A sparse matrix of MATLAB: the group of `data`, the row of each value `ir`, and where columns begin, `jc`."""

    def __init__(self, group: Any, path: str):
        self.group = group
        self._matrix: SparseMatrix | None = None
        with matlab73.damage_named(path):
            n_rows, n_columns = int(group.attrs["MATLAB_sparse"]), len(group["jc"]) - 1
        super().__init__(path, "sparse", (n_rows, n_columns), "float64")

    def _read(self, key: tuple) -> np.ndarray:
        from scipy.sparse import csc_array

        if self._matrix is None:
            with matlab73.damage_named(self.path):
                starts = self.group["jc"][()].astype(np.int64)
                data, rows = np.empty(0), np.empty(0, dtype=np.int64)
                if starts[-1]:
                    data, rows = self.group["data"][()], self.group["ir"][()].astype(np.int64)
                matrix = csc_array((data, rows, starts), shape=self.shape)
            self._matrix = SparseMatrix(self.path, matrix)
        return self._matrix.read(key)


def node_of(node: Any, path: str, is_matlab: bool) -> Node:
    """The node of a group or dataset of h5py."""
    import h5py

    with matlab73.damage_named(path):
        matlab_class = _decoded(node.attrs.get("MATLAB_class", b"")) if is_matlab else ""
        if isinstance(node, h5py.Group):
            if "MATLAB_sparse" in node.attrs:
                return _Sparse(node, path)
            if matlab_class not in ("", "struct"):
                return Node(path, "object", why=f"of MATLAB's class {matlab_class}")
            return H5Group(node, path, is_matlab, "struct" if matlab_class else "group")
        if not isinstance(node, h5py.Dataset):
            return Node(path, "object", why="a type without values")
        if "MATLAB_object_decode" in node.attrs or matlab_class == "function_handle":
            why = f"of MATLAB's class {matlab_class or 'unknown'}; save it as a plain array or struct"
            return Node(path, "object", why=why)
        return _dataset(node, path, is_matlab, matlab_class)


def _dataset(dataset: Any, path: str, is_matlab: bool, matlab_class: str) -> Node:
    import h5py

    if dataset.shape is None:
        return Node(path, "object", why="it holds no value")
    dtype, shape = dataset.dtype, dataset.shape
    if is_matlab and matlab73.is_empty(dataset):
        shape = tuple(int(n) for n in np.ravel(matlab73.read(dataset, (), path))[:8])
        if matlab_class in ("cell", "struct"):
            return _References(dataset, path, shape if 0 in shape else (0, 0), is_matlab)
    elif is_matlab:
        shape = shape[::-1]
    if matlab_class == "char" or h5py.check_string_dtype(dtype) is not None:
        return _Text(dataset, path, matlab_class == "char")
    if h5py.check_ref_dtype(dtype) is h5py.Reference:
        return _References(dataset, path, shape, is_matlab)
    if h5py.check_vlen_dtype(dtype) is not None:
        return _Ragged(dataset, path)
    if is_matlab and dtype.names == ("real", "imag"):
        return Node(path, "object", why=COMPLEX)
    if dtype.names is not None:
        return _Table(dataset, path)
    if dtype.subdtype is not None and not is_matlab and dtype.base.kind in "buif":
        return _Dataset(dataset, path, (*shape, *dtype.shape), is_matlab)
    if dtype.kind not in "buif":
        return Node(path, "object", why=f"{dtype} values")
    return _Dataset(dataset, path, shape, is_matlab)


def _loaded(path: str, values: np.ndarray) -> Node:
    if values.dtype == object and values.size and isinstance(values.flat[0], (bytes, str)):
        values = np.array([v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.flat])
    return in_memory(path, np.char.decode(values, errors="replace") if values.dtype.kind == "S" else values)


def _attributes(node: Any) -> dict[str, tuple[str, ...]]:
    """Those that can be read; some programs write types that numpy lacks, which must not hide the data."""
    found = {}
    with matlab73.damage_named(node.name):
        names = list(node.attrs)
    for name in names:
        with contextlib.suppress(DataError), matlab73.damage_named(name):
            found[name] = tuple(_decoded(word) for word in np.ravel(node.attrs[name]))
    return found


def _missing_values(dataset: Any) -> tuple[float, ...]:
    """The numbers that mean that nothing was recorded, as netCDF and programs that follow it state them. One that is 0
    does not count, because many programs state it for data in which 0 is a value."""
    numbers: list[float] = []
    for name in _MISSING:
        with contextlib.suppress(DataError), matlab73.damage_named(name):
            if name in dataset.attrs and (stated := np.asarray(dataset.attrs[name])).dtype.kind in "uif":
                numbers += np.ravel(stated).astype(dataset.dtype.base).astype(np.float64).tolist()
    return tuple(number for number in numbers if number and not np.isnan(number))


def _decoded(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)

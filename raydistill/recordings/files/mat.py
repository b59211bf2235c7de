"""MATLAB files of version 4 to 7.2, through scipy. Only the variables that are asked for are loaded."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.files.mat_headers import STORED, Header, headers, is_version_4
from raydistill.recordings.files.mat_structure import check_whole
from raydistill.recordings.files.nodes import Cells, Node, as_objects, check_readable, check_size

COMPLEX = "complex values; save its real and imaginary part as two arrays"
"""Why an array of complex values cannot be read."""
_PLAIN = "save it as a plain array or struct"
_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


class MatFile(Node):
    """The variables of a file; a struct or cell array stays in memory, as several paths may lead into it."""

    def __init__(self, path: Path):
        super().__init__("", "group")
        self.file = path
        self.bytes = path.stat().st_size
        self.contents = _version_4(path) if is_version_4(path) else headers(path)
        self._kept: dict[str, Node] = {}

    def names(self) -> list[str]:
        """As `Node.names`."""
        return [name for name in self.contents if not name.startswith("__")]

    def close(self) -> None:
        """Forget what was loaded."""
        self._kept.clear()

    def _member(self, name: str) -> Node:
        if name in self._kept:
            return self._kept[name]
        header = self.contents[name]
        shape, kind = header.shape, header.kind
        if kind == "opaque":
            return Node(name, "object", why=f"of MATLAB's class {header.matlab_class}; {_PLAIN}")
        if header.is_complex:
            return Node(name, "object", why=COMPLEX)
        if kind != "sparse":
            check_size(name, shape, 8 if kind in ("cell", "struct") else 1, self.bytes)
        if kind in _NUMBERS:
            check_readable(name, shape)
            return _MatNumbers(self, name, shape, kind)
        node = in_memory(name, self.load(name))
        if kind in ("struct", "cell"):
            self._kept[name] = node
        return node

    def load(self, name: str) -> Any:
        """The value of a variable, from the file.

        Raises:
            DataError: it is damaged.
        """
        from scipy.io import loadmat

        try:
            self._check(name)
            with warnings.catch_warnings(action="ignore"):
                return loadmat(self.file, variable_names=[name], squeeze_me=False, chars_as_strings=True)[name]
        except Exception as err:  # scipy reports damage by exceptions of many kinds
            raise DataError(f"{name} is damaged ({one_line(err)})") from err

    def _check(self, name: str) -> None:
        """Raise an exception if scipy's C code cannot read a variable: it crashes if it is damaged."""
        header = self.contents[name]
        if header.stored is not None:  # nothing but numbers, which need no other check
            if header.stored not in STORED:
                raise ValueError(f"there are values of type {header.stored}")
        elif header.at:  # not of version 4
            check_whole(self.file, header.at)


def _version_4(path: Path) -> dict[str, Header]:
    from scipy.io import whosmat

    with warnings.catch_warnings(action="ignore"):
        return {name: Header(shape=shape, kind=kind) for name, shape, kind in whosmat(path)}


class _MatNumbers(Node):
    """An array of numbers at the top of a file; it is loaded, as a whole, when a part of it is read."""

    def __init__(self, file: MatFile, name: str, shape: tuple[int, ...], kind: str):
        dtype = {"double": "float64", "single": "float32", "logical": "bool"}.get(kind, kind)
        super().__init__(name, "number", shape, dtype)
        self.file = file
        self._values: np.ndarray | None = None

    def _read(self, key: tuple) -> np.ndarray:
        if self._values is None:
            values = self.file.load(self.path)
            if values.dtype.kind not in "buif":
                raise DataError(f"{self.path} holds {values.dtype} values, not real numbers")
            self._values = values
        return self._values[key]


class _InMemory(Node):
    """A value that scipy or numpy has loaded."""

    def __init__(self, path: str, value: Any, kind: Any, shape: tuple[int, ...] = (), dtype: str = "", why: str = ""):
        super().__init__(path, kind, shape, dtype, why)
        self.value = value

    def names(self) -> list[str]:
        """As `Node.names`."""
        return list(self.value.dtype.names or ()) if self.kind in ("struct", "table") else []

    def _member(self, name: str) -> Node:
        field = self.value[name]
        path = f"{self.path}/{name}"
        if field.dtype != object:
            return in_memory(path, field)
        if field.size == 1:
            return in_memory(path, field.item())
        parts = [in_memory(f"{path}{{{i + 1}}}", value) for i, value in enumerate(field.ravel())]
        return Cells(path, parts, field.shape)

    def elements(self) -> np.ndarray:
        """As `Node.elements`."""
        values = self.value.ravel(order="F")
        parts = [in_memory(f"{self.path}{{{i + 1}}}", value) for i, value in enumerate(values)]
        return as_objects(parts, self.shape[::-1]).T

    def texts(self) -> list[str]:
        """As `Node.texts`."""
        return [str(text).rstrip() for text in np.ravel(self.value)]

    def _read(self, key: tuple) -> np.ndarray:
        return self.value[key]


class SparseMatrix(Node):
    """A sparse matrix of scipy; only the part that is read becomes a full one."""

    def __init__(self, path: str, matrix: Any):
        super().__init__(path, "sparse", matrix.shape, str(matrix.dtype))
        self.matrix = matrix
        try:
            if hasattr(matrix, "check_format"):
                matrix.check_format()  # scipy's own code trusts the indices, and crashes if they are damaged
        except (ValueError, IndexError, TypeError) as err:
            raise DataError(f"{path} is damaged ({one_line(err)})") from err
        starts = getattr(matrix, "indptr", np.zeros(1))
        if (starts[1:] < starts[:-1]).any():  # which scipy does not look at if the last one is negative
            raise DataError(f"{path} is damaged (its columns or rows do not begin one after the other)")

    def _read(self, key: tuple) -> np.ndarray:
        if not key:
            check_readable(self.path, self.shape)
            return self.matrix.toarray()
        by_row = key[0] != slice(None)
        if self.matrix.format != ("csr" if by_row else "csc"):
            self.matrix = self.matrix.tocsr() if by_row else self.matrix.tocsc()
        return self.matrix[key].toarray()


def in_memory(path: str, value: Any) -> Node:
    """The node of a value as scipy or numpy loads it."""
    from scipy.io.matlab import MatlabFunction, MatlabOpaque
    from scipy.sparse import issparse

    if issparse(value):
        if value.dtype.kind not in "buif":
            return _InMemory(path, value, "object", why=f"a sparse matrix of {value.dtype} values")
        return SparseMatrix(path, value)
    values = np.asarray(value) if isinstance(value, (np.ndarray, np.generic, int, float, str)) else None
    if values is None or isinstance(value, (MatlabFunction, MatlabOpaque)):
        return _InMemory(path, value, "object", why=f"of a class of MATLAB; {_PLAIN}")
    if values.dtype.names is not None:
        is_struct = all(values.dtype[name].hasobject for name in values.dtype.names)
        shape = () if is_struct and values.size == 1 else values.shape
        return _InMemory(path, values, "struct" if is_struct else "table", shape)
    if values.dtype == object:
        return _InMemory(path, values, "cell", values.shape)
    if values.dtype.kind in "US":
        return _InMemory(path, values, "text", values.shape)
    if values.dtype.kind not in "buif":
        return _InMemory(path, values, "object", why=f"{values.dtype} values")
    return _InMemory(path, values, "number", values.shape, str(values.dtype))

"""MATLAB 7.3 files, which are HDF5, read and written as MATLAB shows them.

HDF5 holds every array of MATLAB transposed. The elements of a cell array, and the fields of a struct array, are
references to datasets in the group `#refs#`. Text is an array of character codes. An empty array is stored as its
shape, with the attribute `MATLAB_empty`. A struct array of one element holds the values of its fields directly. A
header of 512 bytes comes before the HDF5 signature.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.files import renamed_when_whole
from raydistill.recordings.files.nodes import check_readable, check_size
from raydistill.recordings.files.plugins import opened, what_is_wrong

if TYPE_CHECKING:
    import h5py

_FEW_VALUES = 100_000  # of a dataset that is read without a check of its size

_HEADER_BYTES = 512
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Wed Jan  1 00:00:00 2020 HDF5 schema 1.00 ."
_REFERENCES = "#refs#"

# Reading


def is_hdf5(path: Path) -> bool:
    """Whether a `.mat` file is of version 7.3, or any file is HDF5."""
    with open(path, "rb") as file:
        head = file.read(_HEADER_BYTES + len(_HDF5_SIGNATURE))
    return _HDF5_SIGNATURE in (head[: len(_HDF5_SIGNATURE)], head[_HEADER_BYTES:])


def open_hdf5(path: Path) -> "h5py.File":
    """The file, opened for reading.

    Raises:
        DataError: it is missing or not HDF5.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        return opened(path)
    except OSError as err:
        raise DataError(f"{path}: not a readable HDF5 or MATLAB 7.3 file ({one_line(err)})") from err


@contextmanager
def damage_named(what: str) -> Iterator[None]:
    """Turn the many exceptions by which h5py reports a damaged file into a DataError that starts with `what`."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError) as err:
        raise DataError(f"{what} {what_is_wrong(err)}") from err


def dataset(file: "h5py.File", name: str) -> "h5py.Dataset":
    """The dataset of this name.

    Raises:
        DataError: there is none; the message suggests a similar name.
    """
    import h5py

    datasets: list[str] = []
    with damage_named(name):
        node = file.get(name)
        if node is None:
            file.visit(lambda path: None if path.startswith("#") else datasets.append(path))
    if node is None:
        raise DataError(f'there is no "{name}"{suggest(name, datasets)}')
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{name} is a group, not a dataset")
    return node


def read(node: "h5py.Dataset", key: Any, what: str) -> Any:
    """node[key], as stored.

    Raises:
        DataError: the values are damaged, were never written, or are too many to be read at once.
    """
    with damage_named(what):
        if key == ():
            _check_whole(node.id, what)
        return node[key]


def _check_whole(node: "h5py.h5d.DatasetID", what: str) -> None:
    """Raise DataError if a dataset declares more values than the file can hold, or than can be read at once."""
    if math.prod(node.shape) > _FEW_VALUES:
        check_readable(what, node.shape)
        check_stored(node, what)


def check_stored(node: "h5py.h5d.DatasetID", what: str) -> None:
    """Raise DataError if a dataset declares more values than the file can hold, which would be read for ever."""
    from h5py import h5d

    settings = node.get_create_plist()
    if settings.get_layout() != h5d.VIRTUAL and not settings.get_external_count():
        check_size(what, node.shape, node.dtype.itemsize, node.get_storage_size())


def check_own(node: Any, what: str) -> None:
    """Raise DataError if the values of an object that a reference led to are in another file.

    References reach objects that have no name, in which `linked.py` finds no links to other files.

    Args:
        node: of h5py's low-level interface.
    """
    from h5py import h5d

    if isinstance(node, h5d.DatasetID):
        settings = node.get_create_plist()
        if settings.get_layout() == h5d.VIRTUAL or settings.get_external_count():
            raise DataError(f"{what} is a reference to values that are in another file, which are not read")


def is_empty(node: "h5py.Dataset") -> bool:
    """Whether MATLAB shows this dataset as an empty array."""
    return bool(node.attrs.get("MATLAB_empty", 0))


def array(node: "h5py.Dataset", what: str) -> np.ndarray:
    """The array that MATLAB shows."""
    values = read(node, (), what)
    if is_empty(node):
        return np.empty(tuple(int(n) for n in values))
    return values.T


def shape(node: "h5py.Dataset", what: str) -> tuple[int, ...]:
    """The shape that MATLAB shows, without reading the values."""
    return array(node, what).shape if is_empty(node) else node.shape[::-1]


def text(codes: np.ndarray) -> str:
    """The string behind an array of character codes, as MATLAB shows it.

    Raises:
        DataError: some are no codes of characters.
    """
    with damage_named("a text"):
        if codes.size and not (codes.min() >= 0 and codes.max() < 0x110000):
            raise ValueError("its characters have codes that do not exist")
        return "".join(chr(int(code)) for code in codes.ravel(order="F"))


def cells(file: "h5py.File", name: str) -> np.ndarray:
    """The references of a cell array, transposed like all that HDF5 holds.

    Raises:
        DataError: the dataset is missing or not a cell array.
    """
    node = dataset(file, name)
    if node.dtype.kind != "O" or node.ndim != 2:
        raise unlike(name, node, "a cell array")
    return read(node, (), name)


def cell(file: "h5py.File", reference, what: str) -> np.ndarray:
    """The values behind a reference, as stored.

    h5py's own `file[reference][()]` takes twice as long, and a file has hundreds of cells.
    """
    from h5py import h5r, h5s

    with damage_named(what):
        node = h5r.dereference(reference, file.id)
        check_own(node, what)
        _check_whole(node, what)
        values = np.zeros(node.shape, node.dtype)
        node.read(h5s.ALL, h5s.ALL, values)
    return values


def unlike(what: str, values: Any, needed: str) -> DataError:
    """The error for a dataset or array of another type or shape than needed."""
    return DataError(f"{what} has {values.dtype} values of the shape {values.shape}; needed: {needed}")


class StructArray:
    """A struct array, read field by field. Elements are counted from 0, but from 1 in messages, as in MATLAB.

    `fields` are the names of its fields.
    """

    def __init__(self, file: "h5py.File", name: str, element: str):
        """`element` is the word for an element in messages, such as "trial"."""
        self.file, self.name, self.element = file, name, element
        self._references: dict[str, np.ndarray | None] = {}  # None: the field holds the value of the one element
        with damage_named(name):
            self.group = file.get(name)
            names = list(file)
        if not hasattr(self.group, "keys"):
            raise DataError(f'there is no struct array "{name}"; the file holds {", ".join(names) or "nothing"}')
        with damage_named(name):
            self.fields: tuple[str, ...] = tuple(self.group)

    def n_elements(self, field: str) -> int:
        """Number of elements, counted in one of the fields."""
        self._node(field, 0)
        references = self._references[field]
        return 1 if references is None else len(references)

    def array(self, field: str, i: int) -> np.ndarray:
        """The value of a field, as MATLAB shows it.

        Raises:
            DataError: the field is missing, damaged, or does not hold real numbers.
        """
        what = self._what(field, i)
        values = array(self._node(field, i), what)
        if values.dtype.kind not in "buif":
            raise DataError(f"{self.element} {i + 1}: {field} holds {values.dtype} values, not real numbers")
        return values

    def shape(self, field: str, i: int) -> tuple[int, int]:
        """(rows, columns), without reading the values."""
        size = shape(self._node(field, i), self._what(field, i))
        if len(size) != 2:
            raise DataError(f"{self.element} {i + 1}: {field} has the shape {size}; a matrix is needed")
        return size[0], size[1]

    def text(self, field: str, i: int) -> str:
        """The text in a field."""
        return text(self.array(field, i))

    def number(self, field: str, i: int) -> float:
        """The first value of a field; NaN if it is empty."""
        return float(next(iter(self.array(field, i).flat), np.nan))

    def _what(self, field: str, i: int) -> str:
        return f"{self.element} {i + 1}: {field}"

    def _node(self, field: str, i: int) -> "h5py.Dataset":
        if field not in self.fields:
            raise DataError(f'{self.name} has no field "{field}"{suggest(field, self.fields)}')
        with damage_named(self._what(field, i)):
            node = self.group[field]
            if field not in self._references:
                has_references = hasattr(node, "dtype") and node.dtype.kind == "O"
                self._references[field] = node[()].ravel() if has_references else None
            references = self._references[field]
            if references is not None:
                node = self.file[references[i]]
                check_own(node.id, self._what(field, i))
        if not hasattr(node, "shape"):
            raise DataError(f"{self._what(field, i)} is a group, not an array; sparse arrays cannot be read")
        return node


# Writing


@contextmanager
def new_file(path: Path) -> Iterator["h5py.File"]:
    """A MATLAB 7.3 file to write to. It appears under its name when it is complete, and not at all after an error."""
    import h5py

    with renamed_when_whole(path) as partial:
        with h5py.File(partial, "w", userblock_size=_HEADER_BYTES) as file:
            yield file
        with open(partial, "r+b") as block:
            block.write(_HEADER.ljust(116) + bytes(8) + b"\x00\x02IM")


def write_array(group, name: str, values) -> "h5py.Dataset":
    """Write an array or a string that MATLAB shows as `values`; vectors become rows."""
    if isinstance(values, str):
        codes = np.array([ord(c) for c in values], dtype=np.uint16)[:, None]  # (n, 1); MATLAB shows (1, n)
        node = _marked(group.create_dataset(name, data=codes), "char")
        node.attrs["MATLAB_int_decode"] = np.int32(2)
        return node
    values = np.atleast_2d(values)
    if not values.size:
        node = _marked(group.create_dataset(name, data=np.array(values.shape, dtype=np.uint64)), "double")
        node.attrs["MATLAB_empty"] = np.uint8(1)
        return node
    matlab_class = values.dtype.name.replace("float64", "double").replace("float32", "single")
    return _marked(group.create_dataset(name, data=np.ascontiguousarray(values.T)), matlab_class)


def write_zeros(file: "h5py.File", name: str, size: tuple[int, ...]) -> "h5py.Dataset":
    """An array of zeros that MATLAB shows with this shape; it takes no room, as no value is written."""
    return _marked(file.create_dataset(name, shape=size[::-1], dtype=np.float64), "double")


def reference_name(name: str) -> str:
    """Where the value of a cell or of a struct array's field is written."""
    return f"{_REFERENCES}/{name}"


def write_cells(file: "h5py.File", name: str, references: list[list]) -> None:
    """Write a cell array, of which HDF5 holds `references`: the transpose of what MATLAB shows."""
    import h5py

    node = file.create_dataset(name, (len(references), len(references[0])), h5py.ref_dtype)
    node[...] = np.array(references, dtype=h5py.ref_dtype)
    _marked(node, "cell")


def write_struct_array(file: "h5py.File", name: str, rows: list[dict]) -> None:
    """Write a struct array with one element per row; the values are arrays, numbers or strings."""
    import h5py

    group = file.create_group(name)
    group.attrs["MATLAB_class"] = np.bytes_("struct")
    for field in rows[0]:
        if len(rows) == 1:
            write_array(group, field, rows[0][field])
            continue
        references = group.create_dataset(field, (len(rows), 1), dtype=h5py.ref_dtype)
        for i, row in enumerate(rows):
            references[i, 0] = write_array(file, reference_name(f"{field}_{i}"), row[field]).ref


def _marked(node: "h5py.Dataset", matlab_class: str) -> "h5py.Dataset":
    node.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    return node

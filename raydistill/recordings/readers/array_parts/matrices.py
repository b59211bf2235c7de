"""Matrices of (samples, columns) from the variables of a file, read a slice of samples at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from raydistill.config.manifest import Behavior, Lfp, Spikes
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Cells, Node
from raydistill.recordings.readers.array_parts.lists import is_vector

Section = Spikes | Lfp | Behavior

_TURNED = 10  # times more columns than samples: a matrix that lies the other way round
_COLUMNS = {"spikes": "units", "lfp": "channels", "behavior": "columns"}


class Matrix(Protocol):
    """(samples, columns) numbers."""

    path: str
    shape: tuple[int, int]
    dtype: str

    def read(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, columns) numbers."""
        ...


@dataclass(frozen=True)
class Described:
    """A section of a manifest that describes a matrix, for reading it and for messages."""

    section: Section

    @property
    def name(self) -> str:
        """Key of the section: spikes, lfp or behavior."""
        return "spikes" if isinstance(self.section, Spikes) else "lfp" if isinstance(self.section, Lfp) else "behavior"

    @property
    def path(self) -> str:
        """Path of the matrix."""
        return (self.section.counts or "") if isinstance(self.section, Spikes) else self.section.values

    @property
    def columns(self) -> str:
        """The word for its columns."""
        return _COLUMNS[self.name]

    @property
    def has_axes(self) -> bool:
        """Whether the manifest states which dimension is which, so that shapes are not doubted."""
        return bool(self.section.axes)

    @property
    def is_turned(self) -> bool:
        """Whether time is the last of the two dimensions of a matrix."""
        axes = [axis for axis in self.section.axes if axis != "trials"]
        return self.section.transpose or (axes[-1:] == ["time"] and len(axes) > 1)

    def turned(self, shape: tuple[int, int]) -> str:
        """The message that a matrix lies the other way round, with the setting that turns it."""
        n, width = shape
        way_out = (
            f"leave out `transpose: true` of `{self.name}`"
            if self.section.transpose
            else f"set `transpose: true` in `{self.name}`"
        )
        return f"{self.path} lies the other way round, as {n} samples of {width} {self.columns}: {way_out}"


def matrix(node: Node, described: Described) -> Matrix:
    """The matrix of a variable; a vector is one column, and the vectors of a pattern are columns side by side.

    Raises:
        DataError: it has another shape, holds no real numbers, is empty, or lies the other way round.
    """
    if isinstance(node, Cells) and node.is_pattern:
        return _side_by_side(node)
    if node.kind == "cell" and int(np.prod(node.shape)) == 1:
        return matrix(node.elements().ravel()[0], described)
    found = oriented(node, described)
    n, width = found.shape
    if not n or not width:
        raise DataError(f"{node.path} is {node.described}")
    if width > _TURNED * n and not described.has_axes:
        stated = f"[time, {described.columns}]"
        raise DataError(f"{described.turned(found.shape)}, or `axes: {stated}` if it is right")
    found.read(0, 1)  # finds damage, and shapes that are declared but not stored, before room is made for all values
    return found


def oriented(node: Node, described: Described, is_row: bool = False) -> Matrix:
    """As `matrix`, for a variable that may be empty and lie any way; a row of a trial stays one with `is_row`."""
    if node.kind not in ("number", "sparse"):
        parts = f"; name one of them, such as {node.path}/{node.names()[0]}" if node.names() else ""
        raise DataError(
            f"{node.path} is {node.described}; a (samples, {described.columns}) matrix of real numbers is needed{parts}"
        )
    is_empty_matrix = len(node.shape) == 2 and 0 in node.shape
    if is_vector(node) and not is_row and node.shape and not is_empty_matrix:
        return _Slices(node, int(np.argmax(node.shape)), None)
    if len(node.shape) != 2:
        raise DataError(
            f"{node.path} is {node.described}; a vector or a (samples, {described.columns}) matrix is needed, or "
            f"for trials of the same length `axes: [trials, time, {described.columns}]`, in the order of its dimensions"
        )
    return _Slices(node, *((1, 0) if described.is_turned else (0, 1)))


def trial_slices(node: Node, axes: Sequence[str]) -> list[Matrix]:
    """The matrix of each trial of a tensor whose dimensions are `axes`.

    Raises:
        DataError: it has another number of dimensions.
    """
    if node.kind != "number" or len(node.shape) != len(axes):
        raise DataError(
            f"{node.path} is {node.described}; `axes: [{', '.join(axes)}]` describes an array of {len(axes)} "
            "dimensions, or a vector of cells with one matrix per trial"
        )
    if 0 in node.shape:
        raise DataError(f"{node.path} is an empty {' x '.join(map(str, node.shape))} array")
    trial, time = axes.index("trials"), axes.index("time")
    column = next((i for i in range(len(axes)) if i not in (trial, time)), None)
    return [_Slices(node, time, column, {trial: k}) for k in range(node.shape[trial])]


class _Slices:
    """A variable with its dimensions of time and of columns, the others at one index."""

    def __init__(self, node: Node, time: int, column: int | None, at: dict[int, int] | None = None):
        self.node, self.time, self.column, self.at = node, time, column, at or {}
        self.path, self.dtype = node.path, node.dtype
        self.shape = (node.shape[time], 1 if column is None else node.shape[column])

    def read(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, columns) numbers."""
        n = len(self.node.shape)
        key = [self.at.get(i, slice(start, stop) if i == self.time else slice(None)) for i in range(n)]
        values = self.node.read(tuple(key))
        if self.column is None:
            return values.reshape(-1, 1)
        return values.T if self.column < self.time else values


class _Columns:
    """Vectors of the same length side by side."""

    def __init__(self, path: str, parts: list[_Slices]):
        self.path, self.parts = path, parts
        self.dtype = str(np.result_type(*(np.dtype(part.dtype) for part in parts)))
        self.shape = (parts[0].shape[0], len(parts))

    def read(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, columns) numbers."""
        return np.hstack([part.read(start, stop) for part in self.parts])


def _side_by_side(node: Cells) -> Matrix:
    for part in node.parts:
        if not is_vector(part) or not part.shape or 0 in part.shape:
            raise DataError(f"{part.path} is {part.described}; a pattern stands for one vector per channel")
    lengths = [max(part.shape) for part in node.parts]
    if len(set(lengths)) > 1:
        other = next(i for i, n in enumerate(lengths) if n != lengths[0])
        raise DataError(
            f"{node.parts[0].path} has {lengths[0]} samples but {node.parts[other].path} has {lengths[other]}"
        )
    return _Columns(node.path, [_Slices(part, int(np.argmax(part.shape)), None) for part in node.parts])


def scaled(values: np.ndarray, scale: float) -> np.ndarray:
    """Values in physical units as float32; those that are too large become infinite, which preprocessing refuses."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.multiply(values, np.float32(scale), dtype=np.float32, casting="same_kind")

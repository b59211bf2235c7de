"""What files of arrays hold, behind one interface: numbers, text, cells, structs, groups and sparse matrices.

Variables have the shape that MATLAB or numpy shows. Values are read only by `read`, which can take a part of them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raydistill.errors import DataError, suggest

Kind = Literal["number", "text", "cell", "struct", "group", "sparse", "table", "object"]

_MOST_VALUES = 2**31
"""More values than this are never read at once."""
_CHECKED_VALUES = 2**24
_MOST_COMPRESSED = 1100  # zlib cannot compress better than 1032 to 1


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable of a file, as a list of its contents shows it."""

    path: str
    """As a manifest names it, such as `data/counts`."""
    shape: tuple[int, ...]
    """As MATLAB or numpy shows it; empty for a single number, a text, and a struct or group of one element."""
    dtype: str
    """Type of numbers, such as "float64"; otherwise empty."""
    kind: Kind
    """`cell`: a cell array, or a field of a struct array. `table`: named columns, addressed as `path/column`. `object`:
    anything that cannot be read."""
    first: tuple[int, ...] | None = None
    """Shape of the first element of a `cell`."""


class Node:
    """A variable of a file, or a part of one."""

    def __init__(self, path: str, kind: Kind, shape: tuple[int, ...] = (), dtype: str = "", why: str = ""):
        """`path` names it in messages; `why` says why an `object` cannot be read."""
        self.path, self.kind, self.shape, self.dtype, self.why = path, kind, shape, dtype, why

    def names(self) -> list[str]:
        """Names of its members, fields or columns."""
        return []

    def member(self, name: str) -> "Node":
        """The member, field or column of this name; of a struct array, the field of all elements as a `cell`.

        Raises:
            DataError: there is none; the message suggests a similar name.
        """
        if self.kind == "cell":
            parts = [element.member(name) for element in self.elements().ravel()]
            return Cells(_below(self.path, name), parts, self.shape)
        if self.kind not in ("struct", "group", "table"):
            raise DataError(f"{self.path} is {self.described}; it has no part {name}")
        if not self._has(name):
            place = f" in {self.path}" if self.path else ""
            raise DataError(f'there is no variable "{name}"{place}{suggest(name, self.names())}')
        return self._member(name)

    def elements(self) -> np.ndarray:
        """The nodes of a `cell` as an object array of its shape."""
        raise NotImplementedError

    def first(self) -> "Node | None":
        """The first element of a `cell`; None if it has none."""
        return None if 0 in self.shape else self.elements().ravel()[0]

    def read(self, key: tuple = ()) -> np.ndarray:
        """Numbers: all, or those at `key`, one slice or number per dimension.

        Raises:
            DataError: it holds no numbers, is damaged, or declares more values than can be read.
        """
        if self.kind not in ("number", "sparse"):
            raise DataError(f"{self.path} is {self.described}; real numbers are needed")
        return self._read(key)

    def texts(self) -> list[str]:
        """The texts of a `text`."""
        raise NotImplementedError

    def is_same(self, other: "Node") -> bool:
        """Whether both are one object of the file, under two names."""
        return self is other

    def attributes(self) -> dict[str, tuple[str, ...]] | None:
        """Texts that are stored with it; None: files of this kind have none."""
        return None

    def _has(self, name: str) -> bool:
        return name in self.names()

    def _member(self, name: str) -> "Node":
        raise NotImplementedError

    def _read(self, key: tuple) -> np.ndarray:
        raise NotImplementedError

    @property
    def described(self) -> str:
        """What it is, for messages, such as "a 4 x 30 cell array"."""
        size = " x ".join(map(str, self.shape))
        if self.kind == "number":
            return _numbers_described(self.shape, size, self.dtype)
        if self.kind in ("struct", "group", "table"):
            word = {"struct": "a struct with the fields", "group": "a group with", "table": "a table with the columns"}
            start = f"a {size} struct array with the fields" if self.kind == "struct" and size else word[self.kind]
            names = self.names()
            listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            return f"{start} {listed}" if names else f"an empty {self.kind}"
        if self.kind == "object":
            return f"a variable that cannot be read: {self.why or 'its type is unknown'}"
        return {"text": "text", "cell": f"a {size} cell array", "sparse": f"a sparse {size} matrix"}[self.kind]

    def variable(self) -> Variable:
        """Its entry in a list of contents."""
        element = self.first() if self.kind == "cell" else None
        shape = () if self.kind == "text" else self.shape
        return Variable(
            path=self.path,
            shape=shape,
            dtype=self.dtype,
            kind=self.kind,
            first=None if element is None else element.shape,
        )


def _numbers_described(shape: tuple[int, ...], size: str, dtype: str) -> str:
    n = _product(shape)
    if n == 1:
        return "a single number"
    if not n:
        return "an empty array"
    return f"a vector of {n} {dtype} values" if n == max(shape) else f"a {size} {dtype} array"


class Cells(Node):
    """A list of nodes as a cell array: one field of a struct array, or the variables that a pattern stands for."""

    def __init__(self, path: str, parts: list[Node], shape: tuple[int, ...], is_pattern: bool = False):
        super().__init__(path, "cell", shape)
        self.parts, self.is_pattern = parts, is_pattern

    def elements(self) -> np.ndarray:
        """As `Node.elements`."""
        return as_objects(self.parts, self.shape)


def as_objects(parts: list[Node], shape: tuple[int, ...]) -> np.ndarray:
    """Nodes as an object array of this shape."""
    nodes = np.empty(len(parts), dtype=object)
    nodes[:] = parts
    return nodes.reshape(shape)


def find(root: Node, path: str) -> Node:
    """The node at a path of names with `/` between them. A name with `*` stands for all that match it, as a `cell`, and
    `cells{2}` is the second element of a cell array, as in MATLAB.

    Raises:
        DataError: there is none.
    """
    names = [name for name in path.split("/") if name]
    if not names:
        raise DataError(f'"{path}" names no variable')
    if "*" not in path:
        node = root
        for name in names:
            node = _at(node, name)
        return node
    parts = list(_matching(root, names))
    if not parts:
        raise DataError(f"no variable matches {path}; the file holds {_some(root.names())}")
    return Cells(path, parts, (len(parts),), is_pattern=True)


def _at(node: Node, name: str) -> Node:
    """The member of this name, or an element of it."""
    element = re.fullmatch(r"(.+)\{(\d+)\}", name)
    if element is None or name in node.names():
        return node.member(name)
    cells, i = _at(node, element[1]), int(element[2])
    if cells.kind != "cell":
        raise DataError(f"{cells.path} is {cells.described}; {{{i}}} takes an element of a cell array")
    elements = cells.elements().ravel(order="F")
    if not 1 <= i <= len(elements):
        raise DataError(f"{cells.path} has the elements 1 to {len(elements)}, not {i}")
    return elements[i - 1]


def _matching(node: Node, names: list[str]) -> Iterator[Node]:
    if not names:
        yield node
        return
    name, *rest = names
    if "*" not in name:
        yield from _matching(_at(node, name), rest)
        return
    pattern = re.compile(".*".join(map(re.escape, name.split("*"))))
    for match in sorted(filter(pattern.fullmatch, node.names()), key=natural):
        yield from _matching(node.member(match), rest)


def natural(text: str) -> list:
    """Key that sorts unit2 before unit10."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "nothing"


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def check_size(path: str, shape: tuple[int, ...], value_bytes: int, stored_bytes: int) -> None:
    """Raise DataError if so many values cannot have been stored in so many bytes."""
    n = _product(shape)
    if n > _CHECKED_VALUES and n * value_bytes > _MOST_COMPRESSED * stored_bytes:
        raise DataError(
            f"{path} is said to hold {' x '.join(map(str, shape))} values, but the file has only {stored_bytes} bytes "
            "for them; it is damaged or was never written"
        )


def check_readable(path: str, shape: tuple[int, ...]) -> None:
    """Raise DataError if these are more values than are read at once."""
    if _product(shape) > _MOST_VALUES:
        raise DataError(
            f"{path} holds {' x '.join(map(str, shape))} values, more than the {_MOST_VALUES} that can be read at once"
        )


def _product(shape: tuple[int, ...]) -> int:
    n = 1
    for size in shape:
        n *= int(size)  # Python's integers do not overflow
    return n


def listed(node: Node, depth: int = 12, most: int = 10_000) -> list[Variable]:
    """The variables in a node and below it, at most `most`; those that cannot be read are of the kind `object`."""
    found: list[Variable] = []
    _list_below(node, depth, most, found.append, found)
    return found


def _list_below(node: Node, depth: int, most: int, add: Callable[[Variable], None], found: list[Variable]) -> None:
    for name in node.names():
        if len(found) >= most:
            return
        try:
            part = node.member(name)
            variable = part.variable()
        except DataError:
            add(Variable(path=_below(node.path, name), shape=(), dtype="", kind="object"))
            continue
        add(variable)
        if part.kind in ("struct", "group", "table") and depth:
            _list_below(part, depth - 1, most, add, found)

"""Vectors and lists of vectors from the variables of a file. A list is taken only from what is one."""

from collections.abc import Sequence

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Node, natural


def is_vector(node: Node) -> bool:
    """Whether it holds numbers along one dimension, whichever way it lies; an empty array is a vector."""
    return (node.kind in ("number", "sparse") and sum(size != 1 for size in node.shape) <= 1) or _is_empty(node)


def _is_empty(node: Node) -> bool:
    return node.kind == "number" and 0 in node.shape


def vector(node: Node, needed: str) -> np.ndarray:
    """(n,) numbers of a vector, or of a cell array or field of a struct array with one number per element.

    Args:
        needed: what the numbers are, for messages, such as "spike times".

    Raises:
        DataError: it is neither.
    """
    if is_vector(node):
        return _numbers(node).ravel()
    if node.kind == "cell" and node.shape:
        elements = node.elements().ravel(order="F").tolist()
        if all(element.kind == "number" and int(np.prod(element.shape)) == 1 for element in elements):
            return np.array([element.read().item() for element in elements])
    raise DataError(f"{node.path} is {node.described}; a vector of {needed} is needed{_way_in(node)}")


def words(node: Node, needed: str) -> np.ndarray:
    """(n,) numbers or texts, of a vector or of a cell array with one number or text per element.

    Raises:
        DataError: it holds neither.
    """
    if node.kind == "text":
        return np.array(node.texts())
    if node.kind == "cell":
        elements = node.elements().ravel(order="F").tolist()
        if elements and all(element.kind == "text" for element in elements):
            return np.array([" ".join(element.texts()) for element in elements])
    return vector(node, f"{needed}, or a list of texts,")


def unit_times(node: Node, needed: str = "spike times") -> list[np.ndarray]:
    """The vector of each unit: the members of a group or struct, the elements of a vector of cells, or one vector.

    Raises:
        DataError: one of them is not a vector of real numbers, or it is not clear what a unit is.
    """
    if is_vector(node) and not (node.kind == "number" and int(np.prod(node.shape)) == 1):
        return [_times(node, needed)]
    if node.kind in ("group", "struct") and not node.shape:
        return _members(node, needed)
    if node.kind == "cell":
        if max(node.shape, default=1) != int(np.prod(node.shape)):
            raise DataError(
                f"{node.path} is {node.described}; a vector of cells with the {needed} of one unit each is needed; if "
                "its dimensions are units and trials, say which with `axes: [units, trials]` or `[trials, units]`"
            )
        return [_element(element, node, needed) for element in node.elements().ravel().tolist()]
    if node.kind == "object":
        raise DataError(f"{node.path} is {node.described}")
    raise DataError(
        f"{node.path} is {node.described}; needed are the {needed} of each unit as a cell array, group or list of "
        f"vectors, or one vector with `unit_ids`{_way_in(node)}"
    )


def _members(node: Node, needed: str) -> list[np.ndarray]:
    vectors = []
    for name in sorted(node.names(), key=natural):
        member = node.member(name)
        if member.kind in ("group", "struct"):
            inside = member.names()
            example = f'"{node.path}/*/{inside[0]}"' if inside else f'"{node.path}/*/NAME"'
            raise DataError(
                f"{member.path} is {member.described}, not a vector of {needed}; to take one variable of each, give a "
                f"pattern such as {example}"
            )
        is_number = member.kind == "number" and int(np.prod(member.shape)) == 1 and len(member.shape) != 1
        if is_number or not is_vector(member):
            stem = _stem(node, name)
            way_out = (
                f'give a pattern with a *, such as "{node.path}/{stem}*"'
                if stem
                else "their names must begin alike, for a pattern with a * such as units/cell_*"
            )
            raise DataError(
                f"{member.path} is {member.described}, not a vector of {needed}; to take only some variables of "
                f"{node.path}, {way_out}"
            )
        vectors.append(_times(member, needed))
    if not vectors:
        raise DataError(f"{node.path} is {node.described}; it holds no vector of {needed}")
    return vectors


def _stem(node: Node, stranger: str) -> str:
    """What most other names begin with, up to their number; empty if there is no such word, or the stranger has it."""
    stems = [name.rstrip("0123456789") for name in node.names() if name != stranger]
    most = max(sorted(set(stems)), key=stems.count, default="")
    return most if stems.count(most) > 1 and not stranger.startswith(most) else ""


def _element(element: Node, node: Node, needed: str) -> np.ndarray:
    if element.kind == "cell":
        raise DataError(
            f"{element.path} is {element.described}, not a vector of {needed}; if {node.path} holds cells in cells, "
            "say what they are with `axes: [units, trials]` or `[trials, units]`"
        )
    if not is_vector(element):
        raise DataError(f"{element.path} is {element.described}, not a vector of {needed}")
    return _times(element, needed)


def _times(node: Node, needed: str) -> np.ndarray:
    if node.dtype == "bool":
        raise DataError(f"{node.path} holds true and false, not {needed}; a raster with one value per bin is `counts`")
    return _numbers(node).ravel()


def _numbers(node: Node) -> np.ndarray:
    return np.empty(0) if _is_empty(node) else node.read()


def times_by_unit(node: Node, axes: Sequence[str]) -> list[list[np.ndarray]]:
    """The vector of each unit and trial, as unit -> trial -> (spikes,).

    Args:
        node: a (units, trials) cell array, a vector of cells in cells, or a vector of cells with the trials of one
            unit.
        axes: names of the dimensions, the outer one first: units and trials in any order, or trials alone.

    Raises:
        DataError: it has other dimensions, or the trials hold different numbers of units.
    """
    if node.kind != "cell":
        raise DataError(f"{node.path} is {node.described}; `axes: [{', '.join(axes)}]` describes a cell array")
    is_list = max(node.shape, default=1) == int(np.prod(node.shape))
    elements = node.elements()
    if len(axes) == 1:
        if not is_list:
            raise DataError(f"{node.path} is {node.described}; `axes: [trials]` describes a vector of cells")
        return [[_element(element, node, "spike times") for element in elements.ravel().tolist()]]
    if is_list and all(element.kind == "cell" or _is_empty(element) for element in elements.ravel().tolist()):
        rows = _nested(node, axes)
    elif elements.ndim == 2:
        rows = [[_element(element, node, "spike times") for element in row] for row in elements.tolist()]
    else:
        raise DataError(f"{node.path} is {node.described}; `axes: [{', '.join(axes)}]` names two dimensions")
    return rows if axes[0] == "units" else [list(column) for column in zip(*rows, strict=True)]


def _nested(node: Node, axes: Sequence[str]) -> list[list[np.ndarray]]:
    """The vectors of cells in cells, outer dimension first; an empty outer cell has empty vectors."""
    rows = [
        [] if element.kind != "cell" else [_element(e, node, "spike times") for e in element.elements().ravel()]
        for element in node.elements().ravel().tolist()
    ]
    n = max(map(len, rows), default=0)
    for number, row in enumerate(rows):
        if len(row) not in (0, n):
            first = next(i for i, other in enumerate(rows) if len(other) == n)
            raise DataError(
                f"{node.path}: {axes[0].removesuffix('s')} {number + 1} has {len(row)} {axes[1]} but "
                f"{axes[0].removesuffix('s')} {first + 1} has {n}"
            )
    return [row or [np.empty(0)] * n for row in rows]


def _way_in(node: Node) -> str:
    """What to name instead of a variable that has parts."""
    if node.kind in ("table", "struct", "group") and node.names():
        return f"; name one of them, such as {node.path}/{node.names()[0]}"
    return ""

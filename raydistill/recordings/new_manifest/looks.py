"""What a look into a file of arrays shows: its variables, and some of their values."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Cells, Node, natural
from raydistill.recordings.files.opening import open_file
from raydistill.recordings.new_manifest.heads import head
from raydistill.recordings.new_manifest.names import BIN, RATE, words
from raydistill.recordings.new_manifest.values import Facts, facts

_MOST_LOOKS = 2000
_DEPTH = 8
_MOST_ELEMENTS = 12
"""So many elements of a cell array are looked into."""
_KEPT = 2**20


@dataclass(frozen=True, kw_only=True)
class Look:
    """A variable as it was seen."""

    file: str
    path: str
    kind: str
    """As in nodes.py; a `cell` is also a group of numbered vectors, or a pattern of names."""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    described: str = ""
    values: np.ndarray | None = field(default=None, repr=False)
    """Some numbers from its beginning."""
    seen: Facts | None = None
    text: str = ""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    elements: tuple["Look", ...] = ()
    """Some elements of a cell array that are not empty."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """Of all elements of a cell array."""
    in_struct_array: bool = False
    """A field of a struct array, so that each element belongs to one of its structs."""

    @property
    def size(self) -> int:
        """Number of values or elements."""
        return int(np.prod(self.shape, dtype=float))

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers that were looked at, or could be."""
        return self.kind in ("number", "sparse")

    @property
    def is_vector(self) -> bool:
        """Whether it holds at least two numbers along one dimension."""
        return self.is_number and self.size >= 2 and self.size == max(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether it has two dimensions of at least two values."""
        return self.is_number and len(self.shape) == 2 and min(self.shape) >= 2

    @property
    def is_wide(self) -> bool:
        """Whether it is a matrix of more columns than coordinates have."""
        return self.is_matrix and min(self.shape) > 4

    @property
    def scalar(self) -> float | None:
        """The value of a single number."""
        return (
            float(np.ravel(self.values)[0]) if self.is_number and self.size == 1 and self.values is not None else None
        )

    @property
    def of(self) -> str:
        """What the elements of a cell array are: vectors, matrices, scalars, cells, texts, or mixed."""
        kinds = {_kind_of(element) for element in self.elements}
        if kinds == {"scalars", "vectors"}:  # a unit with one spike
            return "vectors"
        if kinds == {"vectors", "matrices"} or kinds == {"scalars", "matrices"}:
            return "matrices"
        return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "nothing"

    @property
    def unit(self) -> str:
        """The unit that an attribute states; empty if none does."""
        return next((self.attributes[k][0] for k in ("unit", "units") if self.attributes.get(k)), "")


def _kind_of(look: Look) -> str:
    if look.kind == "cell":
        return "cells"
    if look.kind == "text":
        return "texts"
    if not look.is_number:
        return "others"
    if look.size == 1 or look.is_vector:
        return "scalars" if look.size == 1 else "vectors"
    return "matrices" if len(look.shape) == 2 else "others"


def looks_into(root: Node, file: str) -> list[Look]:
    """The variables of a file. Those that cannot be read are of the kind `object`."""
    found: list[Look] = []
    _look_below([root], file, found)
    return found


def _look_below(path: Sequence[Node], file: str, found: list[Look]) -> None:
    """Add what is in the last node of a path from the root. Links of HDF5 can lead back to a node of the path."""
    root, node = path[0], path[-1]
    members = {
        name: member
        for name, member in _members(node)
        if isinstance(member, str) or not any(member.is_same(above) for above in path)
    }
    numbered = _numbered(root, node, members, file)
    found += numbered.looks
    found += _stated_rates(node, file)
    is_struct_array = _is_struct_array(node, members)
    for name, member in members.items():
        if name in numbered.names or len(found) >= _MOST_LOOKS:
            continue
        if isinstance(member, str):
            found.append(Look(file=file, path=_below(node, name), kind="object", described=member))
        elif member.kind in ("group", "struct", "table") and len(path) <= _DEPTH:
            _look_below([*path, member], file, found)
        else:
            found.append(look_at(root, member, file, is_struct_array))


def _stated_rates(node: Node, file: str) -> Iterator[Look]:
    """Attributes of a file or group that state a rate or a width of bins, as if they were single numbers in it."""
    for name, texts in (node.attributes() or {}).items():
        if len(texts) == 1 and set(words(name)) & (RATE | BIN):
            with contextlib.suppress(ValueError):
                value = np.array(float(texts[0]))
                yield Look(file=file, path=_below(node, name), kind="number", described="an attribute", values=value)


def _below(node: Node, name: str) -> str:
    return f"{node.path}/{name}" if node.path else name


def _members(node: Node) -> Iterator[tuple[str, Node | str]]:
    """Name and node of each member, or why it cannot be read."""
    try:
        names = node.names()
    except DataError:
        return
    for name in names[:_MOST_LOOKS]:
        try:
            yield name, node.member(name)
        except DataError as err:
            yield name, str(err)


def _is_struct_array(node: Node, members: dict[str, Node | str]) -> bool:
    """Whether all fields are lists of the same length, of several structs."""
    if node.kind != "struct":
        return False
    shapes = {m.shape if isinstance(m, Node) and m.kind == "cell" else () for m in members.values()}
    return len(shapes) == 1 and int(np.prod(shapes.pop())) > 1


def look_at(root: Node, node: Node, file: str, in_struct_array: bool = False) -> Look:
    """A variable that is no group, struct or table, as it is seen."""
    look = Look(file=file, path=node.path, kind="object", in_struct_array=in_struct_array)
    try:
        shown = replace(look, kind=node.kind, shape=node.shape, dtype=node.dtype, described=node.described)
        if node.kind in ("number", "sparse"):
            return _with_numbers(root, node, replace(shown, attributes=node.attributes() or {}))
        if node.kind == "text":
            return replace(shown, text=" ".join(node.texts())[:200])
        return _with_elements(root, node, shown) if node.kind == "cell" else shown
    except DataError as err:
        return replace(look, described=str(err))


def _with_numbers(root: Node, node: Node, look: Look) -> Look:
    read = head(root, node) if 0 not in node.shape else None
    if read is None:
        return look
    values, is_all = read
    seen = facts(values, is_all)
    if values.size > _KEPT:
        values = np.ravel(values)[:_KEPT].copy() if values.size == max(values.shape) else values[: _KEPT // 8]
    return replace(look, values=values, seen=seen)


def _is_single(node: Node) -> bool:
    return node.kind == "number" and int(np.prod(node.shape)) == 1


def _with_elements(root: Node, node: Node, look: Look) -> Look:
    nodes = node.elements().ravel(order="F").tolist()
    filled = [n for n in nodes if n.kind not in ("number", "cell", "sparse") or 0 not in n.shape]
    step = max(1, len(filled) // _MOST_ELEMENTS)
    if filled and len(filled) == len(nodes) <= _KEPT and all(_is_single(n) for n in nodes):
        numbers = np.array([float(np.ravel(n.read())[0]) for n in nodes])
        many = f"one number per element of {node.described}"
        return replace(
            look,
            kind="number",
            shape=numbers.shape,
            dtype="float64",
            described=many,
            values=numbers,
            seen=facts(numbers, True),
        )
    some = [look_at(root, element, look.file) for element in filled[::step][:_MOST_ELEMENTS]]
    return replace(look, elements=tuple(some), shapes=tuple(n.shape for n in nodes))


# Numbered variables


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """Variables whose names differ in a number only, as one list."""

    looks: list[Look]
    names: set[str]


def _numbered(root: Node, node: Node, members: dict[str, Node | str], file: str) -> _Numbered:
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in members:
        by_stem[_stem(name)].append(name)
    looks: list[Look] = []
    names: set[str] = set()
    for stem, group in by_stem.items():
        nodes = [m for m in (members[name] for name in sorted(group, key=natural)) if isinstance(m, Node)]
        if "#" not in stem or len(nodes) < len(group) or (len(nodes) < 2 and stem != "#"):
            continue
        if all(_is_vector(n) for n in nodes):
            path = _list_path(node, stem, group, list(members))
            made = [] if path is None else [_list_look(root, nodes, path, file)]
        else:
            made = _lists_below(root, node, nodes, stem, group, list(members), file)
        if made:
            looks += made
            names |= set(group)
    return _Numbered(looks=looks, names=names)


def _stem(name: str) -> str:
    """A name with `#` for its last number."""
    head_, digits, tail = _split(name)
    return f"{head_}#{tail}" if digits else name


def _split(name: str) -> tuple[str, str, str]:
    end = len(name)
    while end and not name[end - 1].isdigit():
        end -= 1
    start = end
    while start and name[start - 1].isdigit():
        start -= 1
    return name[:start], name[start:end], name[end:]


def _is_vector(node: Node) -> bool:
    return node.kind == "number" and sum(size != 1 for size in node.shape) <= 1 and node.shape != ()


def _list_path(node: Node, stem: str, group: Sequence[str], names: Sequence[str]) -> str | None:
    """The path that stands for all numbered members, and for no other; None: there is no such path."""
    if len(group) == len(names) and node.path and node.kind == "group":
        return node.path
    start, end = stem.split("#")
    others = [n for n in names if n not in group and n.startswith(start) and n.endswith(end)]
    return None if others else _below(node, f"{start}*{end}")


def _list_look(root: Node, nodes: list[Node], path: str, file: str) -> Look:
    return look_at(root, Cells(path, nodes, (len(nodes),), is_pattern=True), file)


def _lists_below(
    root: Node, node: Node, nodes: list[Node], stem: str, group: Sequence[str], names: Sequence[str], file: str
) -> list[Look]:
    """One list for each variable that all of several numbered groups hold."""
    if not all(n.kind in ("group", "struct") for n in nodes):
        return []
    start, end = stem.split("#")
    if any(n not in group and n.startswith(start) and n.endswith(end) for n in names):
        return []
    inside = [dict(_members(n)) for n in nodes]
    looks = []
    for name in inside[0]:
        found = [members.get(name) for members in inside]
        parts = [part for part in found if isinstance(part, Node)]
        if len(parts) == len(nodes) and all(part.kind not in ("group", "struct", "table") for part in parts):
            looks.append(_list_look(root, parts, _below(node, f"{start}*{end}/{name}"), file))
    return looks


def looks_of_file(path: Path, name: str) -> list[Look]:
    """The variables of an HDF5, MATLAB, NPZ or .npy file.

    Raises:
        DataError: the file cannot be opened.
    """
    with open_file(path) as root:
        return looks_into(root, name)

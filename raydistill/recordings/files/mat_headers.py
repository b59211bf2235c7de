"""What the variables of a MATLAB 5 to 7.2 file are, from their headers, without their values.

`scipy.io.whosmat` fails on files that also hold a string, a datetime or another object, and takes a sparse logical
matrix for a full one.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_START = 128
"""Bytes before the first variable: a text, the version and the order of bytes."""
_HEAD = 4096
"""No header of a variable is longer, as names have at most 63 characters."""
_MATRIX, _COMPRESSED = 14, 15
_CLASSES = dict(
    enumerate(["cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16"], 1)
) | {12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "opaque"}
_OPAQUE = 17
_IS_LOGICAL, _IS_COMPLEX = 0x02, 0x08


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of a variable before its values are read."""

    kind: str
    """Its class, such as double, cell or sparse; `logical` for full matrices only; `opaque` for other objects."""
    shape: tuple[int, ...] = ()
    is_complex: bool = False
    matlab_class: str = ""
    """Of an `opaque` one, such as datetime."""


def is_version_4(path: Path) -> bool:
    """Whether a MATLAB file is of version 4, whose variables have other headers."""
    with open(path, "rb") as file:
        return 0 in file.read(4)


def headers(path: Path) -> dict[str, Header]:
    """Name -> header of each variable, in the order of the file.

    Raises:
        ValueError: the file is damaged or not a MATLAB file of version 5 to 7.2.
        struct.error, zlib.error: the file is damaged.
    """
    with open(path, "rb") as file:
        start = file.read(_START)
        if start[126:] not in (b"IM", b"MI"):
            raise ValueError("it does not begin as MATLAB files do")
        order = "<" if start[126:] == b"IM" else ">"
        return dict(_header(order, head) for head in _heads(file, order))


def _heads(file: BinaryIO, order: str) -> Iterator[bytes]:
    """The first bytes of each variable, after its tag."""
    while len(tag := file.read(8)) == 8:
        kind, n_bytes = struct.unpack(order + "II", tag)
        after = file.tell() + n_bytes
        head = file.read(min(n_bytes, _HEAD))
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(head, 8 + _HEAD)
            kind, head = struct.unpack_from(order + "I", unpacked)[0], unpacked[8:]
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} is where a variable should begin")
        yield head
        file.seek(after)


def _header(order: str, head: bytes) -> tuple[str, Header]:
    """Name and header of a variable."""
    elements = _elements(order, head)
    flags = struct.unpack_from(order + "I", next(elements))[0]
    if flags & 0xFF == _OPAQUE:
        name, _, matlab_class = (next(elements).decode("latin1") for _ in range(3))
        return name, Header(kind="opaque", matlab_class=matlab_class)
    sizes, name = next(elements), next(elements).decode("latin1")
    kind = _CLASSES.get(flags & 0xFF, "unknown")
    if flags >> 8 & _IS_LOGICAL and kind != "sparse":
        kind = "logical"
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if any(size < 0 for size in shape):
        raise ValueError(f"{name} has the shape {shape}")
    return name or "__function_workspace__", Header(kind=kind, shape=shape, is_complex=bool(flags >> 8 & _IS_COMPLEX))


def _elements(order: str, head: bytes) -> Iterator[bytes]:
    """The parts of a header; up to four bytes are in the tag itself."""
    at = 0
    while True:
        (kind,) = struct.unpack_from(order + "I", head, at)
        if n_bytes := kind >> 16:
            start, n_padded = at + 4, 4
        else:
            (n_bytes,) = struct.unpack_from(order + "I", head, at + 4)
            start, n_padded = at + 8, n_bytes + -n_bytes % 8
        if start + n_bytes > len(head):
            raise ValueError("the header of a variable is cut off")
        yield head[start : start + n_bytes]
        at = start + n_padded

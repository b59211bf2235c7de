"""What the variables of a MATLAB 5 to 7.2 file are, from their headers, without their values.

`scipy.io.whosmat` fails on files that also hold a string, a datetime or another object, and takes a sparse logical
matrix for a full one.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from mmap import mmap
from pathlib import Path
from typing import BinaryIO

_START = 128
"""Bytes before the first variable: a text, the version and the order of bytes."""
_HEAD = 4096
"""No header of a variable is longer, as names have at most 63 characters."""
_MATRIX, COMPRESSED = 14, 15
_CLASSES = dict(
    enumerate(["cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16"], 1)
) | {12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "opaque"}
NUMBERS = range(6, 16)
"""The classes of full matrices of numbers."""
OPAQUE = 17
STORED = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18}
"""The types in which numbers and characters are stored; the others up to 18 are reserved, or hold other elements."""
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
    stored: int | None = None
    """Of numbers, the type in which they are stored, which may be smaller than that of their class."""
    at: int = 0
    """The byte of the file at which it begins."""


def is_version_4(path: Path) -> bool:
    """Whether a MATLAB file is of version 4, whose variables have other headers."""
    with open(path, "rb") as file:
        return 0 in file.read(4)


def headers(path: Path) -> dict[str, Header]:
    """Name -> header of each variable, in the order of the file; of two of one name the first, which scipy loads.

    Raises:
        ValueError: the file is damaged or not a MATLAB file of version 5 to 7.2.
        zlib.error: the file is damaged.
    """
    found: dict[str, Header] = {}
    with open(path, "rb") as file:
        order = order_of(file.read(_START))
        try:
            for at, head in _heads(file, order):
                name, header = _header(order, head)
                found.setdefault(name, replace(header, at=at))
        except struct.error as err:
            raise ValueError("the header of a variable is cut off") from err
    return found


def order_of(start: bytes) -> str:
    """The order of the bytes, for `struct`, from the first 128 bytes of a file.

    Raises:
        ValueError: it is not a MATLAB file of version 5 to 7.2.
    """
    if start[126:] not in (b"IM", b"MI"):
        raise ValueError("it does not begin as MATLAB files do")
    return "<" if start[126:] == b"IM" else ">"


def _heads(file: BinaryIO, order: str) -> Iterator[tuple[int, bytes]]:
    """The place of each variable, and its first bytes after its tag."""
    while len(tag := file.read(8)) == 8:
        kind, n_bytes = struct.unpack(order + "II", tag)
        start = file.tell()
        head = file.read(min(n_bytes, _HEAD))
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj().decompress(head, 8 + _HEAD)
            kind, head = struct.unpack_from(order + "I", unpacked)[0], unpacked[8:]
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} is where a variable should begin")
        yield start - 8, head
        file.seek(start + n_bytes)


def _header(order: str, head: bytes) -> tuple[str, Header]:
    """Name and header of a variable."""
    first, at = _part(order, head, 0)
    flags = struct.unpack_from(order + "I", first)[0]
    if flags & 0xFF == OPAQUE:
        encoded, at = _part(order, head, at)
        _, at = _part(order, head, at)
        matlab_class, _ = _part(order, head, at)
        return encoded.decode("latin1"), Header(kind="opaque", matlab_class=matlab_class.decode("latin1"))
    sizes, at = _part(order, head, at)
    encoded, at = _part(order, head, at)
    name = encoded.decode("latin1") or "__function_workspace__"
    kind = _CLASSES.get(flags & 0xFF, "unknown")
    if flags >> 8 & _IS_LOGICAL and kind != "sparse":
        kind = "logical"
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    if any(size < 0 for size in shape):
        raise ValueError(f"{name} has the shape {shape}")
    stored = tag_at(order, head, at)[0] if flags & 0xFF in NUMBERS else None
    return name, Header(kind=kind, shape=shape, is_complex=bool(flags >> 8 & _IS_COMPLEX), stored=stored)


def _part(order: str, head: bytes, at: int) -> tuple[bytes, int]:
    """A part of a header, and the place of the next one."""
    _, n_bytes, start, after = tag_at(order, head, at)
    if start + n_bytes > len(head):
        raise ValueError("the header of a variable is cut off")
    return head[start : start + n_bytes], after


def tag_at(order: str, data: "bytes | mmap", at: int) -> tuple[int, int, int, int]:
    """Type, number of bytes and place of the values of an element, and the place of the next element.

    Up to four bytes are in the tag itself.
    """
    kind, n_bytes = struct.unpack_from(order + "II", data, at)
    if small := kind >> 16:
        if small > 4:
            raise ValueError(f"an element of {small} bytes is where at most 4 have room")
        return kind & 0xFFFF, small, at + 4, at + 8
    return kind, n_bytes, at + 8, at + 8 + n_bytes + -n_bytes % 8

"""Whether a variable of a MATLAB 5 to 7.2 file is whole, before scipy loads it.

scipy's reader is C code that trusts the file: a type of numbers that does not exist crashes the process, and an element
that is said to be huge takes all memory. Here the same elements are passed in the same order, without their values.
"""

import mmap
import struct
import zlib
from math import prod
from pathlib import Path

from raydistill.recordings.files.mat_headers import COMPRESSED, NUMBERS, OPAQUE, STORED, order_of, tag_at

_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = range(1, 6)
_FUNCTION = 16
_IS_COMPLEX = 0x0800
_DEEPEST = 100
"""No deeper elements are passed: those of MATLAB's own data are at most a few levels deep."""
_FEW = 1 << 16
"""As many elements that take no room in the file, such as structs without fields, are taken as they are."""


def check_whole(path: Path, at: int) -> None:
    """Raise ValueError or zlib.error unless scipy can load the variable that begins at byte `at`."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        order = order_of(data[:128])
        try:
            kind, n_bytes = struct.unpack_from(order + "II", data, at)
            if kind == COMPRESSED:
                inflated = _inflated(order, data[at + 8 : at + 8 + n_bytes])
                _Walk(order, inflated).matrix(0)
            else:
                _Walk(order, data).matrix(at)
        except struct.error as err:
            raise ValueError("it is cut off") from err


def _inflated(order: str, packed: bytes) -> bytes:
    """The variable in compressed bytes, no longer than it says itself."""
    inflater = zlib.decompressobj()
    head = inflater.decompress(packed, 8)
    return head + inflater.decompress(inflater.unconsumed_tail, max(1, struct.unpack(order + "II", head)[1]))


class _Walk:
    """Passes elements of `data` from a place to the one after it."""

    def __init__(self, order: str, data: "bytes | mmap.mmap"):
        self.order, self.data = order, data

    def matrix(self, at: int, depth: int = 0) -> int:
        """The place after a matrix, whose parts are passed one by one: scipy does not use its length."""
        kind, n_bytes = struct.unpack_from(self.order + "II", self.data, at)
        if kind != 14:
            raise ValueError(f"an element of type {kind} is where a matrix should be")
        if not n_bytes:
            return at + 8
        if depth > _DEEPEST:
            raise ValueError(f"it is more than {_DEEPEST} levels deep")
        (flags,) = struct.unpack_from(self.order + "I", self.data, at + 16)
        at, kind = at + 24, flags & 0xFF
        if kind == OPAQUE:
            for _ in range(3):  # name, system of types, class
                at = self._element(at, {1, 16})
            return self.matrix(at, depth + 1)
        sizes, at = self._sizes(at)
        at = self._element(at, {1, 16})  # its name
        if kind in NUMBERS:
            return self._numbers(at, 2 if flags & _IS_COMPLEX else 1)
        if kind == _SPARSE:
            return self._numbers(at, 4 if flags & _IS_COMPLEX else 3)
        if kind == _CHAR:
            return self._text(at, prod(sizes))
        if kind == _FUNCTION:
            return self.matrix(at, depth + 1)
        if kind == _OBJECT:
            at = self._element(at, {1, 16})  # its class
        if kind not in (_CELL, _STRUCT, _OBJECT):
            raise ValueError(f"there is no class {kind}")
        n_fields, at = (1, at) if kind == _CELL else self._field_count(at)
        if not n_fields and prod(sizes) > _FEW:
            raise ValueError(f"it holds {prod(sizes)} structs without fields")
        for _ in range(prod(sizes) * n_fields):
            at = self.matrix(at, depth + 1)
        return at

    def _sizes(self, at: int) -> tuple[tuple[int, ...], int]:
        kind, n_bytes, start, after = tag_at(self.order, self.data, at)
        if kind not in (5, 6):
            raise ValueError(f"a shape has values of type {kind}")
        sizes = struct.unpack_from(f"{self.order}{n_bytes // 4}i", self.data, start)
        if len(sizes) < 2 or any(size < 0 for size in sizes):
            raise ValueError(f"a matrix has the shape {sizes}")
        return sizes, after

    def _field_count(self, at: int) -> tuple[int, int]:
        """The number of fields of a struct."""
        _, _, start, at = tag_at(self.order, self.data, at)
        (length,) = struct.unpack_from(self.order + "i", self.data, start)  # of a name, with the zeros after it
        if length <= 0:
            raise ValueError(f"names of fields have a length of {length}")
        after = self._element(at, {1, 16})
        return tag_at(self.order, self.data, at)[1] // length, after

    def _text(self, at: int, n: int) -> int:
        n_bytes = tag_at(self.order, self.data, at)[1]
        if n > max(n_bytes, _FEW if not n_bytes else 0):
            raise ValueError(f"a text of {n} characters has {n_bytes} bytes")
        return self._element(at, STORED)

    def _numbers(self, at: int, n: int) -> int:
        for _ in range(n):
            at = self._element(at, STORED)
        return at

    def _element(self, at: int, types: set[int]) -> int:
        kind, n_bytes, start, after = tag_at(self.order, self.data, at)
        if kind not in types:
            raise ValueError(f"there are values of type {kind}")
        if start + n_bytes > len(self.data):
            raise ValueError("it is cut off")
        return after

"""NWB files in the Zarr format, which are folders, through the optional package hdmf-zarr."""

import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from raydistill.errors import DataError, of_library

ENDING = ".zarr"
_BLOSC_HEADER = 16  # bytes
_DESCRIBED = ("shape", "chunks", "order")  # of an array
_ALLOWED = {  # what arrays of texts and of references to other objects need
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("hdmf_zarr.utils", "ZarrReference"),
}


def is_zarr(path: Path) -> bool:
    """Whether `path` is a folder in the Zarr format, by its name."""
    return path.suffix.lower() == ENDING and path.is_dir()


def holds_nwb(path: Path) -> bool:
    """Whether `path` is a folder in the Zarr format whose attributes say that it is an NWB file."""
    try:
        return is_zarr(path) and b'"NWBFile"' in (path / ".zattrs").read_bytes()
    except OSError:
        return False


@contextmanager
def zarr_reader(path: Path) -> Iterator[Callable[[], Any]]:
    """Yield a function that opens an NWB file with hdmf-zarr. Its values must be read inside the context.

    hdmf-zarr writes references as pickles, which numcodecs refuses to read, because a pickle can run any program.
    Inside the context they are read by a codec that refuses everything but references. Blosc and
    the codecs of texts and of arrays of different lengths trust the lengths that a chunk states: of one that was cut
    off they return what comes after it in memory. Here these lengths are checked first.

    Raises:
        DataError: hdmf-zarr is not installed, or the description of an array is damaged.
    """
    try:
        from hdmf_zarr.nwb import NWBZarrIO
        from numcodecs.registry import codec_registry, register_codec
    except ImportError:
        raise DataError(
            f"{path.name}: NWB files in the Zarr format need further packages: pip install 'raydistill[zarr]'"
        ) from None
    _check_descriptions(path)
    before = dict(codec_registry)
    for codec in (_references_only(), *_with_checked_lengths()):
        register_codec(codec)
    try:
        yield partial(_with_links_inside(NWBZarrIO), str(path), mode="r")
    finally:
        codec_registry.clear()
        codec_registry.update(before)


def _check_descriptions(path: Path) -> None:
    """Raise DataError if an array is said to have a shape that none can have. zarr would notice when it is read."""
    try:
        if (path / ".zmetadata").exists():  # what is then read in place of the description of each array
            described = json.loads((path / ".zmetadata").read_bytes())["metadata"]
        else:
            described = {str(file.relative_to(path)): json.loads(file.read_bytes()) for file in path.rglob(".zarray")}
        arrays = {name: values for name, values in described.items() if name.endswith(".zarray")}
    except Exception:
        return  # what reads it next says what is wrong
    for name, values in arrays.items():
        shape, chunks, order = (values.get(key) if isinstance(values, dict) else None for key in _DESCRIBED)
        if not (_are_sizes(shape, 0) and _are_sizes(chunks, 1) and len(shape) == len(chunks) and order in ("C", "F")):
            raise DataError(
                f"{path.name}: the description of an array in it is damaged: {name} says {shape=}, {chunks=}, {order=}"
            )


def _are_sizes(values: Any, smallest: int) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= smallest for value in values)


def missing_chunks(path: Path) -> list[str]:
    """One line for each array of which files are missing, as after a copy that was interrupted: they read as 0.

    Raises:
        DataError: a file that describes an array or a group is damaged.
    """
    import zarr

    lines: list[str] = []

    def check(name: str, node) -> None:
        if isinstance(node, zarr.Array) and (missing := node.nchunks - node.nchunks_initialized) > 0:
            lines.append(
                f"{missing} of the {node.nchunks} chunks of {name} are missing and read as 0; is the copy complete?"
            )

    try:
        zarr.open_group(str(path), mode="r").visititems(check)
    except Exception as err:
        raise DataError(f"the description of an array or group in it is damaged ({of_library(err)})") from err
    return lines


def _with_links_inside(reader: type) -> type:
    """The class of a reader that follows links only within the folder that its file is in, and below."""

    class LinksInside(reader):  # type: ignore[misc, valid-type]
        def resolve_ref(self, zarr_ref):
            """As in hdmf-zarr, which lets a link lead to any folder of this machine."""
            source = zarr_ref.get("source")
            target = os.path.normpath(os.path.join(self.source, str(zarr_ref["path"] if source is None else source)))
            if not Path(target).is_relative_to(os.path.dirname(os.path.abspath(self.source))):
                raise DataError(f"it links to {target}, outside of its folder; move that there")
            return super().resolve_ref(zarr_ref)

    return LinksInside


def _references_only():
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_bytes

    class ReferencesOnly(Codec):
        """Decodes pickles that hold nothing but texts, numbers and references."""

        codec_id = "pickle"

        def __init__(self, protocol: int = 5):
            self.protocol = protocol

        def encode(self, buf):
            raise NotImplementedError

        def decode(self, buf, out=None):
            values = _Unpickler(io.BytesIO(ensure_bytes(buf))).load()
            if out is None:
                return values
            out[...] = values
            return out

    return ReferencesOnly


def _with_checked_lengths() -> list[type]:
    """Codecs that refuse a chunk that is shorter than it says."""
    from numcodecs import Blosc
    from numcodecs.compat import ensure_bytes
    from numcodecs.vlen import VLenArray, VLenBytes, VLenUTF8

    def checked(codec: type, is_whole: Callable[[bytes], bool]) -> type:
        class Checked(codec):  # type: ignore[misc, valid-type]
            def decode(self, buf, out=None):
                data = ensure_bytes(buf)
                if not is_whole(data):
                    raise DataError(f"a chunk of {len(data)} bytes is not as long as it says; copy the file again")
                return super().decode(data, out)

        return Checked

    return [
        checked(Blosc, _is_whole_blosc),
        *(checked(codec, _has_items) for codec in (VLenArray, VLenBytes, VLenUTF8)),
    ]


def _is_whole_blosc(chunk: bytes) -> bool:
    """Whether a chunk is as long as the header of Blosc says."""
    return len(chunk) >= _BLOSC_HEADER and int.from_bytes(chunk[12:16], "little") == len(chunk)


def _has_items(chunk: bytes) -> bool:
    """Whether a chunk holds the number of items that it begins with, each after its length in bytes."""
    at = 4
    for _ in range(int.from_bytes(chunk[:4], "little")):
        if at + 4 > len(chunk):
            return False
        at += 4 + int.from_bytes(chunk[at : at + 4], "little")
    return at <= len(chunk)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise DataError(f"a pickled object asks for {module}.{name}, which is never loaded")
        return super().find_class(module, name)

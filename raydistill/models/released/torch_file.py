"""Files of torch.save, read without running anything in them: tensors, containers, settings of OmegaConf.

`torch.load(weights_only=False)` runs the file's pickle. `weights_only=True` runs a part of it, but requires that every
class of the file is registered for the whole process, and limits neither time nor memory. Therefore the archive is read
here: its pickle as data (inert_pickle.py), and its storages as bytes whose number must be right.
"""

import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import torch
from torch import Tensor

from raydistill.errors import CheckpointError, one_line
from raydistill.models.released.inert_pickle import Name, Refused, unpickle
from raydistill.models.released.plain_values import FUNCTIONS, plain_value

MAX_PICKLE = 16 * 2**20
"""Bytes of structure, without the values of tensors: a hundred times what a model of hundreds of sessions needs."""

_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.BoolStorage": torch.bool,
}
_RECORDS = {
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Path")),
}
_FUNCTIONS = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    "collections.defaultdict",
} | FUNCTIONS
# Settings refer to the types of their values.
_TYPES = {f"typing.{name}" for name in ("Any", "Dict", "List", "Optional", "Union")}
_TYPES |= {f"builtins.{name}" for name in ("dict", "list", "tuple", "str", "int", "float", "bool")}


@dataclass(frozen=True, eq=False)
class Storage:
    """The values of which tensors are views. Shape: (n,)."""

    values: Tensor


def read_torch_file(path: Path) -> Any:
    """The value that torch.save (1.6 or later) wrote, with a Record for each object of OmegaConf.

    Raises:
        CheckpointError: the file is missing or damaged, or contains more than tensors and settings.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below; an error while it is read is another one)
    except OSError as err:
        raise CheckpointError(f"{path}: cannot be read ({err.strerror}); give a file of torch.save") from None
    with file:
        return _read(file, path)


def _read(file: BinaryIO, path: Path) -> Any:
    try:
        with ZipFile(file) as archive:
            members = _Members(archive, path.stat().st_size)
            return unpickle(
                members.pickle(),
                records=_RECORDS,
                names=_FUNCTIONS | _TYPES | _DTYPES.keys(),
                call=_call,
                persistent=members.storage,
            )
    except Refused as err:
        raise CheckpointError(f"{path}: {err}; it is not loaded") from None
    except BadZipFile as err:
        raise CheckpointError(
            f"{path}: not a complete file of torch.save ({one_line(err)}); download it again, "
            "or save it again with torch 1.6 or later if an older version wrote it"
        ) from None
    except (ValueError, IndexError, KeyError, EOFError, NotImplementedError, RuntimeError, OSError) as err:
        raise CheckpointError(f"{path}: its content is damaged ({one_line(err)}); download it again") from None


class _Members:
    """The pickle and the storages in an open archive. Their total size is at most that of the file."""

    def __init__(self, archive: ZipFile, size: int):
        self.archive, self.left = archive, size
        self.storages: dict[str, Storage] = {}
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise BadZipFile(f"{len(pickles)} entries named data.pkl")
        self.folder = pickles[0].removesuffix("data.pkl")

    def pickle(self) -> bytes:
        if f"{self.folder}byteorder" in self.archive.namelist():
            order = self._read(self._member("byteorder")).decode()
            if order != sys.byteorder:
                raise Refused(f'has numbers in the byte order "{order}", but this machine uses "{sys.byteorder}"')
        member = self._member("data.pkl")
        if member.file_size > MAX_PICKLE:
            raise Refused(f"has a pickle of {member.file_size} bytes, but at most {MAX_PICKLE} are allowed")
        return self._read(member)

    def storage(self, reference: Any) -> Storage:
        """The storage of a persistent id: ("storage", type, key, device, n)."""
        match reference:
            case ("storage", Name(kind), str(key), str(), int(n)) if kind in _DTYPES:
                dtype = _DTYPES[kind]
            case _:
                raise Refused("refers to something outside its pickle that is not a storage of a tensor")
        if key not in self.storages:
            member = self._member(f"data/{key}")
            if member.file_size != n * dtype.itemsize:
                raise Refused(
                    f"has {member.file_size} bytes of storage {key}, but its {n} numbers need {n * dtype.itemsize}"
                )
            values = torch.frombuffer(bytearray(self._read(member)), dtype=dtype) if n else torch.empty(0, dtype=dtype)
            self.storages[key] = Storage(values)
        storage = self.storages[key]
        if storage.values.dtype != dtype or len(storage.values) != n:
            raise Refused(f"describes storage {key} in two ways")
        return storage

    def _member(self, name: str) -> ZipInfo:
        member = self.archive.getinfo(self.folder + name)
        if member.compress_type != ZIP_STORED or member.file_size != member.compress_size:
            raise Refused(f"has the compressed entry {name}, but torch.save never compresses")
        return member

    def _read(self, member: ZipInfo) -> bytes:
        self.left -= member.file_size
        if self.left < 0:
            raise Refused("has entries that overlap")
        return self.archive.read(member)


def _call(name: str, arguments: tuple[Any, ...]) -> object:
    match name, arguments:
        case "torch._utils._rebuild_tensor_v2", (Storage(values), offset, tuple(size), tuple(stride), *_):
            return _tensor(values, offset, size, stride)
        case "torch._utils._rebuild_parameter", (Tensor() as tensor, *_):
            return tensor
        case "collections.OrderedDict" | "collections.defaultdict", () | (Name(),):
            return {}
    if name in FUNCTIONS:
        return plain_value(name, arguments)
    raise Refused(f"calls {name} in a way that torch.save never does")


def _tensor(values: Tensor, offset: Any, size: tuple[Any, ...], stride: tuple[Any, ...]) -> Tensor:
    """The view of a storage that the file describes; refused unless it is within the storage and not larger."""
    n = len(values)
    numbers = all(isinstance(x, int) and 0 <= x <= n for x in (offset, *size, *stride))
    if not numbers or len(size) != len(stride) or len(size) > 8:
        raise Refused(f"describes a tensor that is not a part of its storage of {n} numbers")
    last = offset + sum((width - 1) * step for width, step in zip(size, stride, strict=True))
    if prod(size) > n or last >= n > 0:
        raise Refused(f"describes a tensor of size {size}, stride {stride} in a storage of {n} numbers")
    return values.as_strided(size, stride, offset)

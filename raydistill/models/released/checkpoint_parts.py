"""The two parts of a released checkpoint: settings, looked up by path, and weights, by name.

What is missing or cannot be meant is a CheckpointError that begins with a verb; the caller puts the file before it.
"""

import re

from torch import Tensor

from raydistill.errors import CheckpointError
from raydistill.models.released.inert_pickle import Record

_LINK = re.compile(r"\$\{([\w.]+)\}")
_NAME = re.compile(r"[\w.-]{1,200}")
_UNSTATED = object()


class Settings:
    """A tree of OmegaConf's objects, kept as records, or of plain dictionaries.

    A setting lies in its section, or one level below in `config`, where Hydra may keep a class's arguments.
    """

    def __init__(self, root):
        self.root = root
        self.assumed: dict[str, object] = {}
        """Path -> the default that stands for what the file does not state."""

    def get(self, section: str, name: str, default):
        for path in ((section, name), (section, "config", name)):
            value = self._follow(path)
            if value is not _UNSTATED:
                return value
        self.assumed[f"{section}.{name}"] = default
        return default

    def number(self, section: str, name: str, default: int | float, low: float, high: float):
        """A number of the type of `default`, or a whole one, within [low, high]."""
        value = self.get(section, name, default)
        if isinstance(value, bool) or not isinstance(value, type(default) | int) or not low <= value <= high:
            kind = "whole number" if isinstance(default, int) else "number"
            raise CheckpointError(f"says {section}.{name} = {_shown(value)}; a {kind} from {low} to {high} is expected")
        return value

    def expect(self, section: str, name: str, ours, default):
        """Refuses a checkpoint whose value is not ours."""
        value = self.get(section, name, default)
        if _lower(value) != _lower(ours):
            raise CheckpointError(
                f"says {section}.{name} = {_shown(value)}; models here compute with {ours!r} alone, "
                "so its results could not be reproduced"
            )

    def _follow(self, path):
        for _ in range(8):
            value = self._at(path)
            link = _LINK.fullmatch(value) if isinstance(value, str) else None
            if not link:
                return value
            path = link[1].split(".")
        raise CheckpointError(f"has a setting {'.'.join(path)[:80]} that refers to itself")

    def _at(self, path):
        node = _plain(self.root)
        for name in path:
            if not isinstance(node, dict) or name not in node:
                return _UNSTATED
            node = _plain(node[name])
        if not isinstance(node, str | int | float | list | None):
            raise CheckpointError(f"has a setting {'.'.join(path)[:80]} that is a {type(node).__name__}")
        return _UNSTATED if node == "???" else node


class Weights:
    """The tensors of a checkpoint by their published names, and which of them are not taken yet."""

    def __init__(self, tensors):
        pairs = tensors.items() if isinstance(tensors, dict) else [(None, None)]
        for name, tensor in pairs:
            if not isinstance(tensor, Tensor) or not isinstance(name, str) or not _NAME.fullmatch(name):
                raise CheckpointError('holds no "state_dict" of named tensors; a released checkpoint has one')
        self.tensors = tensors
        self.left = set(tensors)

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        if name not in self.tensors:
            raise CheckpointError(f"has no {name}; a released checkpoint of this kind has one")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != axes or 0 in shape:
            raise CheckpointError(f"has {name} of shape {shape}, where {axes} axes are expected")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if self.shape(name, len(shape)) != shape:
            raise CheckpointError(f"has {name} of shape {tuple(self.tensors[name].shape)}, where {shape} is expected")
        tensor = self.tensors[name]
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"has {name} with values that are no finite numbers")
        self.left.discard(name)
        return tensor


def _plain(node):
    """What a node of OmegaConf holds; anything else as it is."""
    return node.state.get("_content", node.state.get("_val")) if isinstance(node, Record) else node


def _lower(value):
    return value.lower() if isinstance(value, str) else value


def _shown(value) -> str:
    return "a list" if isinstance(value, list) else ascii(value)[:80]

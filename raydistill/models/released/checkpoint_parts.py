"""The two parts of a released checkpoint: settings, which are read by path, and weights, which are read by name.

A missing or invalid part raises a CheckpointError whose message begins with a verb; the caller adds the file's name.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from torch import Tensor

from raydistill.errors import CheckpointError
from raydistill.models.released.inert_pickle import Record

N = TypeVar("N", int, float)
_LINK = re.compile(r"\$\{([\w.]+)\}")
_NAME = re.compile(r"[\w.-]{1,200}")
_NAMED = 12
"""Names in a note on what was not read."""
ABSENT = object()
"""Stands for a setting that a file does not contain."""


def first_of(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


class Settings:
    """A tree of OmegaConf's objects, given as records, or of plain dictionaries.

    A setting is in its section, or one level below in `config`, where Hydra can store the arguments of a class.
    """

    def __init__(self, root: Any):
        self.root = root
        self.assumed: dict[str, object] = {}
        """Path -> default of each setting that the file does not contain."""
        self._asked: set[tuple[str, str]] = set()

    def unread(self, section: str) -> list[str]:
        """The settings of a section that nobody asked for, such as backbone.num_layers."""
        names: dict[str, None] = {}
        node = _plain(self.root)
        node = _plain(node.get(section)) if isinstance(node, dict) else None
        inner = _plain(node.get("config")) if isinstance(node, dict) else None
        for part in (node, inner):
            names |= dict.fromkeys(str(name) for name in part) if isinstance(part, dict) else {}
        hidden = "config" if isinstance(inner, dict) else None
        return [
            f"{section}.{name}"
            for name in names
            if name != hidden
            and not name.startswith("_")
            and (section, name) not in self._asked
            and _NAME.fullmatch(name)
        ]

    def unread_in_words(self, *sections: str) -> list[str]:
        """A note with the settings of these sections (by default of all) that determine nothing here: weights tell
        sizes, and other settings are unknown. No note if there are none."""
        root = _plain(self.root)
        tops = root if isinstance(root, dict) else {}
        names: list[str] = []
        for section in sections or tops:
            single = not isinstance(_plain(tops.get(section)), dict) and not sections
            names += [str(section)] if single else self.unread(section)
        why = "sizes follow from the weights, and raydistill has no other setting of these names"
        return [f"settings of the file that were not read ({why}): {first_of(names)}"] if names else []

    def assumed_in_words(self) -> str:
        """The settings that the file does not contain, with what they are taken to be; "" if it contains all."""
        return ", ".join(f"{path} = {value}" for path, value in self.assumed.items())

    def get(self, section: str, name: str, default: Any) -> Any:
        """The value of a setting; the default, which is noted in `assumed`, if the file does not contain it."""
        value = self.find(section, name)
        if value is ABSENT:
            self.assumed[f"{section}.{name}"] = default
            return default
        return value

    def find(self, section: str, name: str) -> Any:
        """The value of a setting, ABSENT if the file does not contain it."""
        self._asked.add((section, name))
        values = (self._follow(path) for path in ((section, name), (section, "config", name)))
        return next((value for value in values if value is not ABSENT), ABSENT)

    def number(self, section: str, name: str, default: N, low: float, high: float) -> N:
        """A number of the type of `default`, or a whole number, within [low, high]."""
        value = self.get(section, name, default)
        if isinstance(value, bool) or not isinstance(value, type(default) | int) or not low <= value <= high:
            kind = "whole number" if isinstance(default, int) else "number"
            raise CheckpointError(
                f"has {section}.{name} = {_quoted(value)}, but it must be a {kind} from {low} to {high}"
            )
        return value

    def expect(self, section: str, name: str, supported: object, default: object) -> None:
        """Raise CheckpointError if a setting has another value than the one that raydistill supports."""
        value = self.get(section, name, default)
        if _lower(value) != _lower(supported):
            raise CheckpointError(
                f"has {section}.{name} = {_quoted(value)}, but raydistill supports only {supported!r} and could not "
                "reproduce its results"
            )

    def _follow(self, path: Sequence[str]) -> Any:
        """The value at a path; a link `${section.name}` is replaced by the value to which it refers."""
        for _ in range(8):
            value = self._at(path)
            link = _LINK.fullmatch(value) if isinstance(value, str) else None
            if not link:
                return value
            path = link[1].split(".")
        raise CheckpointError(f"has a setting {'.'.join(path)[:80]} that refers to itself")

    def _at(self, path: Sequence[str]) -> Any:
        node = _plain(self.root)
        for name in path:
            if not isinstance(node, dict) or name not in node:
                return ABSENT
            node = _plain(node[name])
        if not isinstance(node, str | int | float | list | None):
            raise CheckpointError(f"has a setting {'.'.join(path)[:80]} that is a {type(node).__name__}")
        if isinstance(node, list):
            return [_plain(item) for item in node]
        return ABSENT if node == "???" else node


class Weights:
    """The tensors of a checkpoint by their published names; `left` has those that were not taken yet."""

    def __init__(self, tensors: Any):
        pairs: Iterable[tuple[Any, Any]] = tensors.items() if isinstance(tensors, dict) else [(None, None)]
        for name, tensor in pairs:
            if not isinstance(tensor, Tensor) or not isinstance(name, str) or not _NAME.fullmatch(name):
                raise CheckpointError('has no "state_dict" of named tensors; a released checkpoint has one')
        self.tensors: dict[str, Tensor] = dict(tensors)
        self.left = set(tensors)
        """Names of the tensors that were not taken yet."""

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Shape of a tensor, which must have this number of axes, all longer than 0."""
        if name not in self.tensors:
            raise CheckpointError(f"has no {name}; a released checkpoint of this kind has one")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != axes or 0 in shape:
            raise CheckpointError(f"has {name} of shape {shape}, but it must have {axes} axes")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor of this name and shape, whose values must be finite; it is removed from `left`."""
        if self.shape(name, len(shape)) != shape:
            raise CheckpointError(f"has {name} of shape {tuple(self.tensors[name].shape)}, but it must be {shape}")
        tensor = self.tensors[name]
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"has {name} with values that are not finite numbers")
        self.left.discard(name)
        return tensor

    def numbered(self, prefix: str) -> int:
        """How many parts, numbered from 0, have names that begin with a prefix, such as "backbone.layers."."""
        depth = prefix.count(".")
        return len({name.split(".")[depth] for name in self.tensors if name.startswith(prefix)})

    def put(self, name: str, tensor: Tensor) -> None:
        """Add a tensor that was computed from others."""
        self.tensors[name] = tensor
        self.left.add(name)


def _plain(node: Any) -> Any:
    """The content of a node of OmegaConf; any other value unchanged."""
    return node.state.get("_content", node.state.get("_val")) if isinstance(node, Record) else node


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _quoted(value: object) -> str:
    return "a list" if isinstance(value, list) else ascii(value)[:80]

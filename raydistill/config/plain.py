"""Frozen dataclasses as plain JSON data and back, for the specifications that are stored in files.

`from_plain(cls, to_plain(value)) == value` holds for dataclasses whose fields are None, bool, int, float, str,
`Literal`, tuples, `dict[str, ...]` and further such dataclasses. In a union of dataclasses each member has a field
`name: Literal["..."] = "..."`, which selects the class. Everything else is refused: no value is turned into a string.
"""

import dataclasses
import functools
import sys
import types
import typing
from typing import Any, TypeVar, overload

from raydistill.config.numbers import check_limits
from raydistill.errors import RaydistillError, suggest

T = TypeVar("T")
TAG = "name"
"""Field that selects the class among the members of a union."""
WORDS = {bool: "true or false", int: "a whole number", str: "a text", types.NoneType: "null"}
"""Types as messages name them."""


def to_plain(value: Any, path: str = "") -> Any:
    """The JSON data of a value: dataclasses become mappings and tuples become lists.

    Raises:
        TypeError: a value of a type that `from_plain` cannot restore, with its path.
        ValueError: a number that is not finite, with its path.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _finite(value, path)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name), _at(path, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{_name(path)}: the keys of a mapping must be strings, got {key!r}")
        return {key: to_plain(item, _at(path, key)) for key, item in value.items()}
    raise TypeError(f"{_name(path)}: {type(value).__name__} cannot be stored as JSON")


@overload
def from_plain(cls: type[T], tree: Any) -> T: ...
@overload
def from_plain(cls: Any, tree: Any) -> Any: ...  # a union of dataclasses is no `type`
def from_plain(cls: Any, tree: Any) -> Any:
    """The value of type `cls` (a dataclass, or a union of dataclasses) from its JSON data.

    Fields that the data leave out have their defaults.

    Raises:
        ValueError: data that do not match the type: an unknown or missing key, a value of another type; with its path.
        TypeError: a field of a type that is not supported, with its path.
    """
    return _restore(cls, tree, "")


def _restore(kind: Any, tree: Any, path: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _restore_union(args, tree, path)
    if origin is typing.Literal:
        matches = [value for value in args if type(value) is type(tree) and value == tree]
        return matches[0] if matches else _refuse(path, f"one of {', '.join(map(str, args))}", tree)
    if dataclasses.is_dataclass(kind):
        return _restore_dataclass(kind, tree, path)
    if origin is tuple:
        return _restore_tuple(args, tree, path)
    if origin is dict and args[0] is str:
        if not isinstance(tree, dict):
            _refuse(path, "a mapping", tree)
        return {key: _restore(args[1], item, _at(path, key)) for key, item in tree.items()}
    if kind is float:
        is_number = isinstance(tree, int | float) and not isinstance(tree, bool)
        return _finite(tree, path) if is_number else _refuse(path, "a number", tree)
    if kind in (bool, int, str, types.NoneType):
        return tree if type(tree) is kind else _refuse(path, WORDS[kind], tree)
    raise TypeError(f"{_name(path)}: fields of type {kind} cannot be restored from JSON")


def _restore_union(kinds: tuple[Any, ...], tree: Any, path: str) -> Any:
    classes = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
    if isinstance(tree, dict) and len(classes) == 1:
        return _restore(classes[0], tree, path)
    if isinstance(tree, dict) and classes:
        by_tag = {tag: kind for kind in classes for tag in _tags(kind, path)}
        if tree.get(TAG) not in by_tag:
            _refuse(_at(path, TAG), f"one of {', '.join(by_tag)}", tree.get(TAG))
        return _restore(by_tag[tree[TAG]], tree, path)
    if tree is None and types.NoneType in kinds:
        return None
    problems = []
    for kind in (kind for kind in kinds if kind is not types.NoneType):
        try:
            return _restore(kind, tree, path)
        except ValueError as err:
            problems.append(str(err))
    raise ValueError("; or ".join(problems))


def _tags(kind: Any, path: str) -> tuple[str, ...]:
    hint = _hints(kind).get(TAG)
    if typing.get_origin(hint) is not typing.Literal:
        raise TypeError(f'{_name(path)}: {kind.__name__} is in a union, so it needs a field `{TAG}: Literal["..."]`')
    return typing.get_args(hint)


def _restore_dataclass(kind: Any, tree: Any, path: str) -> Any:
    if not isinstance(tree, dict):
        _refuse(path, f"a mapping of {kind.__name__} values", tree)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in tree:
        if key not in fields:
            raise ValueError(f'{_prefix(path)}unknown key "{key}"{suggest(str(key), fields)}')
    for name, f in fields.items():
        if name not in tree and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ValueError(f'{_prefix(path)}the key "{name}" is missing')
    values = {key: _restore(_hints(kind)[key], item, _at(path, key)) for key, item in tree.items()}
    try:
        restored = kind(**values)
        check_limits(restored)
    except RaydistillError as err:
        raise ValueError(f"{_prefix(path)}{err}") from None
    return restored


def _restore_tuple(kinds: tuple[Any, ...], tree: Any, path: str) -> tuple:
    if not isinstance(tree, list):
        _refuse(path, "a list", tree)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(tree)
    if len(kinds) != len(tree):
        _refuse(path, f"a list of length {len(kinds)}", tree)
    return tuple(_restore(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, tree, strict=True)))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)  # slow, and the same for each instance


def _finite(value: float, path: str) -> float:
    is_finite = abs(value) <= sys.float_info.max  # false of nan, too
    return float(value) if is_finite else _refuse(path, "a finite number", value)


def _refuse(path: str, allowed: str, value: Any) -> typing.NoReturn:
    raise ValueError(f"{_name(path)} must be {allowed}, got {value!r}")


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)


def _name(path: str) -> str:
    return f"`{path}`" if path else "the value"


def _prefix(path: str) -> str:
    return f"`{path}`: " if path else ""

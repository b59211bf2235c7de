"""YAML files as typed configuration, with the file and line in every error.

A configuration is a frozen dataclass. Unknown keys are refused with the nearest known one, values are
checked against the field's type and range (config/numbers.py), and nothing in a file is ever evaluated: no tags, no
interpolation. An empty list or text is refused, because it would often mean everything where nothing is meant; a field
`Annotated[..., MAY_BE_EMPTY]`, or a text whose default is empty, accepts it.
Fields annotated `Annotated[dict[str, Any], Overrides(Cls)]` hold only the values that a file gives for `Cls`; a preset
supplies the others.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from raydistill.config.numbers import Limits
from raydistill.config.secrets import check_no_secret
from raydistill.config.yaml_files import line_of, mapping, parse_yaml, read_yaml, shortened
from raydistill.errors import ConfigError, RaydistillError, suggest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
MAY_BE_EMPTY = "may be empty"
"""Marks a list or text whose empty value means none."""


@dataclasses.dataclass(frozen=True)
class Overrides:
    """Marks a field that holds some values of a dataclass, checked like its fields but without their defaults.

    `Annotated[dict[str, Any], Overrides(TrainingConfig)]`. For a union of dataclasses, `Overrides(A | B)`, a key is
    valid if any of them has it, and a value is valid if it is valid for any of these.
    """

    of: Any
    """A dataclass or a union of dataclasses."""


class _OutOfRange(ConfigError):
    """A number of the right type, whose message is shown rather than that of the other types of a union."""


def load(
    cls: type[T],
    path: str | Path,
    overrides: Iterable[str] = (),
    prepare: Callable[[Any, Path], None] = lambda tree, path: None,
) -> T:
    """Read the YAML file `path` as `cls`.

    Args:
        overrides: "a.b=value" strings, applied last.
        prepare: changes the mapping in place before the overrides are applied.

    Raises:
        ConfigError: the file cannot be read, or a key or value is invalid.
    """
    tree = read_yaml(path)
    prepare(tree, Path(path))
    for text in overrides:
        override(tree, text)
    return build(cls, tree, Where(str(path)))


OPTION = "--set"
"""Stands for the file of values that were given on the command line."""


@dataclasses.dataclass(frozen=True)
class Where:
    """Location of a value for messages: file, line and dotted path."""

    file: str
    path: str = ""
    line: int | None = None

    def down(self, tree: Any, key: Any) -> "Where":
        """Location of `tree[key]`."""
        path = f"{self.path}.{key}" if self.path else str(key)
        if key in getattr(tree, "included", ()):
            return Where(tree.included[key][0], path, tree.included[key][1])
        return Where(self.file, path, line_of(tree, key) or self.line)

    def error(self, text: str) -> ConfigError:
        """An error at this location."""
        return ConfigError(f"{self.file}{f':{self.line}' if self.line and self.file != OPTION else ''}: {text}")


def include(tree: Any, path: str | Path) -> None:
    """Insert the keys of the file `path` that `tree` lacks before those of `tree`, and do the same in its sections.

    `tree.included` maps each inserted key to its (file, line), for messages.
    """
    base = read_yaml(path)
    if "include" in base:
        raise ConfigError(f"{path}:{line_of(base, 'include')}: an included file cannot include another")
    _include(tree, base, str(path), depth=1)


def complete(tree: Any, base: Any, file: str) -> None:
    """Insert the keys of the mapping `base` that `tree` lacks, and do the same in its sections and theirs.

    A section of `base` completes each section of a list in `tree`.

    Args:
        tree: a mapping that was read from YAML.
        base: one of the same file.
        file: its name, for messages.
    """
    _include(tree, base, file, depth=2)
    for key, value in base.items():
        if isinstance(value, dict) and isinstance(tree[key], list):
            for section in tree[key]:
                if isinstance(section, dict):
                    _include(section, value, file, depth=1)


def _include(tree: Any, base: Any, file: str, depth: int) -> None:
    """`depth` is how many levels of sections of `base` are completed; deeper ones replace or are replaced."""
    tree.included = getattr(tree, "included", {})
    position = 0
    for key, value in base.items():
        if key in tree:
            if depth and isinstance(value, dict) and isinstance(tree[key], dict):
                _include(tree[key], value, file, depth - 1)
            continue
        tree.insert(position, key, value)
        tree.included[key] = file, line_of(base, key)
        if depth and isinstance(value, dict):
            section: Any = value  # ruamel's mappings take attributes, which `dict` does not
            section.included = {entry: (file, line_of(value, entry)) for entry in value}
        position += 1


def build(cls: type[T], tree: Any, where: Where) -> T:
    """A `cls` from a mapping. Rules between fields are checked in the class's `__post_init__`.

    Raises:
        ConfigError: a key or value is invalid, or a key without a default is missing.
    """
    values = _fields((cls,), tree, where)
    missing = [
        _yaml_name(f)
        for f in dataclasses.fields(cls)
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise where.error(f"{where.path or 'the file'} lacks `{missing[0]}`")
    try:
        return cls(**values)
    except RaydistillError as err:
        raise located(err, tree, where) from None


def located(err: RaydistillError, tree: Any, where: Where) -> ConfigError:
    """The error with the file and line of the value in the mapping `tree` that it is about, see `ConfigError.at`."""
    for key in getattr(err, "at", ()):
        where, tree = where.down(tree, key), tree[key] if isinstance(tree, dict) and key in tree else None
    return where.error(f"{where.path + ': ' if where.path else ''}{err}")


def _fields(classes: Sequence[Any], tree: Any, where: Where) -> dict[str, Any]:
    """Values of a mapping by field name; each key must be a field of at least one of the dataclasses."""
    if not isinstance(tree, dict):
        kinds = " or ".join(cls.__name__ for cls in classes)
        has_values = any(f.name == "values" for cls in classes for f in dataclasses.fields(cls))
        hint = f"; write a path as {{values: {shortened(tree)}}}" if has_values and isinstance(tree, str) else ""
        raise where.error(f"`{where.path}` must be a mapping of {kinds} values, got {shortened(tree)}{hint}")
    names = {_yaml_name(f): f.name for cls in classes for f in dataclasses.fields(cls)}
    hints = [typing.get_type_hints(cls, include_extras=True) for cls in classes]
    empty_by_default = {f.name for cls in classes for f in dataclasses.fields(cls) if f.default == ""}
    values = {}
    for key, value in tree.items():
        place = where.down(tree, key)
        if key not in names:
            section = f" in `{where.path}`" if where.path else ""
            raise place.error(f'unknown key "{key}"{section}{suggest(str(key), names)}')
        if isinstance(value, str) and not value and names[key] in empty_by_default:
            values[names[key]] = ""
            continue
        kinds_of_field = [hint[names[key]] for hint in hints if names[key] in hint]
        values[names[key]] = convert(_either(kinds_of_field), value, place)
    return values


def _either(kinds: Sequence[Any]) -> Any:
    """The union of types; of several `Literal`s one that allows all their values, so that an error lists them all."""
    if len(kinds) > 1 and all(typing.get_origin(kind) is typing.Literal for kind in kinds):
        return typing.Literal[tuple(value for kind in kinds for value in typing.get_args(kind))]
    return typing.Union[tuple(kinds)]  # noqa: UP007  # the types are known only here


def _yaml_name(field: dataclasses.Field) -> str:
    return field.name.rstrip("_")  # `except_` in Python is `except` in YAML


def convert(kind: Any, value: Any, where: Where) -> Any:
    """`value` as the type `kind`, or a ConfigError that names what is allowed."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin is typing.Annotated:
        return _convert_annotated(args[0], args[1], value, where)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            allowed = ", ".join(map(str, args))
            raise where.error(f"`{where.path}` must be one of {allowed}; got {shortened(value)}{_near(value, args)}")
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise where.error(f"`{where.path}` must be a mapping, got {shortened(value)}")
        return {_key(k, value, where): convert(args[1], v, where.down(value, k)) for k, v in value.items()}
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        if not items:
            raise where.error(f"`{where.path}` must not be an empty list; name at least one, or leave it out")
        return tuple(convert(args[0], item, where.down(value, i)) for i, item in enumerate(items))
    return _convert_scalar(kind, value, where)


def _convert_annotated(kind: Any, mark: Any, value: Any, where: Where) -> Any:
    """`value` as a type with a mark: `Overrides`, `Limits` or MAY_BE_EMPTY."""
    if isinstance(mark, Overrides):
        return _fields(typing.get_args(mark.of) or (mark.of,), value, where)
    if mark == MAY_BE_EMPTY and value in ("", []) and isinstance(value, str) == (kind is str):
        return "" if kind is str else ()
    converted = convert(kind, value, where)
    if isinstance(mark, Limits) and not mark.allow(converted):
        text = where.error(f"`{where.path}` must be {mark.broken_by(converted)}, but got {shortened(value)}")
        raise _OutOfRange(str(text))
    return converted


def _key(key: Any, tree: Any, where: Where) -> str:
    """A key of a mapping from names."""
    if key is None or key == "" or isinstance(key, bool):
        raise where.down(tree, key).error(f"`{where.path}` has the key {key!r}; give it a name, in quotes if need be")
    if not isinstance(key, str) and str(key) in tree:
        raise where.down(tree, key).error(f"`{where.path}` has the key {key} twice, with and without quotes")
    return str(key)


def _near(value: Any, allowed: Iterable[Any]) -> str:
    hint = suggest(str(value), allowed)
    return hint if "did you mean" in hint else ""


def _convert_union(kinds: Sequence[Any], value: Any, where: Where) -> Any:
    if value is None and type(None) in kinds:
        return None
    kinds = [k for k in kinds if k is not type(None)]
    if isinstance(value, dict):  # only the alternatives that are mappings, so that their messages are shown
        kinds = [k for k in kinds if dataclasses.is_dataclass(k) or typing.get_origin(k) is dict] or kinds
        kinds.sort(key=lambda kind: _foreign_keys(kind, value))  # errors are those of the most similar alternative
    if isinstance(value, list):
        kinds = [k for k in kinds if typing.get_origin(k) is tuple] or kinds
    errors = []
    for kind in kinds:
        try:
            return convert(kind, value, where)
        except ConfigError as err:
            errors.append(err)
    words = [_a(typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind) for kind in kinds]
    if isinstance(value, list) and len(words) > 1 and set(words) <= set(_WORDS.values()):
        raise where.error(f"`{where.path}` must be {', '.join(words[:-1])} or {words[-1]}, got {shortened(value)}")
    raise next((err for err in errors if isinstance(err, _OutOfRange)), errors[0])


def _foreign_keys(kind: Any, value: dict) -> int:
    """Number of keys of a mapping that are no fields of a dataclass; 0 for another type."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else None
    return 0 if fields is None else len(value.keys() - {_yaml_name(f) for f in fields})


def _convert_scalar(kind: Any, value: Any, where: Where) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < 1e308:  # also true of nan
            raise where.error(f"`{where.path}` must be a finite number, got {shortened(value)}")
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        if not value:
            raise where.error(f"`{where.path}` must not be empty; leave it out for its default")
        return str(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a name such as 20160622 needs no quotes
    raise where.error(f"`{where.path}` must be {_a(kind)}, got {shortened(value)}")


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _a(kind: Any) -> str:
    return _WORDS.get(kind, str(kind))


def override(tree: Any, text: str) -> None:
    """Apply one `--set a.b=value` in place. The value is read as YAML; the path may name keys that the file lacks."""
    check_no_secret(text, "--set")
    path, equals, raw = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f'--set takes `path=value`, such as training.epochs=5; got "{text}"')
    value = parse_yaml(raw, f"--set {path.strip()}")
    *parents, last = path.strip().split(".")
    node = tree
    for key in parents:
        if key not in node or node[key] is None:
            node[key] = mapping({})
        node = node[key]
        if not isinstance(node, dict):
            raise ConfigError(f"--set {path}: `{key}` is a value, not a section")
    node[last] = value
    if hasattr(node, "lc"):  # it was read from a file, and messages would name the line of the value that is replaced
        section: Any = node
        section.included = getattr(section, "included", {}) | {last: (OPTION, None)}


def build_from(cls: type[T], overrides: Iterable[str]) -> T:
    """A `cls` from "a.b=value" strings and its defaults."""
    tree: dict[str, Any] = {}
    for text in overrides:
        override(tree, text)
    return build(cls, tree, Where(OPTION))

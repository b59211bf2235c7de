"""YAML -> typed configuration, with the file and line in every complaint.

A configuration is a frozen dataclass. Unknown keys are refused with the nearest known one, values are
checked against the field's type, and nothing in a file is ever evaluated: no tags, no interpolation.
Fields annotated `Partial[Cls]` hold only the values a file gives for `Cls`: a preset supplies the rest.
"""

import dataclasses
import io
import types
import typing
from pathlib import Path

from raydistill.errors import ConfigError, RaydistillError, suggest

MAX_BYTES = 1_000_000


class Partial:
    """`Partial[Cls]`: a mapping of some fields of `Cls`, checked like `Cls` but without its defaults."""

    def __class_getitem__(cls, of):
        return typing.Annotated[dict, of]


def load(cls, path, overrides=(), prepare=lambda tree, path: None):
    """Read the YAML file `path` as `cls`; `overrides` are "a.b=value" strings, applied last.

    Args:
        prepare: completes the mapping before that, in place.
    """
    tree = read_yaml(path)
    prepare(tree, Path(path))
    for text in overrides:
        override(tree, text)
    return build(cls, tree, Where(str(path)))


def read_yaml(path):
    """The file as plain mappings and lists that remember their lines (YAML 1.2: 1e-3 is a number, on is a word)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, which no configuration is")
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: cannot be read as a YAML file ({err})") from None
    except MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 0
        raise ConfigError(f"{path}:{line}: not valid YAML: {err.problem}") from None
    except YAMLError as err:
        raise ConfigError(f"{path}: not valid YAML: {str(err).splitlines()[0]}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of `key: value` lines, got {type(tree).__name__}")
    return tree


def dump_yaml(tree):
    """Plain mappings, lists and values as YAML text."""
    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML().dump(tree, text)
    return text.getvalue()


@dataclasses.dataclass(frozen=True)
class Where:
    """The place of a value: file, line and dotted path, for messages."""

    file: str
    path: str = ""
    line: int | None = None

    def down(self, tree, key):
        path = f"{self.path}.{key}" if self.path else str(key)
        if key in getattr(tree, "included", ()):
            return Where(tree.included[key][0], path, tree.included[key][1])
        return Where(self.file, path, _line(tree, key) or self.line)

    def error(self, text):
        return ConfigError(f"{self.file}{f':{self.line}' if self.line else ''}: {text}")


def _line(tree, key):
    marks = getattr(tree, "lc", None)
    return marks.data[key][0] + 1 if marks is not None and marks.data and key in marks.data else None


def include(tree, path):
    """Put what the file `path` says and `tree` does not before what `tree` says: keys, and entries of its sections.

    `tree.included` holds what was put: key -> (file, line), which is what complaints then name.
    """
    base = read_yaml(path)
    if "include" in base:
        raise ConfigError(f"{path}:{_line(base, 'include')}: an included file cannot include another")
    _include(tree, base, str(path), sections=True)


def _include(tree, base, file, sections):
    tree.included = getattr(tree, "included", {})
    place = 0
    for key, value in base.items():
        if key in tree:
            if sections and isinstance(value, dict) and isinstance(tree[key], dict):
                _include(tree[key], value, file, sections=False)
            continue
        tree.insert(place, key, value)
        tree.included[key] = file, _line(base, key)
        if sections and isinstance(value, dict):
            value.included = {entry: (file, _line(value, entry)) for entry in value}
        place += 1


def build(cls, tree, where):
    """A `cls` from a mapping. Rules between fields live in the class's `__post_init__`."""
    values = _fields(cls, tree, where)
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
        for key in getattr(err, "at", ()):
            where, tree = where.down(tree, key), tree[key] if isinstance(tree, dict) and key in tree else None
        raise where.error(f"{where.path + ': ' if where.path else ''}{err}") from None


def _fields(cls, tree, where):
    if not isinstance(tree, dict):
        raise where.error(f"`{where.path}` must be a mapping of {cls.__name__} values, got {tree!r}")
    hints = typing.get_type_hints(cls, include_extras=True)
    names = {_yaml_name(f): f.name for f in dataclasses.fields(cls)}
    values = {}
    for key, value in tree.items():
        here = where.down(tree, key)
        if key not in names:
            place = f" in `{where.path}`" if where.path else ""
            raise here.error(f'unknown key "{key}"{place}{suggest(str(key), names)}')
        values[names[key]] = convert(hints[names[key]], value, here)
    return values


def _yaml_name(field):
    return field.name.rstrip("_")  # `except_` in Python is `except` in YAML


def convert(kind, value, where):
    """`value` as the type `kind`, or a ConfigError that says what is allowed."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated and args[0] is dict:
        return _fields(args[1], value, where)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, where)
    if origin is typing.Literal:
        if value not in args:
            allowed = ", ".join(map(str, args))
            raise where.error(f"`{where.path}` must be one of {allowed}; got {value!r}{_near(value, args)}")
        return value
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise where.error(f"`{where.path}` must be a mapping, got {value!r}")
        return {str(k): convert(args[1], v, where.down(value, k)) for k, v in value.items()}
    if origin is tuple:
        items = value if isinstance(value, list) else [value]
        return tuple(convert(args[0], item, where.down(value, i)) for i, item in enumerate(items))
    return _convert_scalar(kind, value, where)


def _near(value, known):
    hint = suggest(str(value), known)
    return hint if "did you mean" in hint else ""


def _convert_union(kinds, value, where):
    if value is None and type(None) in kinds:
        return None
    kinds = [k for k in kinds if k is not type(None)]
    if isinstance(value, dict):  # the mapping-shaped alternative speaks for itself, with its own messages
        kinds = [k for k in kinds if dataclasses.is_dataclass(k) or typing.get_origin(k) is dict] or kinds
    errors = []
    for kind in kinds:
        try:
            return convert(kind, value, where)
        except ConfigError as err:
            errors.append(err)
    raise errors[0]


def _convert_scalar(kind, value, where):
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return str(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a name such as 20160622 needs no quotes
    raise where.error(f"`{where.path}` must be {_a(kind)}, got {value!r}")


def _a(kind):
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}.get(kind, str(kind))


def override(tree, text):
    """Apply one `--set a.b=value`; the value is read as YAML, the path may name keys the file leaves out."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path, equals, raw = text.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f'--set takes `path=value`, such as training.epochs=5; got "{text}"')
    try:
        value = YAML(typ="rt").load(raw)
    except YAMLError:
        raise ConfigError(f"--set {path}: {raw!r} is not a YAML value") from None
    *parents, last = path.strip().split(".")
    node = tree
    for key in parents:
        if key not in node or node[key] is None:
            node[key] = {}
        node = node[key]
        if not isinstance(node, dict):
            raise ConfigError(f"--set {path}: `{key}` is a value, not a section")
    node[last] = value


def build_from(cls, overrides):
    """A `cls` from "a.b=value" strings alone."""
    tree = {}
    for text in overrides:
        override(tree, text)
    return build(cls, tree, Where("--set"))

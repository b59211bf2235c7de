"""YAML files as plain mappings and lists that know their lines; the same reader for sweeps, searches and manifests.

A file may come from a stranger. It is never evaluated, and it can neither hang the reader nor fill the memory: it is a
regular file of limited size, depth and number of values, also after its aliases are resolved.
"""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydistill.config.secrets import check_no_secret
from raydistill.errors import ConfigError, one_line

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_VALUES = 200_000
"""Values of a file, also after its aliases are resolved."""
MAX_WHOLE_NUMBER = 2**63
_LONGEST_VALUE = 200  # characters of a value in a message


def read_yaml(path: str | Path) -> Any:
    """The mapping in a file (YAML 1.2: 1e-3 is a number, on is a word).

    Raises:
        ConfigError: the file cannot be read, is not valid, is beyond a limit, or holds a secret.
    """
    tree = parse_yaml(_text_of(Path(path)), str(path))
    if tree is None:
        raise ConfigError(f"{path}: the file is empty; expected a mapping of `key: value` lines")
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of `key: value` lines, got {shortened(tree)}")
    return tree


def _text_of(path: Path) -> str:
    """The content of a file. A pipe or a device is refused before it is opened, as it might never end."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise ConfigError(f"{path}: cannot be read as a YAML file: it is {kind}")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes, which no configuration is")
        return data.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError) as err:  # no permission, a name that is too long, not UTF-8
        raise ConfigError(f"{path}: cannot be read as a YAML file ({one_line(err)})") from None


def parse_yaml(text: str, name: str) -> Any:
    """The value in a text.

    Args:
        name: of its file, for messages.
    Raises:
        ConfigError: the text is not valid YAML, is beyond a limit, or holds a secret.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    for number, line in enumerate(text.splitlines(), start=1):  # comments, too: the page shows those on top
        check_no_secret(line, f"{name}:{number}")
    yaml = YAML(typ="rt")
    yaml.Parser = _limited_parser(name)
    try:
        tree = yaml.load(text)
    except ConfigError:
        raise
    except MarkedYAMLError as err:
        at = err.problem_mark.line + 1 if err.problem_mark else 0
        raise ConfigError(f"{name}:{at}: not valid YAML: {err.problem}") from None
    except Exception as err:  # such as the 99th month, or a number of 5000 digits: it raises errors of many kinds
        raise ConfigError(f"{name}: not valid YAML: {one_line(err)}") from None
    _check_values(tree, name)
    return tree


def _limited_parser(name: str) -> type:
    """A parser that stops at a limit while it reads, as reading the rest could take hours."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
    from ruamel.yaml.parser import RoundTripParser

    around: list[str | None] = []  # anchors of the mappings and lists around a value

    class LimitedParser(RoundTripParser):
        n_values = 0

        def get_event(self) -> Any:
            event = super().get_event()
            at = f"{name}:{event.start_mark.line + 1}"
            self.n_values += isinstance(event, NodeEvent)
            if isinstance(event, CollectionStartEvent):
                around.append(event.anchor)
            elif isinstance(event, CollectionEndEvent):
                around.pop()
            elif isinstance(event, AliasEvent) and event.anchor in around:
                raise ConfigError(f"{at}: the alias *{event.anchor} stands within itself")
            if getattr(event, "ctag", None) is not None:
                tag = str(event.ctag).replace("tag:yaml.org,2002:", "!!")[:60]
                raise ConfigError(f"{at}: a tag ({tag}) is never read; write the value without it")
            if len(around) > MAX_DEPTH:
                raise ConfigError(f"{at}: nested deeper than {MAX_DEPTH} levels, which no configuration is")
            if self.n_values > MAX_VALUES:
                raise ConfigError(f"{at}: more than {MAX_VALUES:,} values, which no configuration has")
            return event

    return LimitedParser


def _check_values(tree: Any, name: str) -> None:
    """Check every value of a text, and their number after aliases are resolved."""
    sizes: dict[int, int] = {}  # id of a mapping or list -> number of its values

    def size_of(node: Any, line: int | None) -> int:
        at = f"{name}{f':{line}' if line else ''}"
        if not isinstance(node, dict | list):
            _check_scalar(node, at)
            return 1
        if id(node) not in sizes:
            total = 1
            for key, value in _items(node):
                place = line_of(node, key) or line
                if isinstance(node, dict):
                    _check_scalar(key, f"{name}{f':{place}' if place else ''}", "a key")
                total += size_of(value, place)
            if total > MAX_VALUES:
                raise ConfigError(f"{at}: aliases expand to more than {MAX_VALUES:,} values")
            sizes[id(node)] = total
        return sizes[id(node)]

    size_of(tree, None)


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    yield from node.items() if isinstance(node, dict) else enumerate(node)


def _check_scalar(value: Any, at: str, what: str = "a value") -> None:
    if isinstance(value, str):
        check_no_secret(value, at)
    elif isinstance(value, int):
        if abs(value) >= MAX_WHOLE_NUMBER:
            raise ConfigError(f"{at}: a whole number of this size is not used anywhere, got {shortened(value)}")
    elif value is not None and not isinstance(value, float):
        raise ConfigError(f"{at}: {what} must be a word, a number, true, false or null; put it in quotes: {value}")


def line_of(tree: Any, key: Any) -> int | None:
    """The line of `tree[key]` in its file, from 1; None for a mapping that was not read from a file."""
    marks = getattr(tree, "lc", None)
    return marks.data[key][0] + 1 if marks is not None and marks.data and key in marks.data else None


def mapping(values: dict[str, Any]) -> Any:
    """A mapping like one that was read from YAML."""
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap(values)


def dump_yaml(tree: Any) -> str:
    """Plain mappings, lists and values as YAML text."""
    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML().dump(tree, text)
    return text.getvalue()


def shortened(value: Any) -> str:
    """A value for a message, cut at 200 characters."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."

"""A manifest as YAML text, with comments that say why each value was guessed and what to ask its author."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raydistill.config.placeholders import FILL_IN

WIDTH = 120
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
_LONGEST_COMMENT = 400


@dataclass(frozen=True, kw_only=True)
class Line:
    """A key of a manifest, its value, and what there is to say about it."""

    key: str
    value: Any
    """A text, number, truth value, list of these, mapping of these, `Section`, or list of sections."""
    guess: str = ""
    """Why this value was guessed."""
    questions: tuple[str, ...] = ()
    """What only the author knows, with the alternatives."""
    hint: str = ""
    """What the files say about a value that only the author knows."""
    is_active: bool = True
    """False: the line is written as a comment, as something that can be used."""

    def asking(self, *questions: str) -> "Line":
        """The line with more questions."""
        return replace(self, questions=(*self.questions, *filter(None, questions)))


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    lines: tuple[Line, ...]

    def get(self, key: str) -> Any:
        """The value of an active key; None: there is none."""
        return next((line.value for line in self.lines if line.key == key and line.is_active), None)


def placeholder(key: str, what: str, hint: str = "", question: str = "") -> Line:
    """A line whose value only the author knows. `what` says in a few words what to write."""
    return Line(key=key, value=FILL_IN, guess=what, hint=hint, questions=(question,) if question else ())


def choice(key: str, value: Any, question: str) -> Line:
    """A line that is written as a comment, with the question of whether to use it."""
    return Line(key=key, value=value, questions=(question,), is_active=False)


def option(key: str, value: Any, use: str) -> Line:
    """A line that is written as a comment, and what it can be used for."""
    return Line(key=key, value=value, guess=use, is_active=False)


def written(section: Section, indent: str = "") -> list[str]:
    """The text of a section, line by line."""
    return [text for line in section.lines for text in _line(line, indent)]


def comment(text: str, indent: str = "", start: str = "") -> list[str]:
    """A comment of any length as lines of at most `WIDTH` characters."""
    words = shown(f"{start}{text}").split(" ")
    lines, line = [], f"{indent}#"
    for word in words:
        if len(line) + 1 + len(word) > WIDTH and line.strip() != "#":
            lines.append(line)
            line = f"{indent}#  "
        line = f"{line} {word}"
    return [*lines, line]


def shown(text: str) -> str:
    """A text from a file in one line that is safe in a comment."""
    cleaned = "".join(c if c.isprintable() else " " for c in text)
    return cleaned if len(cleaned) <= _LONGEST_COMMENT else f"{cleaned[:_LONGEST_COMMENT]}..."


def _line(line: Line, indent: str) -> Iterable[str]:
    for question in line.questions:
        yield from comment(question, indent, "QUESTION: ")
    if line.hint:
        yield from comment(line.hint, indent, "hint: ")
    if isinstance(line.value, Section):
        if line.guess:
            yield from comment(line.guess, indent, "guess: ")
        yield f"{indent}{line.key}:"
        yield from written(line.value, f"{indent}  ")
        return
    if isinstance(line.value, list) and any(isinstance(item, Section) for item in line.value):
        yield f"{indent}{line.key}:"
        for item in line.value:
            yield from _item(item, f"{indent}  ")
        return
    mark = "" if line.is_active else "# "
    text = f"{indent}{mark}{line.key}: {scalar(line.value)}"
    is_guess = line.is_active and line.value != FILL_IN
    said = shown(f"guess: {line.guess}" if is_guess else line.guess) if line.guess else ""
    if not said:
        yield text
    elif not is_guess or len(text) + len(said) + 4 <= WIDTH:
        yield f"{text}  # {said}"
    else:
        yield from comment(said, indent)
        yield text


def _item(section: Section, indent: str) -> Iterable[str]:
    """A section as an item of a list: the first line that is not a comment gets the dash."""
    lines = written(section, f"{indent}  ")
    first = next(i for i, text in enumerate(lines) if not text.lstrip().startswith("#"))
    lines[first] = f"{indent}- {lines[first].lstrip()}"
    return lines


def scalar(value: Any) -> str:
    """A value in one line of YAML."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{scalar(k)}: {scalar(v)}' for k, v in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(scalar, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return number(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    # YAML refuses some characters that JSON allows, such as the control character 0x7f, but takes them escaped.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(value, ensure_ascii=False))


def number(value: float) -> str:
    """A number as YAML 1.2 reads it, with as many digits as it needs."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    digits, e, exponent = repr(float(value)).partition("e")
    return f"{digits if '.' in digits else f'{digits}.0'}e{int(exponent)}" if e else digits

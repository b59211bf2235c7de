"""Checks of names that become folder names (sessions, subjects, sweeps, jobs), and of endings of output files."""

import re
from pathlib import Path

from raydistill.errors import ConfigError, DataError, RaydistillError

PICTURES = (".png", ".pdf", ".svg")

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")
_DRAW = re.compile(r"~([2-9]|[1-9][0-9]{1,2})")


def check_name(name: str, what: str = "session") -> str:
    """Return `name` if it can safely become a folder name, else raise DataError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DataError(
            f"{what} name {name!r} is not allowed: use 1 to 80 of the characters A-Z a-z 0-9 . _ - "
            "and do not begin with a dot"
        )
    return name


def draw_name(session: str, draw: int) -> str:
    """The name in a store of a session with one draw of its folds: the session's own for the first, `NAME~2` for the
    second. No recording can have a name with `~`."""
    return session if draw == 1 else f"{session}~{draw}"


def recorded_and_draw(name: str) -> tuple[str, int]:
    """(session, draw) of a name that `draw_name` returned."""
    session, mark, draw = name.partition("~")
    return session, int(draw) if mark else 1


def check_stored_name(name: str) -> str:
    """Return the name of a stored session, which can be a later draw, if it can become a folder name, else raise
    DataError."""
    session, mark, rest = name.partition("~") if isinstance(name, str) else (name, "", "")
    if mark and not _DRAW.fullmatch(mark + rest):
        raise DataError(f"session name {name!r} is not allowed: after `~` there must be a draw from 2 to 999")
    check_name(session)
    return name


def check_label(label: str, what: str) -> str:
    """Return the name of a method or figure, which may have spaces and any letters, or raise ConfigError.

    Labels are written to tables, pages, terminals and CSV files, so control characters are refused, and beginnings that
    spreadsheets take for a formula.
    """
    if not 1 <= len(label) <= 80 or not label.isprintable() or label[0] in "=+-@ " or label[-1] == " ":
        raise ConfigError(
            f"{what} name {label[:80]!r} is not allowed: use 1 to 80 printable characters, and do not begin with a "
            "space or one of = + - @, which spreadsheets take for a formula"
        )
    return label


def check_ending(option: str, file: Path, *allowed: str) -> None:
    """Raise RaydistillError if the file that `option` names does not end in one of `allowed`."""
    if file.suffix not in allowed:
        raise RaydistillError(f"{option} {file}: the name must end in {' or '.join(allowed)}")

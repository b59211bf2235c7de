"""Names that become folder names (sessions, subjects, sweeps, jobs), and those of files that the user asks for."""

import re
from pathlib import Path

from raydistill.errors import DataError, RaydistillError

PICTURES = (".png", ".pdf", ".svg")

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}")


def check_name(name: str, what: str = "session") -> str:
    """`name` if it can safely become a folder name; DataError otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DataError(
            f"{what} name {name!r} is not allowed: use 1 to 80 of the characters A-Z a-z 0-9 . _ - "
            "and do not begin with a dot; rename it where it is given"
        )
    return name


def check_ending(option: str, file: Path, *allowed: str) -> None:
    """RaydistillError if what `option` names does not end in one of these."""
    if file.suffix not in allowed:
        raise RaydistillError(f"{option} {file}: its name has to end in {' or '.join(allowed)}")

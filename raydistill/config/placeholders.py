"""Values of a manifest that its author still has to fill in."""

from collections.abc import Iterator
from typing import Any

from raydistill.config.load import Where

FILL_IN = "FILL_IN"
"""Stands for a value that only the author of the file knows. The comment after it says what to write."""


def check_filled_in(tree: Any, where: Where) -> None:
    """Raise ConfigError if a value of a mapping or list that was read from YAML is still FILL_IN.

    Args:
        where: location of `tree`.
    """
    missing = list(_missing(tree, where))
    if not missing:
        return
    place, key, comment = missing[0]
    others = [str(other.line) for other, _, _ in missing[1:] if other.line]
    what = f": {comment}" if comment else "; write its value"
    more = f" (also in line{'s' * (len(others) > 1)} {', '.join(others)})" if others else ""
    raise place.error(f"`{key}` is still {FILL_IN}{what}{more}")


def _missing(tree: Any, where: Where) -> Iterator[tuple[Where, Any, str]]:
    """Location, key and comment of each such value."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        place = where.down(tree, key)
        if value == FILL_IN:
            yield place, key, _comment(tree, key)
        else:
            yield from _missing(value, place)


def _comment(tree: Any, key: Any) -> str:
    """The comment after a value, without its mark; empty if there is none."""
    marks = getattr(tree, "ca", None)
    tokens = marks.items.get(key) if marks is not None else None
    found = next((token for token in tokens or () if hasattr(token, "value")), None)
    if found is None:
        return ""
    return found.value.split("\n", 1)[0].lstrip("# ").strip()

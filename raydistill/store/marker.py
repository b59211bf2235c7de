"""Entries of sessions as JSON text, and the markers (session.json) and rows of the catalogue that hold them.

A marker holds the sha256 of its own content, and the sizes and sha256 of the other files of its session. A store can
come from anyone, so the names and paths in an entry are checked before they are used.
"""

import dataclasses
import hashlib
import json
from typing import Any

from raydistill.config.names import check_stored_name
from raydistill.errors import DataError, one_line
from raydistill.store.catalogue import Entry, Normalisation, Part
from raydistill.store.channels import table_from_json, table_to_json
from raydistill.store.labels import StoredLabel

_TABLES = ("unit_channels", "lfp_channels")
_DIGEST = "sha256"
_START_BYTES = len(_DIGEST) + 64 + 9  # of `_start`


def folder_of(session: str) -> str:
    """The folder of a session, relative to the store. Raises DataError for a name that cannot be one of a session."""
    return f"segments/session={check_stored_name(session)}"


def marker_of(session: str) -> str:
    """The marker of a session, relative to the store."""
    return f"{folder_of(session)}/session.json"


def split_file_of(session: str) -> str:
    """The file of the folds of a session, relative to the store."""
    return f"{folder_of(session)}/split.json"


def marker_text(entry: Entry) -> str:
    """The content of the entry's marker."""
    text = entry_to_json(entry)
    return f"{_start(text.encode())}{text[1:]}"


def entry_of_marker(content: bytes | str) -> Entry:
    """The entry of a marker.

    Raises:
        DataError: the marker is damaged, another version of raydistill wrote it, or its paths lead out of the folder of
            its session.
    """
    try:
        content = content.encode() if isinstance(content, str) else bytes(content)
        text = b"{" + content[_START_BYTES:]
        if content[:_START_BYTES] != _start(text).encode():
            raise DataError(
                "an entry whose sha256 is not that of its content: it is damaged, was edited, or another version of "
                "raydistill wrote it"
            )
        tree = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise DataError(f"a damaged entry ({one_line(err)})") from None
    entry = _entry(tree)
    _check_paths(entry)
    return entry


def _start(text: bytes) -> str:
    """The beginning of a marker, which takes the place of the first bracket of the entry's text."""
    return f'{{"{_DIGEST}": "{hashlib.sha256(text).hexdigest()}", '


def entry_to_json(entry: Entry) -> str:
    """The entry as JSON text."""
    tables = {name: table_to_json(getattr(entry, name)) for name in _TABLES}
    return json.dumps(dataclasses.asdict(entry) | tables, sort_keys=True)


def entry_from_json(text: str) -> Entry:
    """The entry that `entry_to_json` wrote. Raises DataError if another version of raydistill wrote the text."""
    try:
        return _entry(json.loads(text))
    except ValueError as err:
        raise DataError(f"an entry that another version of raydistill wrote ({one_line(err)})") from None


def _entry(tree: Any) -> Entry:
    try:
        tree["parts"] = tuple(
            Part(**(part | {"numbers": tuple(part["numbers"]), "n_bins": tuple(part["n_bins"])}))
            for part in tree["parts"]
        )
        tree["normalisation"] = {
            name: Normalisation(mean=tuple(n["mean"]), std=tuple(n["std"])) for name, n in tree["normalisation"].items()
        }
        tree["labels"] = {
            name: StoredLabel(column=label["column"], classes=tuple(label["classes"]), of=label["of"])
            for name, label in tree.get("labels", {}).items()
        }
        for name in ("behavior", "behavior_units"):
            tree[name] = tuple(tree[name])
        for name in _TABLES:
            tree[name] = table_from_json(tree.get(name))
        return Entry(**tree)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"an entry that another version of raydistill wrote ({one_line(err)})") from None


def _check_paths(entry: Entry) -> None:
    """Raise DataError unless all files of the entry are directly in the folder of its session."""
    folder = folder_of(entry.session)
    for part in entry.parts:
        start, _, name = str(part.path).rpartition("/")
        if start != folder or name in ("", ".", ".."):
            raise DataError(f"an entry of session {entry.session} with a part {part.path!r} outside of {folder}")

"""What the exported file of a session says about it, so that it comes back with the same folds and the same scales.

Files hold this description as JSON (`notes` of an NWB file). It is the entry of the session in its store, without the
names of the store's files, and the content of its split.json.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raydistill.config.load import Where, build, mapping
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError, RaydistillError
from raydistill.store.catalogue import Entry

PREFIX = "raydistill-"
"""The identifiers of all NWB files that raydistill writes begin with it."""
OUTSIDE = -1
"""Trial label, in files and in sessions, of what is outside of trials."""
_VERSION_KEY, _VERSION = "raydistill_export", 1


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The entry and the segments of a session that was exported from a store. S segments, in the order of time."""

    entry: Entry
    """As in that store, with empty `parts`."""
    config: IngestConfig
    """With which the recording was ingested."""
    split_file: dict[str, Any]
    """Content of split.json. Its bins are numbered from the start of the recording."""
    bounds: tuple[tuple[int, int], ...] = ()
    """(S,) first and last bin + 1 of each segment, from the first bin of the session that is made of the export."""
    splits: tuple[str, ...] = ()
    """(S,) train, valid or test."""
    trials: tuple[int | None, ...] = ()
    """(S,) trial label, None outside of trials."""


def description(entry_tree: dict[str, Any], split_file: dict[str, Any]) -> str:
    """The JSON text of an exported file.

    Args:
        entry_tree: JSON data of the entry.
        split_file: content of its split.json.
    """
    return json.dumps({**entry_tree, "parts": [], "split_file": split_file, _VERSION_KEY: _VERSION}, sort_keys=True)


def is_description(text: str | None) -> bool:
    """Whether a text is what `description` returns, of this version or another.

    Raises:
        DataError: an older version of raydistill wrote it, which did not export all of a session.
    """
    try:
        tree = json.loads(text or "")
    except ValueError:
        return False
    if not isinstance(tree, dict):
        return False
    if _VERSION_KEY not in tree and {"fingerprint", "content", "protocol"} <= tree.keys():
        raise DataError(
            "an older version of raydistill exported this session without its folds; export it again, or ingest the "
            "original recording"
        )
    return _VERSION_KEY in tree


def parse_description(text: str) -> tuple[dict[str, Any], dict[str, Any], IngestConfig]:
    """The entry's JSON data, the content of split.json, and the configuration of the original ingest.

    Raises:
        DataError: another version of raydistill wrote the description.
    """
    tree = json.loads(text)
    version = tree.pop(_VERSION_KEY)
    try:
        if version != _VERSION:
            raise DataError(f"its description has version {version}, and this raydistill reads version {_VERSION}")
        split_file = dict(tree.pop("split_file"))
        config = build(IngestConfig, mapping(tree["config"]), Where("notes"))
    except (RaydistillError, KeyError, TypeError, ValueError) as err:
        raise DataError(
            f"another version of raydistill exported this session ({err}); export it again with this version, or "
            "ingest the original recording"
        ) from None
    return tree, split_file, config


def series_names(columns: Sequence[str]) -> dict[str, str]:
    """Behavior column -> name of its series in an exported file, which must contain neither `/` nor `:`."""
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub("[/:]", "_", column)
        while name in names.values():
            name += "_"
        names[column] = name
    return names

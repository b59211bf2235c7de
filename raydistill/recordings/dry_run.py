"""`ingest --dry-run`: what was found, what is missing, what would be done. Opens no recording."""

from collections import Counter
from collections.abc import Iterator

from raydistill.config.fingerprint import canonical
from raydistill.errors import DataError
from raydistill.papers.crossmodal import MAKIN_LFP, PUBLISHED_NAMES, TABLE_2
from raydistill.recordings.ingest import files_of
from raydistill.recordings.manifest import Recording
from raydistill.store.store import Store


def dry_run(recordings: list[Recording], store_uri: str) -> Iterator[str]:
    """A line a recording, then what the paper's datasets lack."""
    stored = _stored(store_uri)
    width = max(len(r.name) for r in recordings)
    for recording in recordings:
        yield f"{recording.name:<{width}}  {_would(recording, stored.get(recording.name)):<38}  {recording.path}"
    yield from _missing(recordings)


def _stored(store_uri):
    """Session -> the configuration it was stored with."""
    try:
        return {e.session: e.config for e in Store(store_uri).entries()}
    except DataError:
        return {}


def _would(recording, config) -> str:
    lost = [path for path in files_of(recording) if not path.is_file()]
    if lost:
        return f"fail: no file {lost[0].name}" if len(lost[0].name) < 24 else "fail: a file is missing"
    if config is None:
        return f"make, bins of {recording.config.bin_width_ms:g} ms"
    if config != canonical(recording.config):
        return "make again: other settings than stored"
    return "skip, unless its file has changed"


def _missing(recordings) -> Iterator[str]:
    """A line for each of the paper's datasets of which only a part is there."""
    found = {r.name: r.source.dataset for r in recordings}
    counts = Counter(found.values())
    for dataset in (d for d in TABLE_2 if 0 < counts[d] < TABLE_2[d].sessions):
        absent = [name for name in PUBLISHED_NAMES.get(dataset, ()) if name not in found]
        listed = f"; missing: {' '.join(absent)}" if absent else ""
        yield f"{dataset}: {counts[dataset]} of the paper's {TABLE_2[dataset].sessions} sessions{listed}"
    silent = [r.name for r in recordings if r.name in MAKIN_LFP and len(files_of(r)) == 1]
    if silent:
        yield f"makin: no broadband file beside {' '.join(silent)}; these would have no LFP"

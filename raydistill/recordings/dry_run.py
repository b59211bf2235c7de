"""`ingest --dry-run`: which recordings were found, which are missing, and what would be done. Opens no recording."""

from collections import Counter
from collections.abc import Iterator

from raydistill.config.fingerprint import canonical
from raydistill.errors import DataError
from raydistill.papers.crossmodal import MAKIN_LFP, PUBLISHED_NAMES, TABLE_2
from raydistill.recordings.recording import Recording
from raydistill.store.store import Store


def dry_run(recordings: list[Recording], store_uri: str) -> Iterator[str]:
    """One line per recording, then what is missing of the paper's datasets."""
    configs = _stored_configs(store_uri)
    width = max(len(r.name) for r in recordings)
    for recording in recordings:
        yield f"{recording.name:<{width}}  {_action(recording, configs.get(recording.name)):<38}  {recording.path}"
    yield from _missing(recordings)


def _stored_configs(store_uri: str) -> dict[str, dict]:
    """Session -> the configuration with which it was stored."""
    try:
        return {e.session: e.config for e in Store(store_uri).entries()}
    except DataError:
        return {}


def _action(recording: Recording, stored_config: dict | None) -> str:
    missing = [path for path in recording.files if not path.is_file()]
    if missing:
        return f"fail: no file {missing[0].name}" if len(missing[0].name) < 24 else "fail: a file is missing"
    if stored_config is None:
        return f"store, bins of {recording.config.bin_width_ms:g} ms"
    if stored_config != canonical(recording.config):
        return "store again: the settings have changed"
    return "skip, unless its file has changed"


def _missing(recordings: list[Recording]) -> Iterator[str]:
    """One line per dataset of the paper of which only a part was found."""
    datasets = {r.name: r.source.dataset for r in recordings}
    counts = Counter(datasets.values())
    for dataset in (d for d in TABLE_2 if 0 < counts[d] < TABLE_2[d].sessions):
        absent = [name for name in PUBLISHED_NAMES.get(dataset, ()) if name not in datasets]
        listed = f"; missing: {' '.join(absent)}" if absent else ""
        yield f"{dataset}: {counts[dataset]} of the paper's {TABLE_2[dataset].sessions} sessions{listed}"
    without_lfp = [r for r in recordings if r.name in MAKIN_LFP and not r.source.companions]
    if without_lfp:
        names = " ".join(r.name for r in without_lfp)
        yield f"{without_lfp[0].source.dataset}: no broadband file for {names}; these sessions would have no LFP"

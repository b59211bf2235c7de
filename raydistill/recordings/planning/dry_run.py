"""`ingest --dry-run`: which recordings were found, which are missing, and what would be done. Reads no values."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from raydistill.config.fingerprint import canonical
from raydistill.errors import DataError, RaydistillError
from raydistill.papers.crossmodal import MAKIN_LFP, PUBLISHED_NAMES, TABLE_2
from raydistill.recordings.child import links_in_child
from raydistill.recordings.linked import check_links
from raydistill.recordings.recording import Recording
from raydistill.recordings.refused import refused
from raydistill.recordings.remote import Remote, is_there
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store


def expected_failures(recordings: list[Recording]) -> dict[str, str]:
    """Session -> why it would fail, in one line; only what can be known without reading the recordings."""
    absent = {r.name: f"{r.path}: the server has no such file" for r in recordings if not _is_there(r.path)}
    failures = absent | refused(recordings)
    links = _links([r for r in recordings if r.name not in failures])
    for recording in (r for r in recordings if r.name not in failures):
        try:
            for file in (file for file in recording.files if file in links):
                linked = links[file]
                if isinstance(linked, RaydistillError):
                    raise linked
                check_links(file, linked, recording.links)
        except RaydistillError as err:
            failures[recording.name] = str(err)
    return failures


def _links(recordings: list[Recording]) -> dict[Path, tuple[Path, ...] | RaydistillError]:
    return links_in_child(file for r in recordings for file in r.files if isinstance(file, Path))


def _is_there(path: Path | Remote) -> bool:
    return isinstance(path, Path) or path.is_file()


def _is_link(path: Path | Remote) -> bool:
    return isinstance(path, Path) and path.is_symlink()


def dry_run(recordings: list[Recording], store_uri: str, failures: dict[str, str]) -> Iterator[str]:
    """One line per recording and per file that it links to, then what is missing of the paper's datasets.

    Args:
        failures: see `expected_failures`.
    """
    stored = _stored(store_uri)
    width = max(len(r.name) for r in recordings)
    links = _links([r for r in recordings if r.name not in failures])
    for recording in recordings:
        action = _action(recording, stored.get(recording.name), failures)
        yield f"{recording.name:<{width}}  {action:<38}  {recording.path}"
        if recording.name not in failures:
            for found in (links.get(file, ()) for file in recording.files if isinstance(file, Path)):
                if not isinstance(found, RaydistillError):
                    yield from (f"{'':<{width}}  {_link(linked):<38}  {linked}" for linked in found)
    yield from _missing(recordings)


def _link(linked: Path) -> str:
    return "with a file that it links to" if linked.is_file() else "without: it links to no file"


def _stored(store_uri: str) -> dict[str, Entry]:
    """Session -> its entry in the store."""
    try:
        return {e.session: e for e in Store(store_uri).entries()}
    except DataError:
        return {}


def _action(recording: Recording, stored: Entry | None, failures: dict[str, str]) -> str:
    if recording.name in failures:
        missing = [path for path in recording.files if not is_there(path) and not _is_link(path)]
        return f"fail: no file {missing[0].name}" if missing and len(missing[0].name) < 24 else "fail: see the message"
    if stored is None:
        return f"store, bins of {recording.config.bin_width_ms:g} ms"
    if stored.config != canonical(recording.config) and not stored.exported_from:  # an export keeps its own
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

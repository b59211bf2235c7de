"""The store's sessions as JSON and as a table, and compared with Table 2 of the cross-modal distillation paper."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from raydistill.papers.crossmodal import CROSSMODAL, TABLE_2
from raydistill.store.catalogue import Entry
from raydistill.store.channels import array_names, arrays_in
from raydistill.store.unused import unused_share, unused_to_json

COLUMNS = ("session", "subject", "dataset", "bin_width_ms", "n_segments", "n_bins", "n_units", "n_channels")


def draws_of(entries: Iterable[Entry]) -> dict[str, int]:
    """Session -> how many draws of its folds the store holds. Those that an interrupted ingest left do not count."""
    entries = list(entries)
    first = {e.session: e.fingerprint for e in entries if e.draw == 1}
    return Counter(e.recorded for e in entries if e.fingerprint == first.get(e.recorded))


def to_json(entry: Entry, draws: int = 1) -> dict[str, Any]:
    """One element of the output of `raydistill sessions --json`.

    Args:
        draws: of the folds of the session.
    """
    columns = {name: getattr(entry, name) for name in COLUMNS}
    places = {"region": entry.region, "arrays": arrays_in(entry.unit_channels, entry.lfp_channels)}
    folds = {"behavior": list(entry.behavior), "splits": entry.splits, "draws": draws}
    return columns | unused_to_json(entry) | places | folds


def render(entries: list[Entry], console: Console) -> None:
    """Print the sessions as a table, with totals, and Table 2 if the store has datasets of the paper.

    A session with several draws of its folds is one row, and its bins and folds are those of the first.
    """
    draws = draws_of(entries)
    entries = [e for e in entries if e.draw == 1]
    table = Table(box=None, pad_edge=False)
    text = {"session", "subject", "dataset", "behavior", "arrays"}
    arrays = [array_names(e.unit_channels, e.lfp_channels) for e in entries]
    many_draws = max(draws.values(), default=1) > 1
    further = (*(["arrays"] if any(arrays) else []), *(["draws"] if many_draws else []))
    for name in (*COLUMNS, "unused", "train/valid/test", "behavior", *further):
        table.add_column(name.removeprefix("n_"), justify="left" if name in text else "right")
    for e, names in zip(entries, arrays, strict=True):
        folds = "/".join(str(e.splits[split]) for split in ("train", "valid", "test"))
        cells = (*(str(to_json(e)[name]) for name in COLUMNS), unused_share(e), folds, " ".join(e.behavior))
        of_further = {"arrays": names, "draws": str(draws[e.recorded])}
        table.add_row(*cells, *(of_further[name] for name in further))
    hours = sum(e.n_bins * e.bin_width_ms for e in entries) / 3.6e6
    console.print(table)
    console.print(
        f"{len(entries)} sessions of {len({e.subject for e in entries})} subjects, "
        f"{hours:.2f} hours in {sum(e.n_segments for e in entries)} segments"
    )
    if any(e.dataset in TABLE_2 for e in entries):
        console.print()
        render_table_2(entries, console)


def render_table_2(entries: list[Entry], console: Console) -> None:
    """Print the paper's datasets in this store as "stored / paper", then the paper's groups of sessions."""
    table = Table(box=None, pad_edge=False, title="this store / Table 2 of the paper", title_justify="left")
    for name in ("dataset", "subjects", "sessions", "hours", "segments", "units"):
        table.add_column(name, justify="left" if name in ("dataset", "subjects") else "right")
    for dataset, paper in TABLE_2.items():
        stored = [e for e in entries if e.dataset == dataset]
        hours = sum(e.n_bins * e.bin_width_ms for e in stored) / 3.6e6
        table.add_row(
            dataset,
            f"{len({e.subject for e in stored})} / {len(paper.subjects)}",
            f"{len(stored)} / {paper.sessions}",
            f"{hours:.2f} / {paper.hours:.2f}",
            f"{sum(e.n_segments for e in stored)} / {paper.sequences}",
            f"{sum(e.n_units for e in stored)} / {paper.neurons}",
        )
    console.print(table)
    groups = [f"{name} {len(CROSSMODAL.select(name, entries))} of {n}" for name, n in CROSSMODAL.groups.items()]
    console.print(f"groups: {', '.join(groups)}")
    for mismatch in CROSSMODAL.count_mismatches(entries):
        console.print(f"the store holds the whole corpus, but {mismatch}")

"""The store's sessions as JSON and as a table."""

from rich.table import Table

from raydistill.store.catalogue import Entry

SHOWN = ("session", "subject", "dataset", "bin_width_ms", "n_segments", "n_bins", "n_units", "n_channels")


def to_json(entry: Entry) -> dict:
    """The shape that `sessions --json` promises."""
    return {name: getattr(entry, name) for name in SHOWN} | {"behavior": list(entry.behavior), "splits": entry.splits}


def render(entries: list[Entry], console) -> None:
    table = Table(box=None, pad_edge=False)
    words = {"session", "subject", "dataset", "behavior"}
    for name in (*SHOWN, "train/valid/test", "behavior"):
        table.add_column(name.removeprefix("n_"), justify="left" if name in words else "right")
    for e in entries:
        folds = "/".join(str(e.splits[split]) for split in ("train", "valid", "test"))
        table.add_row(*(str(to_json(e)[name]) for name in SHOWN), folds, " ".join(e.behavior))
    hours = sum(e.n_bins * e.bin_width_ms for e in entries) / 3.6e6
    console.print(table)
    console.print(
        f"{len(entries)} sessions of {len({e.subject for e in entries})} subjects, "
        f"{hours:.2f} hours in {sum(e.n_segments for e in entries)} segments"
    )

"""Segments of a session as rows of a Parquet table and back. The values of one bin are adjacent."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from raydistill.store.catalogue import Entry, Normalisation
from raydistill.store.session import Segment, Session
from raydistill.store.splits import Cut

if TYPE_CHECKING:
    import pyarrow as pa


def segments_from_table(table: "pa.Table", entry: Entry) -> list[Segment]:
    """Rows of a part as segments with z-scored behavior.

    Spikes and LFP are views of the table's buffers, LFP in the stored precision.
    """
    columns = {name: _values(table, name) for name in ("spikes", "lfp", "behavior")}
    widths = {"spikes": entry.n_units, "lfp": entry.n_channels, "behavior": len(entry.behavior)}
    n_bins = table.column("n_bins").to_pylist()
    edges = np.concatenate([[0], np.cumsum(n_bins)])  # (segments + 1,)
    arrays = {}
    for name, flat in columns.items():
        # (sum of bins * width,) -> (sum of bins, width)
        arrays[name] = flat.reshape(edges[-1], widths[name]) if flat is not None and widths[name] else None
    if arrays["behavior"] is not None:
        norm = entry.normalisation["behavior"]
        mean, std = np.array(norm.mean, np.float32), np.array(norm.std, np.float32)  # (K,)
        arrays["behavior"] = ((arrays["behavior"] - mean) / std).astype(np.float32)
    labels = zip(*(table.column(c).to_pylist() for c in ("segment", "split", "start_s", "trial")), strict=True)
    return [
        Segment(
            entry.session,
            number,
            split,
            start_s,
            **{name: None if a is None else a[i:j] for name, a in arrays.items()},
            trial=trial,
        )
        for i, j, (number, split, start_s, trial) in zip(edges[:-1], edges[1:], labels, strict=True)
    ]


def _values(table: "pa.Table", name: str) -> np.ndarray | None:
    """The values of a list column in row order, without a copy if the column is one chunk."""
    column = table.column(name)
    if column.null_count == len(column):
        return None
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def to_table(
    session: Session, group: Sequence[tuple[int, Cut]], normalisation: dict[str, Normalisation], lfp_dtype: str
) -> "pa.Table":
    """Segments of a session as rows, with z-scored LFP in `lfp_dtype`.

    Args:
        group: number and cut of each segment.
        normalisation: mean and SD of the session's LFP, if it has LFP.
    """
    import pyarrow as pa

    width_s = session.bin_width_ms / 1000

    def z_scored(lfp: np.ndarray) -> np.ndarray:
        norm = normalisation["lfp"]
        return ((lfp - norm.mean) / norm.std).astype(lfp_dtype)

    signals = {
        "spikes": (session.spikes, None, pa.uint8()),
        "lfp": (session.lfp, z_scored, pa.float16() if lfp_dtype == "float16" else pa.float32()),
        "behavior": (session.behavior, None, pa.float32()),
    }
    columns = {
        "segment": pa.array([i for i, _ in group], pa.int32()),
        "split": pa.array([c.split for _, c in group]),
        "start_s": pa.array([session.start_s + c.start * width_s for _, c in group], pa.float64()),
        "n_bins": pa.array([c.stop - c.start for _, c in group], pa.int32()),
        "trial": pa.array([c.trial for _, c in group], pa.int32()),
    }
    for name, (values, transform, kind) in signals.items():
        columns[name] = _list_column(values, [c for _, c in group], transform, kind)
    return pa.table(columns)


def _list_column(
    values: np.ndarray | None,
    cuts: list[Cut],
    transform: Callable[[np.ndarray], np.ndarray] | None,
    kind: "pa.DataType",
) -> "pa.Array":
    """One list per segment with its (T, width) values, bin after bin; null if there are no values."""
    import pyarrow as pa

    if values is None:
        return pa.nulls(len(cuts), pa.list_(kind))
    width = values.shape[1]
    offsets = width * np.concatenate([[0], np.cumsum([c.stop - c.start for c in cuts])]).astype(np.int32)
    flat = np.empty(offsets[-1], dtype=kind.to_pandas_dtype())
    for c, a, b in zip(cuts, offsets[:-1], offsets[1:], strict=True):
        rows = values[c.start : c.stop]  # (T, width) -> (T * width,)
        flat[a:b] = (rows if transform is None else transform(rows)).reshape(-1)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, kind))


def update_digest(digest: Any, table: "pa.Table") -> None:
    """Add a part's rows to the session's content hash (of hashlib): values, split and position.

    The Parquet encoding does not enter the hash.
    """
    for name in ("segment", "split", "n_bins", "trial"):
        digest.update(json.dumps(table.column(name).to_pylist()).encode())
    for name in ("spikes", "lfp", "behavior"):
        values = _values(table, name)
        digest.update(b"-" if values is None else f"{values.dtype}{values.size}".encode())
        if values is not None:
            digest.update(values.view(np.uint8))

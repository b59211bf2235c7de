"""Segments of a session as rows of a Parquet table and back. The values of one bin are adjacent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raydistill.store.catalogue import Entry, Normalisation
from raydistill.store.session import Segment, Session
from raydistill.store.splits import Cut

if TYPE_CHECKING:
    import pyarrow as pa

SIGNALS = ("spikes", "lfp", "behavior", "labels")
_PLACE = ("segment", "split", "start_s", "n_bins", "trial")


def columns_of(signals: Iterable[str], has_labels: bool) -> list[str]:
    """The columns of a part that hold these signals, and those that tell what its rows are.

    Args:
        has_labels: whether the session has labels; the parts of others have no such column.
    """
    wanted = set(signals) if has_labels else set(signals) - {"labels"}
    return [*_PLACE, *(name for name in SIGNALS if name in wanted)]


def segments_from_table(table: "pa.Table", entry: Entry, z_scored: bool = True) -> list[Segment]:
    """Rows of a part as segments with z-scored behavior, or with behavior in its units.

    Spikes and LFP are views of the table's buffers, LFP in the stored precision. Segments lack the signals whose
    columns were not read.
    """
    columns = {name: _values(table, name) for name in SIGNALS}
    widths = entry.n_columns | {"behavior": len(entry.behavior), "labels": len(entry.labels)}
    n_bins = table.column("n_bins").to_pylist()
    edges = np.concatenate([[0], np.cumsum(n_bins)])  # (segments + 1,)
    arrays = {}
    for name, flat in columns.items():
        # (sum of bins * width,) -> (sum of bins, width)
        arrays[name] = flat.reshape(edges[-1], widths[name]) if flat is not None and widths[name] else None
    if arrays["behavior"] is not None and z_scored:
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
    """The values of a list column in row order, without a copy if it is one chunk; None: it is empty, or not read."""
    if name not in table.column_names:
        return None
    column = table.column(name)
    if column.null_count == len(column):
        return None
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Segments of a session as they are stored: LFP is z-scored, and of the type of the store."""

    session: Session
    normalisation: dict[str, Normalisation]
    """Mean and SD of the session's LFP, if it has LFP."""
    lfp_dtype: str

    def width(self, name: str) -> int | None:
        """Columns of a signal; None if the session lacks it."""
        values = getattr(self.session, name)
        return None if values is None else values.shape[1]

    def dtype(self, name: str) -> np.dtype:
        """Type in which a signal is stored."""
        return np.dtype({"spikes": "uint8", "lfp": self.lfp_dtype, "behavior": "float32", "labels": "int16"}[name])

    def values(self, name: str, cut: Cut) -> np.ndarray:
        """(T, width) values of a signal in a segment."""
        values = getattr(self.session, name)[cut.start : cut.stop]
        if name == "lfp":
            norm = self.normalisation["lfp"]
            values = (values - norm.mean) / norm.std
        return np.ascontiguousarray(values, dtype=self.dtype(name))


def to_table(rows: Rows, group: Sequence[tuple[int, Cut]]) -> "pa.Table":
    """The segments of a group, each with its number, as rows of a Parquet table."""
    import pyarrow as pa

    session = rows.session
    width_s = session.bin_width_ms / 1000
    columns = {
        "segment": pa.array([i for i, _ in group], pa.int32()),
        "split": pa.array([c.split for _, c in group]),
        "start_s": pa.array([session.start_s + c.start * width_s for _, c in group], pa.float64()),
        "n_bins": pa.array([c.stop - c.start for _, c in group], pa.int32()),
        "trial": pa.array([c.trial for _, c in group], pa.int32()),
    }
    for name in SIGNALS:
        if name != "labels" or session.labels is not None:
            columns[name] = _list_column(rows, name, [c for _, c in group])
    return pa.table(columns)


def _list_column(rows: Rows, name: str, cuts: list[Cut]) -> "pa.Array":
    """One list per segment with its (T, width) values, bin after bin; null if there are no values."""
    import pyarrow as pa

    kind = pa.from_numpy_dtype(rows.dtype(name))
    width = rows.width(name)
    if width is None:
        return pa.nulls(len(cuts), pa.list_(kind))
    offsets = width * np.concatenate([[0], np.cumsum([c.stop - c.start for c in cuts])]).astype(np.int32)
    flat = np.empty(offsets[-1], dtype=rows.dtype(name))
    for c, a, b in zip(cuts, offsets[:-1], offsets[1:], strict=True):
        flat[a:b] = rows.values(name, c).reshape(-1)  # (T, width) -> (T * width,)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, kind))


def update_digests(digests: Mapping[str, Any], rows: Rows, group: Sequence[tuple[int, Cut]]) -> None:
    """Add the segments of a part to the content hashes of a session. The Parquet encoding does not enter them.

    Args:
        digests: hashes of hashlib: "segments", of their splits and places, and that of each signal, of its values.
    """
    cuts = [c for _, c in group]
    n_bins = [c.stop - c.start for c in cuts]
    for column in ([i for i, _ in group], [c.split for c in cuts], n_bins, [c.trial for c in cuts]):
        digests["segments"].update(json.dumps(column).encode())
    for name in SIGNALS:
        width = rows.width(name)
        if width is None:
            continue
        digest = digests[name]
        digest.update(f"{rows.dtype(name)}{width * sum(n_bins)}".encode())
        for cut in cuts:
            digest.update(rows.values(name, cut).reshape(-1).view(np.uint8))  # (T, width) -> bytes

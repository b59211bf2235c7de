"""A session's segments as rows of a Parquet table, and back: the values of one bin lie together."""

import json

import numpy as np

from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment
from raydistill.store.splits import Cut


def segments_from_table(table, entry: Entry) -> list[Segment]:
    """Rows of a part as segments, behavior z-scored: views into the table's buffers, LFP in the stored precision."""
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
        arrays["behavior"] = ((arrays["behavior"] - np.float32(norm.mean)) / np.float32(norm.std)).astype(np.float32)
    labels = zip(*(table.column(c).to_pylist() for c in ("segment", "split", "start_s", "trial")), strict=True)
    return [
        Segment(
            entry.session,
            number,
            split,
            start_s,
            *(None if a is None else a[i:j] for a in arrays.values()),
            trial=trial,
        )
        for i, j, (number, split, start_s, trial) in zip(edges[:-1], edges[1:], labels, strict=True)
    ]


def _values(table, name):
    """The values of a list column in row order, without a copy where the column is one chunk."""
    column = table.column(name)
    if column.null_count == len(column):
        return None
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def to_table(session, group, normalisation, lfp_dtype):
    import pyarrow as pa

    width_s = session.bin_width_ms / 1000
    lfp = None
    if session.lfp is not None:
        norm = normalisation["lfp"]
        lfp = lambda a: ((a - norm.mean) / norm.std).astype(lfp_dtype)  # noqa: E731
    pieces = {
        "spikes": (session.spikes, None, pa.uint8()),
        "lfp": (session.lfp, lfp, pa.float16() if lfp_dtype == "float16" else pa.float32()),
        "behavior": (session.behavior, None, pa.float32()),
    }
    columns = {
        "segment": pa.array([i for i, _ in group], pa.int32()),
        "split": pa.array([c.split for _, c in group]),
        "start_s": pa.array([session.start_s + c.start * width_s for _, c in group], pa.float64()),
        "n_bins": pa.array([c.stop - c.start for _, c in group], pa.int32()),
        "trial": pa.array([c.trial for _, c in group], pa.int32()),
    }
    for name, (values, change, kind) in pieces.items():
        columns[name] = _list_column(values, [c for _, c in group], change, kind)
    return pa.table(columns)


def _list_column(values, cuts: list[Cut], change, kind):
    """Each segment's (T, width) values as one list, bin after bin."""
    import pyarrow as pa

    if values is None:
        return pa.nulls(len(cuts), pa.list_(kind))
    rows = [values[c.start : c.stop] if change is None else change(values[c.start : c.stop]) for c in cuts]
    flat = np.concatenate([np.ascontiguousarray(r).reshape(-1) for r in rows])
    offsets = np.concatenate([[0], np.cumsum([r.size for r in rows])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, kind))


def fold_into(digest, table):
    """Fold a part's rows into the session's content hash: values, split and place, not their Parquet encoding."""
    for name in ("segment", "split", "n_bins", "trial"):
        digest.update(json.dumps(table.column(name).to_pylist()).encode())
    for name in ("spikes", "lfp", "behavior"):
        values = _values(table, name)
        digest.update(b"-" if values is None else f"{values.dtype}{values.size}".encode() + values.tobytes())

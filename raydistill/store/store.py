"""The Parquet session store: writing a session whole, reading it back exactly.

sessions.parquet                                   the catalogue, compiled from the markers
segments/session=<name>/part-<split>-<n>-<id>.parquet
segments/session=<name>/session.json               the marker, written last: without it nothing is there
"""

import dataclasses
import hashlib
import json

import numpy as np

from raydistill.config.fingerprint import FORMAT_VERSION, canonical
from raydistill.config.names import check_name
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError, suggest
from raydistill.store.catalogue import Entry, Normalisation, Part
from raydistill.store.files import Folder
from raydistill.store.session import Segment, Session
from raydistill.store.splits import TEST, TRAIN, VALID, Cut, cut

CATALOGUE = "sessions.parquet"
SEGMENTS_PER_PART = 64


class Store:
    """A session store on a local path or a URI that pyarrow opens (file://, s3://, gs://)."""

    def __init__(self, uri: str):
        self.uri = str(uri)
        self.folder = Folder(self.uri)

    def entries(self) -> list[Entry]:
        """The stored sessions, by name. Raises DataError where there is no store."""
        import pyarrow.parquet as pq

        if not self.folder.exists(CATALOGUE):
            raise DataError(f"store {self.uri}: there is no session store here; make one with `raydistill ingest`")
        table = pq.read_table(CATALOGUE, filesystem=self.folder.filesystem, columns=["entry"])
        return [entry_from_json(text) for text in table.column("entry").to_pylist()]

    def entry(self, name: str) -> Entry:
        entries = {e.session: e for e in self.entries()}
        if name not in entries:
            raise DataError(f'store {self.uri}: no session "{name}"{suggest(name, entries)}')
        return entries[name]

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of all whole sessions, including those a killed ingest had not yet published."""
        return {e.session: e.fingerprint for e in self._marked()}

    def _marked(self):
        names = self.folder.names("segments", "/session.json")
        return [entry_from_json(self.folder.read(name).decode()) for name in names]

    def publish(self) -> list[Entry]:
        """Compile sessions.parquet from the markers; called by the one process that drives an ingest."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        entries = self._marked()
        shown = ("session", "subject", "dataset", "task", "region", "bin_width_ms", "n_segments", "n_bins")
        shown += ("n_units", "n_channels", "behavior", "protocol", "fingerprint", "content")
        columns = {name: [getattr(e, name) for e in entries] for name in shown}
        columns["behavior"] = [list(e.behavior) for e in entries]
        table = pa.table(columns | {"entry": [entry_to_json(e) for e in entries]})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.folder.write(CATALOGUE, sink.getvalue().to_pybytes())
        return entries

    def write(self, session: Session, config: IngestConfig, fingerprint: str) -> Entry:
        """Cut, draw, normalise and store one session, replacing an older one of that name; the marker comes last."""
        cuts = cut(session.name, session.n_bins, session.bin_width_ms, config.splits, session.trial, session.piece)
        fitted = cuts if config.splits.protocol != "corrected" else [c for c in cuts if c.split == TRAIN]
        normalisation = {
            name: _statistics(session, name, fitted)
            for name in ("lfp", "behavior")
            if getattr(session, name) is not None
        }
        base = f"segments/session={check_name(session.name)}"
        parts, digest = [], hashlib.sha256()
        for split in (TRAIN, VALID, TEST):
            numbered = [(i, c) for i, c in enumerate(cuts) if c.split == split]
            for n, group in enumerate(_even_groups(numbered, SEGMENTS_PER_PART)):
                path = f"{base}/part-{split}-{n:05d}-{fingerprint[:8]}.parquet"
                table = _table(session, group, normalisation, config.lfp_dtype)
                _digest(digest, table)
                self._write_table(path, table)
                numbers, bins = zip(*((i, c.stop - c.start) for i, c in group), strict=True)
                parts.append(Part(path=path, split=split, numbers=numbers, n_bins=bins))
        entry = _entry(session, config, cuts, normalisation, parts, fingerprint, digest.hexdigest())
        self.folder.write(f"{base}/session.json", entry_to_json(entry).encode())
        kept = {p.path for p in parts} | {f"{base}/session.json"}
        for name in self.folder.names(base):
            if name not in kept:
                self.folder.delete(name)
        return entry

    def _write_table(self, path, table):
        import pyarrow.parquet as pq

        self.folder.filesystem.create_dir(path.rsplit("/", 1)[0], recursive=True)
        pq.write_table(table, path, filesystem=self.folder.filesystem, compression="zstd", row_group_size=64)

    def read(self, entry: Entry, split: str | None = None) -> list[Segment]:
        """The segments of a session in time order, of one split or of all."""
        import pyarrow.parquet as pq
        from pyarrow import ArrowException

        segments = []
        for part in entry.parts:
            if split in (None, part.split):
                try:
                    table = pq.read_table(part.path, filesystem=self.folder.filesystem, partitioning=None)
                except (ArrowException, OSError) as err:
                    cause = str(err).splitlines()[0]
                    raise DataError(
                        f"store {self.uri}: {part.path} is missing or corrupt ({cause}); "
                        f"ingest session {entry.session} again"
                    ) from None
                segments += segments_from_table(table, entry)
        return sorted(segments, key=lambda s: s.number)


def segments_from_table(table, entry: Entry) -> list[Segment]:
    """Rows of a part as segments: views into the table's buffers, behavior z-scored."""
    columns = {name: _values(table, name) for name in ("spikes", "lfp", "behavior")}
    widths = {"spikes": entry.n_units, "lfp": entry.n_channels, "behavior": len(entry.behavior)}
    n_bins = table.column("n_bins").to_pylist()
    edges = np.concatenate([[0], np.cumsum(n_bins)])  # (segments + 1,)
    arrays = {}
    for name, flat in columns.items():
        # (sum of bins * width,) -> (sum of bins, width)
        arrays[name] = flat.reshape(edges[-1], widths[name]) if flat is not None and widths[name] else None
    if arrays["lfp"] is not None:
        arrays["lfp"] = arrays["lfp"].astype(np.float32, copy=False)
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


def _table(session, group, normalisation, lfp_dtype):
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


def _digest(digest, table):
    """Fold a part's rows into the session's content hash: values, split and place, not their Parquet encoding."""
    for name in ("segment", "split", "n_bins", "trial"):
        digest.update(json.dumps(table.column(name).to_pylist()).encode())
    for name in ("spikes", "lfp", "behavior"):
        values = _values(table, name)
        digest.update(b"-" if values is None else f"{values.dtype}{values.size}".encode() + values.tobytes())


def _even_groups(items, at_most):
    """`items` in ceil(n / at_most) groups whose sizes differ by at most one."""
    n = -(-len(items) // at_most)
    return [items[i * len(items) // n : (i + 1) * len(items) // n] for i in range(n)]


def _statistics(session, name, cuts):
    values = getattr(session, name)
    fitted = np.concatenate([values[c.start : c.stop] for c in cuts]).astype(np.float64)  # (bins, width)
    with np.errstate(all="ignore"):
        mean, std = np.nanmean(fitted, axis=0), np.nanstd(fitted, axis=0)
    dead = (
        np.flatnonzero(~(std > 1e-12 * np.maximum(1.0, np.abs(mean))))
        if name == "behavior"
        else np.flatnonzero(std == 0)
    )
    if len(dead) and name == "lfp":
        raise DataError(
            f"session {session.name}: LFP channel {dead[0]} is constant over the train segments; "
            f"drop it with `drop_channels: {dead.tolist()}`"
        )
    mean[dead], std[dead] = np.nan_to_num(mean[dead]), 1.0  # a constant behavior is kept: it is simply never decodable
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _entry(session, config, cuts, normalisation, parts, fingerprint, digest):
    width = lambda a: 0 if a is None else a.shape[1]  # noqa: E731
    identity = [FORMAT_VERSION, digest, session.bin_width_ms, list(session.behavior_names), config.splits.protocol]
    return Entry(
        session=session.name,
        subject=session.subject,
        dataset=session.dataset,
        task=session.task,
        region=session.region,
        bin_width_ms=session.bin_width_ms,
        n_segments=len(cuts),
        n_bins=sum(c.stop - c.start for c in cuts),
        n_units=width(session.spikes),
        n_channels=width(session.lfp),
        behavior=tuple(session.behavior_names),
        behavior_units=tuple(session.behavior_units),
        splits={split: sum(c.split == split for c in cuts) for split in (TRAIN, VALID, TEST)},
        aligned=config.splits.by == "trials" and len({c.trial for c in cuts}) == len(cuts),
        protocol=config.splits.protocol,
        normalisation=normalisation,
        config=canonical(config),
        fingerprint=fingerprint,
        content=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        sources=session.sources,
        parts=tuple(parts),
    )


def entry_to_json(entry: Entry) -> str:
    return json.dumps(dataclasses.asdict(entry), sort_keys=True)


def entry_from_json(text: str) -> Entry:
    tree = json.loads(text)
    tree["parts"] = tuple(
        Part(path=p["path"], split=p["split"], numbers=tuple(p["numbers"]), n_bins=tuple(p["n_bins"]))
        for p in tree["parts"]
    )
    tree["normalisation"] = {
        name: Normalisation(mean=tuple(n["mean"]), std=tuple(n["std"])) for name, n in tree["normalisation"].items()
    }
    for name in ("behavior", "behavior_units"):
        tree[name] = tuple(tree[name])
    return Entry(**tree)

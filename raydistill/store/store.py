"""The Parquet session store: writing a session whole, reading it back exactly.

sessions.parquet                                   the catalogue, compiled from the markers
segments/session=<name>/part-<split>-<n>-<id>.parquet
segments/session=<name>/split.json                 the fold of each split unit, and the hash of them all
segments/session=<name>/session.json               the marker, written last: without it nothing is there
"""

import contextlib
import dataclasses
import hashlib
import json

import numpy as np

from raydistill.config.fingerprint import FORMAT_VERSION, canonical
from raydistill.config.names import check_name
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError, one_line, suggest
from raydistill.files import Folder
from raydistill.store.catalogue import Entry, Normalisation, Part
from raydistill.store.session import Segment, Session
from raydistill.store.splits import TEST, TRAIN, VALID, cut, draw, split_to_json, without_outliers
from raydistill.store.table import fold_into, segments_from_table, to_table

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
        try:
            return [entry_from_json(text) for text in table.column("entry").to_pylist()]
        except DataError as err:
            raise DataError(f"store {self.uri}: {CATALOGUE} holds {err}; ingest its recordings again") from None

    def entry(self, name: str) -> Entry:
        entries = {e.session: e for e in self.entries()}
        if name not in entries:
            raise DataError(f'store {self.uri}: no session "{name}"{suggest(name, entries)}')
        return entries[name]

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of all whole sessions, including those a killed ingest had not yet published."""
        return {e.session: e.fingerprint for e in self._marked()}

    def _marked(self):
        """The entries of all whole sessions; one that cannot be read is not there, and is ingested again."""
        names = self.folder.names("segments", "/session.json")
        found = []
        for name in names:
            with contextlib.suppress(DataError):
                found.append(entry_from_json(self.folder.read(name).decode()))
        return found

    def publish(self) -> list[Entry]:
        """Compile sessions.parquet from the markers; called by the one process that drives an ingest."""
        import pyarrow as pa

        entries = self._marked()
        shown = ("session", "subject", "dataset", "task", "region", "bin_width_ms", "n_segments", "n_bins")
        shown += ("n_units", "n_channels", "behavior", "protocol", "fingerprint", "content")
        columns = {name: [getattr(e, name) for e in entries] for name in shown}
        columns["behavior"] = [list(e.behavior) for e in entries]
        table = pa.table(columns | {"entry": [entry_to_json(e) for e in entries]})
        self.folder.write(CATALOGUE, _as_parquet(table))
        return entries

    def write(self, session: Session, config: IngestConfig, fingerprint: str) -> Entry:
        """Cut, draw, normalise and store one session, replacing an older one of that name; the marker comes last."""
        drawn = draw(session, config)
        units = without_outliers(drawn, session.behavior, config)
        cuts = cut(units, session, config)
        fitted = cuts if config.protocol != "corrected" else [c for c in cuts if c.split == TRAIN]
        normalisation = {
            name: _statistics(session, name, fitted)
            for name in ("spikes", "lfp", "behavior")
            if getattr(session, name) is not None
        }
        base = f"segments/session={check_name(session.name)}"
        parts, digest = [], hashlib.sha256()
        for split in (TRAIN, VALID, TEST):
            numbered = [(i, c) for i, c in enumerate(cuts) if c.split == split]
            for n, group in enumerate(_even_groups(numbered, SEGMENTS_PER_PART)):
                path = f"{base}/part-{split}-{n:05d}-{fingerprint[:8]}.parquet"
                table = to_table(session, group, normalisation, config.lfp_dtype)
                fold_into(digest, table)
                self.folder.write(path, _as_parquet(table))
                numbers, bins = zip(*((i, c.stop - c.start) for i, c in group), strict=True)
                parts.append(Part(path=path, split=split, numbers=numbers, n_bins=bins))
        split = split_to_json(units, session.bin_width_ms)
        self.folder.write(f"{base}/split.json", json.dumps(split).encode())
        entry = dataclasses.replace(
            _entry(session, config, cuts, normalisation, parts, fingerprint, digest.hexdigest()),
            split_hash=split["hash"],
            outliers=len(drawn) - len(units),
        )
        self.folder.write(f"{base}/session.json", entry_to_json(entry).encode())
        kept = {p.path for p in parts} | {f"{base}/session.json", f"{base}/split.json"}
        for name in self.folder.names(base):
            if name not in kept:
                self.folder.delete(name)
        return entry

    def read(self, entry: Entry, split: str | None = None) -> list[Segment]:
        """The segments of a session in time order, of one split or of all; LFP as float32."""
        parts = [part for part in entry.parts if split in (None, part.split)]
        segments = [s for part in parts for s in segments_from_table(self.table(part, entry), entry)]
        return sorted((_in_float32(s) for s in segments), key=lambda s: s.number)

    def table(self, part: Part, entry: Entry):
        """The rows of one part of a session. Raises DataError where its file is missing or corrupt."""
        import pyarrow.parquet as pq
        from pyarrow import ArrowException

        try:
            return pq.read_table(part.path, filesystem=self.folder.filesystem, partitioning=None)
        except (ArrowException, OSError) as err:
            cause = str(err).splitlines()[0]
            raise DataError(
                f"store {self.uri}: {part.path} is missing or corrupt ({cause}); ingest session {entry.session} again"
            ) from None


def _in_float32(segment: Segment) -> Segment:
    if segment.lfp is None or segment.lfp.dtype == np.float32:
        return segment
    return dataclasses.replace(segment, lfp=segment.lfp.astype(np.float32))


def _as_parquet(table):
    """The table as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    # Voltages hardly repeat: without a dictionary writing takes a quarter of the time and a third of the memory.
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, row_group_size=SEGMENTS_PER_PART)
    return sink.getvalue()


def _even_groups(items, at_most):
    """`items` in ceil(n / at_most) groups whose sizes differ by at most one."""
    n = -(-len(items) // at_most)
    return [items[i * len(items) // n : (i + 1) * len(items) // n] for i in range(n)]


def _statistics(session, name, cuts):
    """Mean and SD of each column over the bins of the cuts that are there, a segment at a time."""
    values = getattr(session, name)
    segments = lambda: (values[c.start : c.stop].astype(np.float64) for c in cuts)  # noqa: E731
    n = sum(np.isfinite(x).sum(axis=0) for x in segments())  # (width,)
    with np.errstate(all="ignore"):
        mean = sum(np.nansum(x, axis=0) for x in segments()) / n
        std = np.sqrt(sum(np.nansum((x - mean) ** 2, axis=0) for x in segments()) / n)
    dead = np.flatnonzero(~(std > (0 if name == "lfp" else 1e-12 * np.maximum(1.0, np.abs(mean)))))
    if len(dead) and name == "lfp":
        raise DataError(
            f"session {session.name}: LFP channel {dead[0]} is constant over the train segments; "
            f"drop it with `drop_channels: {dead.tolist()}`"
        )
    # A constant behavior is never decodable, and a unit may be silent in train: both are kept as they are.
    mean[dead], std[dead] = np.nan_to_num(mean[dead]), 1.0
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _entry(session, config, cuts, normalisation, parts, fingerprint, digest):
    width = lambda a: 0 if a is None else a.shape[1]  # noqa: E731
    identity = [FORMAT_VERSION, digest, session.bin_width_ms, list(session.behavior_names), config.protocol]
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
        lfp_bands=session.lfp_bands,
        behavior=tuple(session.behavior_names),
        behavior_units=tuple(session.behavior_units),
        splits={split: sum(c.split == split for c in cuts) for split in (TRAIN, VALID, TEST)},
        aligned=config.splits.by == "trials" and len({c.trial for c in cuts}) == len(cuts),
        protocol=config.protocol,
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
    """Raises DataError for a text that this version did not write."""
    try:
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
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"an entry that another version of raydistill wrote ({one_line(err)})") from None

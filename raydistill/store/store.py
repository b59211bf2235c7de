"""The Parquet session store: a session is written completely or not at all, and read back exactly.

sessions.parquet                                   the catalogue, compiled from the markers
segments/session=<name>/part-<split>-<n>-<id>.parquet
segments/session=<name>/split.json                 the fold of each split span, and the hash of them all
segments/session=<name>/session.json               the marker, written last: without it the session does not exist
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from raydistill.config.fingerprint import FORMAT_VERSION, canonical
from raydistill.config.names import check_name
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError, one_line, suggest
from raydistill.files import Folder
from raydistill.store.catalogue import Entry, Normalisation, Part
from raydistill.store.channels import table_from_json, table_to_json
from raydistill.store.exported import Exported
from raydistill.store.session import Segment, Session
from raydistill.store.splits import TEST, TRAIN, VALID, Cut, cut, draw_folds, split_to_json, without_outliers
from raydistill.store.table import Rows, segments_from_table, to_table, update_digest
from raydistill.store.unused import count_recorded, count_unused

if TYPE_CHECKING:
    import pyarrow as pa

CATALOGUE = "sessions.parquet"
SEGMENTS_PER_PART = 64
_SEGMENTS_AT_ONCE = 16  # in memory as a table; each becomes a row group
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """The segments of a session and what their entry says about them."""

    config: IngestConfig
    cuts: list[Cut]
    normalisation: dict[str, Normalisation]
    split_file: dict[str, Any]
    """Content of split.json."""
    about: dict[str, Any]
    """Fields of the entry."""


_CATALOGUE_COLUMNS = (
    *("session", "subject", "dataset", "task", "region", "bin_width_ms", "n_segments", "n_bins"),
    *("n_units", "n_channels", "behavior", "protocol", "fingerprint", "content"),
)


_TABLES = ("unit_channels", "lfp_channels")


class Store:
    """A session store at a local path or a URI that pyarrow can open (file://, s3://, gs://)."""

    def __init__(self, uri: str):
        self.uri = str(uri)
        self.folder = Folder(self.uri)

    def entries(self) -> list[Entry]:
        """The stored sessions, sorted by name. Raises DataError if there is no store."""
        import pyarrow.parquet as pq

        if not self.folder.exists(CATALOGUE):
            raise DataError(f"store {self.uri}: there is no session store here; create one with `raydistill ingest`")
        table = pq.read_table(CATALOGUE, filesystem=self.folder.filesystem, columns=["entry"])
        try:
            return [entry_from_json(text) for text in table.column("entry").to_pylist()]
        except DataError as err:
            raise DataError(f"store {self.uri}: {CATALOGUE} contains {err}; ingest its recordings again") from None

    def entry(self, name: str) -> Entry:
        """The stored session of this name. Raises DataError, with the nearest name, if there is none."""
        entries = {e.session: e for e in self.entries()}
        if name not in entries:
            raise DataError(f'store {self.uri}: no session "{name}"{suggest(name, entries)}')
        return entries[name]

    def fingerprints(self) -> dict[str, str]:
        """Session -> fingerprint for all complete sessions, including those that a killed ingest did not publish."""
        return {e.session: e.fingerprint for e in self.complete()}

    def complete(self) -> list[Entry]:
        """Entries of all complete sessions, whether or not the catalogue has them yet.

        One that cannot be read is left out, so that it is ingested again.
        """
        entries = []
        for name in self.folder.names("segments", "/session.json"):
            with contextlib.suppress(DataError):
                entries.append(entry_from_json(self.folder.read(name).decode()))
        return entries

    def publish(self) -> list[Entry]:
        """Compile sessions.parquet from the markers. Only the process that drives an ingest may call this."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        entries = self.complete()
        columns = {name: [getattr(e, name) for e in entries] for name in _CATALOGUE_COLUMNS}
        columns["behavior"] = [list(e.behavior) for e in entries]
        table = pa.table(columns | {"entry": [entry_to_json(e) for e in entries]})
        self.folder.write_with(CATALOGUE, partial(pq.write_table, table))
        return entries

    def write(self, session: Session, config: IngestConfig, fingerprint: str) -> Entry:
        """Split, cut, normalise and store one session, and replace an older one of the same name.

        The marker is written last. Raises DataError if the session cannot be split, a channel is constant, or what was
        exported has been changed.

        Args:
            config: of the splits; an exported session keeps its own segments and normalisation instead.
            fingerprint: sha256 of the session's sources and configuration.
        """
        plan = _drawn(session, config) if session.exported is None else _as_exported(session, session.exported)
        rows = Rows(session=session, normalisation=plan.normalisation, lfp_dtype=plan.config.lfp_dtype)
        base = f"segments/session={check_name(session.name)}"
        parts, digest = [], hashlib.sha256()
        for split in (TRAIN, VALID, TEST):
            numbered = [(i, c) for i, c in enumerate(plan.cuts) if c.split == split]
            for n, group in enumerate(_even_groups(numbered, SEGMENTS_PER_PART)):
                path = f"{base}/part-{split}-{n:05d}-{fingerprint[:8]}.parquet"
                update_digest(digest, rows, group)
                self.folder.write_with(path, partial(_write_segments, rows, group))
                numbers, bins = zip(*((i, c.stop - c.start) for i, c in group), strict=True)
                parts.append(Part(path=path, split=split, numbers=numbers, n_bins=bins))
        entry = dataclasses.replace(
            _entry(session, plan.config, plan.cuts, plan.normalisation, parts, fingerprint, digest.hexdigest()),
            split_hash=plan.split_file["hash"],
            **plan.about,
        )
        if session.exported is not None and _is_changed(entry, session.exported.entry):
            for part in parts:
                self.folder.delete(part.path)
            raise DataError(
                f"session {entry.session}: its values, folds or electrodes are not those that raydistill exported: the "
                "file was changed, or another version wrote it; export it again, or ingest the original recording"
            )
        self.folder.write(f"{base}/split.json", json.dumps(plan.split_file).encode())
        self.folder.write(f"{base}/session.json", entry_to_json(entry).encode())
        current = {p.path for p in parts} | {f"{base}/session.json", f"{base}/split.json"}
        for name in self.folder.names(base):
            if name not in current:
                self.folder.delete(name)
        return entry

    def read(self, entry: Entry, split: str | None = None, *, z_scored: bool = True) -> list[Segment]:
        """The segments of a session in time order, with LFP as float32.

        Args:
            split: train, valid or test; None: all segments.
            z_scored: False: behavior in its units, as the store holds it; LFP is z-scored in any case.
        """
        parts = [part for part in entry.parts if split in (None, part.split)]
        segments = [s for part in parts for s in segments_from_table(self.table(part, entry), entry, z_scored)]
        return sorted((_in_float32(s) for s in segments), key=lambda s: s.number)

    def split_file(self, entry: Entry) -> dict[str, Any]:
        """Content of a session's split.json. Raises DataError if it is missing or corrupt."""
        try:
            return json.loads(self.folder.read(f"segments/session={entry.session}/split.json"))
        except (OSError, ValueError) as err:
            raise DataError(
                f"store {self.uri}: split.json of session {entry.session} is missing or corrupt ({one_line(err)}); "
                "ingest it again"
            ) from None

    def table(self, part: Part, entry: Entry) -> "pa.Table":
        """The rows of one part of a session. Raises DataError if its file is missing or corrupt."""
        import pyarrow.parquet as pq
        from pyarrow import ArrowException

        try:
            return pq.read_table(part.path, filesystem=self.folder.filesystem, partitioning=None)
        except (ArrowException, OSError) as err:
            cause = str(err).splitlines()[0]
            raise DataError(
                f"store {self.uri}: {part.path} is missing or corrupt ({cause}); ingest session {entry.session} again"
            ) from None


def _drawn(session: Session, config: IngestConfig) -> _Plan:
    """Folds and segments as `config` says, and the normalisation that is fitted on them."""
    all_spans = draw_folds(session, config)
    spans = without_outliers(all_spans, session.behavior, config)
    cuts = cut(spans, session, config)
    fitted = cuts if config.protocol != "corrected" else [c for c in cuts if c.split == TRAIN]
    return _Plan(
        config=config,
        cuts=cuts,
        normalisation={name: _statistics(session, name, fitted) for name in _signals(session)},
        split_file=split_to_json(spans, session.bin_width_ms),
        about={
            "outliers": len(all_spans) - len(spans),
            "recorded_bins": (n_recorded := count_recorded(session, config)),
            "gap_bins": session.n_bins - n_recorded,
            "unused": count_unused(session, config, all_spans, spans, cuts),
        },
    )


def _as_exported(session: Session, exported: Exported) -> _Plan:
    """The segments, folds and normalisation of the store that the session was exported from."""
    places = zip(exported.bounds, exported.splits, exported.trials, strict=True)
    return _Plan(
        config=exported.config,
        cuts=[Cut(start, stop, split, trial) for (start, stop), split, trial in places],
        normalisation={name: exported.entry.normalisation[name] for name in _signals(session)},
        split_file=exported.split_file,
        about={
            "exported_from": exported.entry.session,
            **{name: getattr(exported.entry, name) for name in ("outliers", "recorded_bins", "gap_bins", "unused")},
        },
    )


def _is_changed(entry: Entry, exported: Entry) -> bool:
    """Whether a session that was exported, and is stored as a whole, has another content than then."""
    is_whole = all(getattr(entry, name) == getattr(exported, name) for name in ("n_units", "n_channels", "behavior"))
    return is_whole and entry.content != exported.content


def _signals(session: Session) -> list[str]:
    return [name for name in ("spikes", "lfp", "behavior") if getattr(session, name) is not None]


def _in_float32(segment: Segment) -> Segment:
    if segment.lfp is None or segment.lfp.dtype == np.float32:
        return segment
    return dataclasses.replace(segment, lfp=segment.lfp.astype(np.float32))


def _write_segments(rows: Rows, group: Sequence[tuple[int, Cut]], stream: Any) -> None:
    """Write the numbered segments of one part as Parquet, some of them at a time."""
    import pyarrow.parquet as pq

    tables = (to_table(rows, some) for some in _even_groups(group, _SEGMENTS_AT_ONCE))
    first = next(tables)
    # Voltages rarely repeat: without a dictionary, writing takes a quarter of the time and a third of the memory.
    with pq.ParquetWriter(stream, first.schema, compression="zstd", use_dictionary=False) as writer:
        for table in (first, *tables):
            writer.write_table(table)


def _even_groups(items: Sequence[T], at_most: int) -> list[Sequence[T]]:
    """The n items in ceil(n / at_most) groups whose sizes differ by at most one."""
    n = -(-len(items) // at_most)
    return [items[i * len(items) // n : (i + 1) * len(items) // n] for i in range(n)]


def _statistics(session: Session, name: str, cuts: list[Cut]) -> Normalisation:
    """Mean and SD of each column of spikes, lfp or behavior over the finite values of the cuts, segment by segment."""
    values = getattr(session, name)

    def segments() -> Iterator[np.ndarray]:
        return (values[c.start : c.stop].astype(np.float64) for c in cuts)  # each (T, width)

    n = sum(np.isfinite(x).sum(axis=0) for x in segments())  # (width,)
    with np.errstate(all="ignore"):
        mean = sum(np.nansum(x, axis=0) for x in segments()) / n
        std = np.sqrt(sum(np.nansum((x - mean) ** 2, axis=0) for x in segments()) / n)
    dead = np.flatnonzero(~(std > (0 if name == "lfp" else 1e-12 * np.maximum(1.0, np.abs(mean)))))
    if len(dead) and len(dead) == len(std) and name == "lfp":
        raise DataError(
            f"session {session.name}: all {len(dead)} LFP channels are constant over the train segments, so this is no "
            "LFP; leave it out with `lfp: null`, or name another variable"
        )
    if len(dead) and name == "lfp":
        raise DataError(
            f"session {session.name}: LFP channel {dead[0]} is constant over the train segments; "
            f"drop it with `drop_channels: {dead.tolist()}`"
        )
    # A constant behavior cannot be decoded, and a unit can be silent in train: both are stored unscaled.
    mean[dead], std[dead] = np.nan_to_num(mean[dead]), 1.0
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _entry(
    session: Session,
    config: IngestConfig,
    cuts: list[Cut],
    normalisation: dict[str, Normalisation],
    parts: list[Part],
    fingerprint: str,
    digest: str,
) -> Entry:
    identity: list = [FORMAT_VERSION, digest, session.bin_width_ms, list(session.behavior_names), config.protocol]
    tables = {name: table_to_json(getattr(session, name)) for name in _TABLES}
    if any(tables.values()):  # so that results of sessions without tables, or without angles, keep their keys
        identity.append(tables)
    if session.circular:
        identity.append(sorted(session.circular.items()))
    return Entry(
        session=session.name,
        subject=session.subject,
        dataset=session.dataset,
        task=session.task,
        region=session.region,
        bin_width_ms=session.bin_width_ms,
        n_segments=len(cuts),
        n_bins=sum(c.stop - c.start for c in cuts),
        n_units=0 if session.spikes is None else session.spikes.shape[1],
        n_channels=0 if session.lfp is None else session.lfp.shape[1],
        lfp_bands=session.lfp_bands,
        behavior=tuple(session.behavior_names),
        behavior_units=tuple(session.behavior_units),
        circular=dict(session.circular),
        splits={split: sum(c.split == split for c in cuts) for split in (TRAIN, VALID, TEST)},
        aligned=config.splits.by == "trials" and len({c.trial for c in cuts}) == len(cuts),
        protocol=config.protocol,
        normalisation=normalisation,
        config=canonical(config),
        fingerprint=fingerprint,
        content=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        sources=session.sources,
        unit_channels=session.unit_channels,
        lfp_channels=session.lfp_channels,
        parts=tuple(parts),
    )


def entry_to_json(entry: Entry) -> str:
    """The entry as JSON text, the content of session.json."""
    tables = {name: table_to_json(getattr(entry, name)) for name in _TABLES}
    return json.dumps(dataclasses.asdict(entry) | tables, sort_keys=True)


def entry_from_json(text: str) -> Entry:
    """The entry from its JSON text. Raises DataError if another version of raydistill wrote the text."""
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
        for name in _TABLES:
            tree[name] = table_from_json(tree.get(name))
        return Entry(**tree)
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"an entry that another version of raydistill wrote ({one_line(err)})") from None

"""The Parquet session store: a session is written completely or not at all, and read back exactly or not at all.

sessions.parquet                                   the catalogue, compiled from the markers
segments/session=<name>/part-<split>-<n>-<id>.parquet    named by the beginning of their sha256
segments/session=<name>/split.json                 the fold of each split span, and the hash of them all
segments/session=<name>/session.json               the marker, written last: without it the session does not exist
locks/                                             who is writing which session (lock.py)

The marker holds the sha256 of all these files. A part is compared with it whenever it is read.
"""

import contextlib
import dataclasses
import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from raydistill.config.fingerprint import canonical, fingerprint
from raydistill.config.names import check_stored_name
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError, one_line, suggest
from raydistill.files import Folder, Written
from raydistill.store.catalogue import Entry, Normalisation, Part
from raydistill.store.checks import checked_entry, damage, problems, what_is_wrong
from raydistill.store.contents import HASHED, contents_of
from raydistill.store.labels import stored_labels
from raydistill.store.listing import CATALOGUE, COMPILE_AGAIN, complete_sessions, read_catalogue, write_catalogue
from raydistill.store.lock import writing
from raydistill.store.marker import folder_of, marker_of, marker_text, split_file_of
from raydistill.store.session import Segment, Session
from raydistill.store.session_plan import SessionPlan, is_changed, plan_session
from raydistill.store.splits import TEST, TRAIN, VALID, Cut
from raydistill.store.table import SIGNALS, Rows, columns_of, segments_from_table, to_table, update_digests
from raydistill.store.zscores import followed

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENTS_PER_PART = 64
_SEGMENTS_AT_ONCE, _VALUES_AT_ONCE = 16, 1 << 19  # at most, in a row group; Parquet takes 60 bytes to write a value
T = TypeVar("T")
_CHECKED: set[tuple[str, str, str]] = set()
"""Store, path and sha256 of the parts that this process has compared with their sha256."""


class Store:
    """A session store at a local path or a URI that pyarrow can open (file://, s3://, gs://)."""

    def __init__(self, uri: str):
        self.uri = str(uri)
        self.folder = Folder(self.uri)

    def entries(self) -> list[Entry]:
        """The stored sessions, sorted by name. Raises DataError if there is no store, or its catalogue is damaged."""
        listed = read_catalogue(self.folder)
        if isinstance(listed, str):
            raise DataError(f"store {self.uri}: {listed}; {COMPILE_AGAIN}")
        return [self._entry(marker_of(name), text, CATALOGUE) for name, text in listed.items()]

    def entry(self, name: str) -> Entry:
        """The stored session of this name, from its marker alone. Raises DataError, with the nearest name, if there is
        none."""
        marker = marker_of(name)
        try:
            return self._entry(marker, self.folder.read(marker), marker)
        except FileNotFoundError:
            stored = [e.session for e in self.entries()]
            if name in stored:
                raise DataError(f"store {self.uri}: {marker} is missing; ingest session {name} again") from None
            raise DataError(f'store {self.uri}: no session "{name}"{suggest(name, stored)}') from None
        except OSError as err:
            raise DataError(f"store {self.uri}: {marker} cannot be read ({one_line(err)})") from None

    def complete(self) -> list[Entry]:
        """Entries of all complete sessions, whether or not the catalogue has them yet.

        One whose marker cannot be read, or of which a file is missing or of another size, is left out, so that it is
        ingested again.
        """
        return [entry for entry, _ in complete_sessions(self.folder)]

    def publish(self) -> list[Entry]:
        """Compile sessions.parquet from the markers. Only the process that drives an ingest may call this.

        Raises:
            DataError: another ingest compiles it, and does not end within a minute.
        """
        with writing(self.folder, "catalogue", wait_s=60):  # or an older list could replace a newer one
            complete = complete_sessions(self.folder)
            write_catalogue(self.folder, complete)
        return [entry for entry, _ in complete]

    def stored(self, name: str) -> Entry | None:
        """The complete session of this name; None: there is none, see `complete`."""
        entries = complete_sessions(self.folder, folder_of(name))
        return entries[0][0] if entries else None

    def holds(self, name: str) -> bool:
        """Whether there is a marker of a session of this name, from which alone nothing follows about its files."""
        return self.folder.exists(marker_of(name))

    def delete(self, name: str) -> None:
        """Delete a session, its marker first, so that a half of it is never taken for a session."""
        with writing(self.folder, f"session {name}"):
            self.folder.delete(marker_of(name))
            self._delete(set(self.folder.names(folder_of(name))))
            self.folder.delete_empty(folder_of(name))

    def damage(self, entry: Entry) -> list[str]:
        """What is wrong with the files of a complete session, one line each; all of its bytes are read.

        Those of an object store are not, because it compares digests of its own, and `complete` has compared sizes.
        """
        return damage(self.folder, entry) if self.folder.path is not None else []

    def verify(self) -> list[str]:
        """All that is wrong with the store, one line each with the way out; empty: nothing. All bytes are read."""
        markers = {name: self.folder.read(name) for name in self.folder.names("segments", "/session.json")}
        return problems(self.folder, markers, read_catalogue(self.folder, all_columns=True))

    def _entry(self, marker: str, content: bytes | str, where: str) -> Entry:
        """The entry in a marker, or in a row of the catalogue.

        Args:
            marker: name of the marker.
            where: the file that holds `content`, for messages.
        """
        try:
            return checked_entry(marker, content)
        except DataError as err:
            raise DataError(f"store {self.uri}: {where} contains {err}; ingest its recordings again") from None

    def write(self, session: Session, config: IngestConfig, fingerprint: str) -> Entry:
        """Split, cut, normalise and store one session, and replace an older one of the same name.

        The marker is written last. Raises DataError if the session cannot be split, a channel is constant, or what was
        exported has been changed.

        Args:
            config: of the splits; an exported session keeps its own segments and normalisation instead.
            fingerprint: sha256 of the session's sources and configuration.
        """
        return self.write_planned(session, plan_session(session, config), fingerprint)

    def write_planned(self, session: Session, plan: SessionPlan, fingerprint: str) -> Entry:
        """As `write`, with segments that were planned before."""
        with writing(self.folder, f"session {check_stored_name(session.name)}"):
            return self._write(session, plan, fingerprint)

    def _write(self, session: Session, plan: SessionPlan, identity: str) -> Entry:
        session = followed(session, plan.config, plan.normalisation)
        rows = Rows(session=session, normalisation=plan.normalisation, lfp_dtype=plan.config.lfp_dtype)
        base, digests, parts = folder_of(session.name), {name: hashlib.sha256() for name in HASHED}, []
        before = self._parts_before(session.name)
        for split in (TRAIN, VALID, TEST):
            numbered = [(i, c) for i, c in enumerate(plan.cuts) if c.split == split]
            for n, group in enumerate(_even_groups(numbered, SEGMENTS_PER_PART)):
                update_digests(digests, rows, group)
                stem, write = f"{base}/part-{split}-{n:05d}-", partial(_write_segments, rows, group)
                parts.append(_part(self.folder.write_by_content(stem, ".parquet", write), split, group))
        entry = _entry(session, plan.config, plan.cuts, plan.normalisation, parts, identity, digests)
        entry = dataclasses.replace(entry, split_hash=plan.split_file["hash"], **plan.about)
        if session.exported is not None and is_changed(entry, session.exported.entry):
            self._delete({part.path for part in parts} - before)
            raise DataError(
                f"session {entry.session}: its values, folds or electrodes are not those that raydistill exported: the "
                "file was changed, or another version wrote it; export it again, or ingest the original recording"
            )
        split_file = self.folder.write(
            split_file_of(session.name), json.dumps(plan.split_file, sort_keys=True).encode()
        )
        entry = dataclasses.replace(entry, split_digest=split_file.sha256)
        self.folder.flush(base)
        self.folder.write(marker_of(session.name), marker_text(entry).encode())
        self.folder.flush(base)
        self._delete_unused(entry, before)
        return entry

    def _parts_before(self, name: str) -> set[str]:
        """The parts of the session of this name that is stored now."""
        with contextlib.suppress(DataError, OSError):
            return {part.path for part in checked_entry(marker_of(name), self.folder.read(marker_of(name))).parts}
        return set()

    def _delete_unused(self, entry: Entry, before: set[str]) -> None:
        """Delete what is in the folder of a session and not of it, now that its marker names the new files.

        Without a lock, as in an object store, another process may be writing there, so that only the parts of the
        session that was replaced are deleted.
        """
        own = {part.path for part in entry.parts} | {marker_of(entry.session), split_file_of(entry.session)}
        here = before if self.folder.path is None else set(self.folder.names(folder_of(entry.session)))
        self._delete(here - own)

    def _delete(self, names: set[str]) -> None:
        for name in sorted(names):
            self.folder.delete(name)

    def read(
        self, entry: Entry, split: str | None = None, *, z_scored: bool = True, signals: Sequence[str] = SIGNALS
    ) -> list[Segment]:
        """The segments of a session in time order, with LFP as float32.

        Args:
            split: train, valid or test; None: all segments.
            z_scored: False: behavior in its units, as the store holds it; LFP is z-scored in any case.
            signals: which of spikes, lfp, behavior and labels to read; segments lack the others.
        """
        return list(self.stream(entry, split, z_scored=z_scored, signals=signals))

    def stream(
        self, entry: Entry, split: str | None = None, *, z_scored: bool = True, signals: Sequence[str] = SIGNALS
    ) -> Iterator[Segment]:
        """The segments as `read` gives them, with one part of each fold at a time in memory."""
        folds = (TRAIN, VALID, TEST) if split is None else (split,)
        streams = (self._stream(entry, fold, z_scored, signals) for fold in folds)
        return heapq.merge(*streams, key=lambda s: s.number)

    def _stream(self, entry: Entry, split: str, z_scored: bool, signals: Sequence[str]) -> Iterator[Segment]:
        parts = sorted((part for part in entry.parts if part.split == split), key=lambda part: part.numbers)
        for part in parts:
            segments = segments_from_table(self.table(part, entry, signals), entry, z_scored)
            yield from sorted((_in_float32(s) for s in segments), key=lambda s: s.number)

    def split_file(self, entry: Entry) -> dict[str, Any]:
        """Content of a session's split.json. Raises DataError if it is missing or corrupt."""
        try:
            content = self.folder.read(split_file_of(entry.session))
            if hashlib.sha256(content).hexdigest() != entry.split_digest:
                raise ValueError("its sha256 is not that of what was written")
            return json.loads(content)
        except (OSError, ValueError) as err:
            raise self._unreadable(split_file_of(entry.session), entry, one_line(err)) from None

    def table(self, part: Part, entry: Entry, signals: Sequence[str] = SIGNALS) -> "pa.Table":
        """The rows of one part of a session, with the columns of these signals.

        Raises:
            DataError: its file is missing, or not what was written.
        """
        import pyarrow.parquet as pq
        from pyarrow import ArrowException, BufferReader

        try:
            content = self.folder.read_buffer(part.path)
            if wrong := what_is_wrong(part, content):
                raise self._unreadable(part.path, entry, wrong)
            columns = columns_of(signals, bool(entry.labels))
            return pq.read_table(
                BufferReader(content), columns=columns, partitioning=None, page_checksum_verification=True
            )
        except (ArrowException, OSError) as err:
            raise self._unreadable(part.path, entry, str(err).splitlines()[0]) from None

    def check(self, parts: Iterable[Part], entry_of: Mapping[str, Entry]) -> None:
        """Compare parts on a local disk with their sha256, each once in a process; for readers other than `table`.

        Args:
            entry_of: path of a part -> the session that it belongs to.

        Raises:
            DataError: one is missing, or not what was written.
        """
        if self.folder.path is None:
            return
        for part in parts:
            known = (self.uri, part.path, part.sha256)
            if known not in _CHECKED:
                try:
                    wrong = what_is_wrong(part, self.folder.read_buffer(part.path))
                except OSError as err:
                    wrong = one_line(err)
                if wrong:
                    raise self._unreadable(part.path, entry_of[part.path], wrong)
                _CHECKED.add(known)

    def _unreadable(self, path: str, entry: Entry, cause: str) -> DataError:
        """The error for a file of a session that cannot be used."""
        with contextlib.suppress(DataError):
            if self.entry(entry.session) != entry:
                return DataError(
                    f"store {self.uri}: session {entry.session} was ingested again after it was looked up; run the "
                    "same command again (if the message stays, the ingest was stopped before it compiled the "
                    f"catalogue: {COMPILE_AGAIN})"
                )
        return DataError(
            f"store {self.uri}: {path} is missing or corrupt ({cause}); ingest session {entry.session} again"
        )


def _in_float32(segment: Segment) -> Segment:
    if segment.lfp is None or segment.lfp.dtype == np.float32:
        return segment
    return dataclasses.replace(segment, lfp=segment.lfp.astype(np.float32))


def _part(written: Written, split: str, group: Sequence[tuple[int, Cut]]) -> Part:
    numbers, bins = zip(*((i, c.stop - c.start) for i, c in group), strict=True)
    return Part(path=written.name, split=split, numbers=numbers, n_bins=bins, size=written.size, sha256=written.sha256)


def _write_segments(rows: Rows, group: Sequence[tuple[int, Cut]], stream: Any) -> None:
    """Write the numbered segments of one part as Parquet, some of them at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_values = sum((c.stop - c.start) * sum(rows.width(name) or 0 for name in SIGNALS) for _, c in group)
    at_once = min(_SEGMENTS_AT_ONCE, max(1, _VALUES_AT_ONCE * len(group) // n_values))
    tables = (to_table(rows, some) for some in _even_groups(group, at_once))
    first = next(tables)
    # Voltages rarely repeat: without a dictionary, writing takes a quarter of the time and a third of the memory.
    options = {"compression": "zstd", "use_dictionary": False, "write_page_checksum": True}
    with pq.ParquetWriter(stream, first.schema, **options) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
    pa.default_memory_pool().release_unused()  # Arrow would keep 30 MB and more, which numpy cannot use


def _even_groups(items: Sequence[T], at_most: int) -> list[Sequence[T]]:
    """The n items in ceil(n / at_most) groups whose sizes differ by at most one."""
    n = -(-len(items) // at_most)
    return [items[i * len(items) // n : (i + 1) * len(items) // n] for i in range(n)]


def _entry(
    session: Session,
    config: IngestConfig,
    cuts: list[Cut],
    normalisation: dict[str, Normalisation],
    parts: list[Part],
    identity: str,
    digests: Mapping[str, Any],
) -> Entry:
    contents = contents_of(session, config.protocol, normalisation, digests)
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
        labels=stored_labels(session.labels, session.classes, [(c.start, c.stop) for c in cuts]),
        splits={split: sum(c.split == split for c in cuts) for split in (TRAIN, VALID, TEST)},
        aligned=config.splits.by == "trials" and len({c.trial for c in cuts}) == len(cuts),
        protocol=config.protocol,
        normalisation=normalisation,
        config=canonical(config),
        fingerprint=identity,
        content=fingerprint(contents),
        contents=contents,
        sources=session.sources,
        unit_channels=session.unit_channels,
        lfp_channels=session.lfp_channels,
        parts=tuple(parts),
    )

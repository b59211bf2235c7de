"""Recordings into the store: one Ray task per recording, each independent of the others.

A recording whose files are not here, or that is another session's recording too, fails before any is read. A task
hashes its files, and those that they link to, or asks the server for the ETag, and compares the fingerprint of
(content, description, configuration, format) with the stored one. If they are equal, and the files of the stored
session are what was written, it stops. Otherwise it reads, preprocesses and writes the session, its marker file last.
An error affects only its own recording, and is reported in one line. The driver publishes the catalogue at the end,
even after an interrupt, so that finished sessions are never lost.
"""

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from raydistill.cluster import connected, cores
from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.errors import DataError, RaydistillError, one_line
from raydistill.files import release_free_memory
from raydistill.recordings.content import Content, StoredContent, content_of, sources
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.preprocessing.decimation import Decimate, Decimation, decimated
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.raw import Signal
from raydistill.recordings.recording import Recording, files_of
from raydistill.recordings.refused import overlapping, refused
from raydistill.recordings.remote import Remote
from raydistill.store.catalogue import Entry
from raydistill.store.draws import damaged_draws, write_draws
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.store.unused import unused_notes

_PART_VALUES = 1 << 29  # raw values that one task decimates: about four minutes of 96 channels at 24 kHz


@dataclass(frozen=True, kw_only=True)
class RecordingResult:
    """The result of one recording."""

    name: str
    state: Literal["stored", "skipped", "failed"]
    cause: str = ""
    """The error in one line, if it failed."""
    notes: tuple[str, ...] = ()
    """One line for everything that was left out of a session that was stored."""


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """The results of all recordings, by session name."""

    stored: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Already stored and unchanged."""
    failed: dict[str, str] = field(default_factory=dict)
    """Name -> error in one line."""


def ingest_with_ray(
    recordings: list[Recording],
    store_uri: str,
    *,
    workers: int | None = None,
    address: str | None = None,
    report: Callable[[RecordingResult], None] = lambda result: None,
) -> IngestResult:
    """`ingest` on the cluster at `address`, or on a local Ray that is stopped afterwards."""
    with connected(address):
        return ingest(recordings, store_uri, workers=workers or (None if address else cores()), report=report)


def ingest(
    recordings: list[Recording],
    store_uri: str,
    *,
    workers: int | None = None,
    report: Callable[[RecordingResult], None] = lambda result: None,
) -> IngestResult:
    """Read recordings into the store, in parallel; unchanged sessions are skipped. Ray must be initialised.

    Args:
        recordings: see `plan_sources`.
        store_uri: path or URI of the store, created if it does not exist.
        workers: maximum number of recordings at a time; None: as many as Ray has CPUs.
        report: called in the driver with the result of each recording when it is known.

    Raises:
        DataError: the store cannot be used at all. An error of a single recording is not raised.
    """
    # Ray workers have working directories of their own, so relative paths do not work there.
    store_uri = store_uri if "://" in store_uri else os.path.abspath(store_uri)
    recordings = [recording.absolute() for recording in recordings]
    store = Store(store_uri)
    stored = {entry.session: entry for entry in store.complete()}
    results: list[RecordingResult] = []
    try:
        for result in _results(recordings, store_uri, stored, workers):
            results.append(result)
            report(result)
    finally:
        if stored or any(r.state == "stored" for r in results):
            store.publish()
    names = {state: tuple(sorted(r.name for r in results if r.state == state)) for state in ("stored", "skipped")}
    failed = {r.name: r.cause for r in results if r.state == "failed"}
    return IngestResult(stored=names["stored"], skipped=names["skipped"], failed=failed)


def _results(
    recordings: list[Recording], store_uri: str, stored: dict[str, Entry], workers: int | None
) -> Iterator[RecordingResult]:
    """First those that are refused, which need no reading; then the others as they finish, largest started first."""
    causes = refused(recordings)
    for name, cause in causes.items():
        yield RecordingResult(name=name, state="failed", cause=cause)
    local = {r.name: [file for file in r.files if isinstance(file, Path)] for r in recordings if r.name not in causes}
    sizes = {name: sum(file.stat().st_size for file in files) for name, files in local.items()}
    present = sorted((r for r in recordings if r.name in sizes), key=lambda r: (-sizes[r.name], r.name))
    notes = overlapping(present)
    for result in _in_parallel(present, store_uri, stored, workers):
        is_told = result.state == "stored" and result.name in notes
        yield dataclasses.replace(result, notes=(*result.notes, notes[result.name])) if is_told else result


def _in_parallel(
    recordings: list[Recording], store_uri: str, stored: dict[str, Entry], workers: int | None
) -> Iterator[RecordingResult]:
    """The results in the order in which tasks end. If a worker process dies, only its recording fails."""
    import ray

    hash_file = ray.remote(num_cpus=1)(content_of)
    task = ray.remote(num_cpus=1, max_retries=1)(_ingest_in_task)
    planned = {recording.name for recording in recordings}
    others = ray.put([StoredContent.of(entry) for entry in stored.values() if entry.recorded not in planned])
    waiting = deque(recordings)
    running: dict[ray.ObjectRef, Recording] = {}
    contents: dict[Path | Remote, ray.ObjectRef] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (workers or len(recordings)):
                recording = waiting.popleft()
                for path in recording.files:  # a file with several sessions is hashed once
                    contents[path] = contents.get(path) or hash_file.remote(path, recording.links)  # type: ignore[call-arg]
                own = [contents[path] for path in recording.files]
                known = stored[recording.name].fingerprint if recording.name in stored else None
                running[task.remote(recording, store_uri, known, others, *own)] = recording
            done, _ = ray.wait(list(running), num_returns=1)
            recording = running.pop(done[0])
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayTaskError as err:  # its file cannot be hashed
                is_ours = isinstance(err.cause, RaydistillError)
                cause = str(err.cause) if is_ours else f"{recording.path.name}: {one_line(err.cause)}"
                yield RecordingResult(name=recording.name, state="failed", cause=cause)
            except ray.exceptions.RayError as err:
                cause = f"{recording.path.name}: its worker died ({type(err).__name__}: {one_line(err)})"
                yield RecordingResult(name=recording.name, state="failed", cause=cause)
    finally:
        for reference in running:
            ray.cancel(reference)


def _ingest_in_task(
    recording: Recording, store_uri: str, stored: str | None, others: list[StoredContent], *contents: Content
) -> RecordingResult:
    """`ingest_one`, with further tasks that decimate the LFP of a long recording in parts."""
    return ingest_one(recording, store_uri, stored, contents, partial(_decimated_in_tasks, recording), others)


def _decimated_in_tasks(recording: Recording, signal: Signal, stage: Decimation) -> Iterator[np.ndarray]:
    """The slices of `decimated`, bit for bit, from tasks that each read a part. A short recording is done here.

    While this task waits for the parts, Ray gives its CPU to them.
    """
    import ray

    values = stage.factor * signal.n_channels  # raw values per decimated sample
    part = stage.step * max(1, _PART_VALUES // (values * stage.step))
    if part >= stage.n:
        yield from decimated(signal, stage)
        return
    task = ray.remote(num_cpus=1, max_retries=1)(_decimated_part)
    starts = deque(range(0, stage.n, part))
    running: deque[ray.ObjectRef] = deque()
    while starts or running:
        while starts and len(running) <= cores():
            a = starts.popleft()
            running.append(task.remote(recording, signal.number, stage, a, min(a + part, stage.n)))
        try:
            yield ray.get(running.popleft())
        except ray.exceptions.RayTaskError as err:
            raise err.cause from None


def _decimated_part(recording: Recording, number: int, stage: Decimation, start: int, stop: int) -> np.ndarray:
    """Decimated samples [start, stop) of a series of a recording, (stop - start, C)."""
    with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        if number >= len(raw.lfp):
            raise DataError(f"{recording.path.name}: its LFP was removed while it was read")
        return np.concatenate(list(decimated(raw.lfp[number], stage, start, stop)))


def ingest_one(
    recording: Recording,
    store_uri: str,
    stored: str | None,
    contents: Sequence[Content] | None = None,
    decimate: Decimate = decimated,
    others: Sequence[StoredContent] = (),
) -> RecordingResult:
    """Write one recording into the store unless it is unchanged; every error becomes a failed RecordingResult.

    Args:
        stored: fingerprint of the session in the store; None: it is not stored.
        contents: one per file of the recording, see `content_of`; None: they are read here.
        decimate: computes the first stage of LFP preprocessing, see `lfp_on_bins`.
        others: the sessions in the store that are not ingested again.
    """
    try:
        contents = [content_of(path, recording.links) for path in recording.files] if contents is None else contents
        identity = recording_fingerprint(recording, contents)
        damaged = _damaged(Store(store_uri), recording, identity) if identity == stored else []
        if identity == stored and not damaged:
            return RecordingResult(name=recording.name, state="skipped")
        notes = (
            *damaged,
            *_stored_under_other_names(recording, contents, others),
            *_missing_links(recording, contents),
        )
        session, lost = _read(recording, contents, decimate)
        release_free_memory()
        entry = write_draws(Store(store_uri), session, recording.config, identity)
    except RaydistillError as err:
        return RecordingResult(name=recording.name, state="failed", cause=str(err))
    except Exception as err:
        cause = f"{recording.path.name}: {type(err).__name__}: {one_line(err)}"
        return RecordingResult(name=recording.name, state="failed", cause=cause)
    notes = (*lost, *notes, *unused_notes(entry))  # the first line says what was taken from where
    if (repeats := recording.config.splits.repeats) > 1:
        notes += (f"{repeats} draws of its folds",)
    if entry.outliers:
        notes += (f"{entry.outliers} split units excluded: behavior SD above Tukey's fence (`splits.outliers: drop`)",)
    return RecordingResult(name=recording.name, state="stored", notes=notes)


def _damaged(store: Store, recording: Recording, identity: str) -> list[str]:
    """One note for each file of a stored session that is not what was written."""
    lines = damaged_draws(store, recording.name, recording.config, identity)
    return [f"{line}; the session is stored again" for line in lines]


def _read(recording: Recording, contents: Sequence[Content], decimate: Decimate) -> tuple[Session, tuple[str, ...]]:
    """The session and the notes on it. What was read of its files is released at the return, before the session is
    written; spike times even before the LFP is read, because no name refers to them here."""
    digests = sources(recording.files, contents)
    opened = open_raw(recording.path, recording.source, recording.config.bin_width_ms)
    with ExitStack() as files:
        return to_session(recording, files.enter_context(opened), digests, decimate)


def _stored_under_other_names(
    recording: Recording, contents: Sequence[Content], others: Sequence[StoredContent]
) -> list[str]:
    """One note for the sessions that were made from the same main file, perhaps from another part of it.

    Raises:
        DataError: one of them is this recording, under another name.
    """
    same_file = [other for other in others if contents[0].digest in other.digests]
    for other in same_file:
        renamed = dataclasses.replace(recording, name=other.session)
        if recording_fingerprint(renamed, contents) == other.fingerprint:
            raise DataError(
                f"{recording.path}: stored already, as session {other.session}; give it this `name` in a manifest, or "
                f"delete the folder segments/session={other.session} of the store"
            )
    names = ", ".join(other.session for other in same_file)
    return [f"its file is also that of {names}; do not train on the one and test on the other"] if same_file else []


def _missing_links(recording: Recording, contents: Sequence[Content]) -> list[str]:
    """One note for each linked file that is not there."""
    return [
        f"{file.name} links to {path}, which is not there, so what it holds is left out"
        for file, content in zip(recording.files, contents, strict=True)
        for path in content.missing
    ]


def recording_fingerprint(recording: Recording, contents: Sequence[Content]) -> str:
    """sha256 of everything that determines the stored session. The location and names of its files do not.

    Args:
        contents: one per file, in the order of `recording.files`, because each file has its own role.
    """
    source = dataclasses.asdict(recording.source)
    del source["companions"]  # their digests are used instead
    if members := _members(recording.path, recording.source.companions):
        source["members"] = members
    for addition, described in zip(recording.source.additions, source["additions"], strict=True):
        own = files_of(addition.path, addition.companions)
        described["path"] = recording.files.index(own[0])  # which of the digests is that of its file
        described["companions"] = _members(addition.path, addition.companions)
    identities = [content.identity for content in contents]
    return fingerprint([FORMAT_VERSION, recording.name, identities, source, recording.config])


def _members(path: Path | Remote, companions: Sequence[str]) -> list[str]:
    """The names, in a folder of which only some files are read, of these files."""
    return [name.removeprefix(f"{path.name}/") for name in companions if name.startswith(f"{path.name}/")]

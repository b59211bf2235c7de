"""Recordings into the store: one Ray task per recording, each independent of the others.

A recording whose files are not here, or that is another session's recording too, fails before any is read. A task
hashes its files, and those that they link to, or asks the server for the ETag, and compares the fingerprint of
(content, description, configuration, format) with the stored one. If they are equal, and the files of the stored
session are what was written, it stops. Otherwise it reads, preprocesses and writes the session, its marker file last.
An error affects only its own recording, and is reported in one line; so does a library that crashes or does not end
(`guard.py`), or that asks for too much memory (`memory.py`). The driver publishes the catalogue at the end, even after
an interrupt, so that finished sessions are never lost.
"""

import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from raydistill.cluster import connected, cores, is_local
from raydistill.cluster.room import Need
from raydistill.cluster.waiting import ClusterWatch, Wanted, check_possible
from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.config.names import recorded_and_draw
from raydistill.errors import DataError, RaydistillError, one_line
from raydistill.files import release_free_memory
from raydistill.object_store import is_uri
from raydistill.recordings.content import Content, StoredContent, content_of, sources
from raydistill.recordings.guard import UNWATCHED, Guard, ended
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.preprocessing.decimation import Decimate, Decimation, decimated
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.raw import Raw, Signal
from raydistill.recordings.recording import Recording, files_of
from raydistill.recordings.refused import overlapping, refused
from raydistill.recordings.remote import Remote
from raydistill.shared_folders import SharedFolders
from raydistill.store.catalogue import Entry
from raydistill.store.draws import damaged_draws, write_draws
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.store.unused import unused_notes

if TYPE_CHECKING:
    import ray

_PART_VALUES = 1 << 29  # raw values that one task decimates: about four minutes of 96 channels at 24 kHz
_QUIET_S = 60.0
"""Seconds without a result after which the recordings that are waited for are named."""
READING = Wanted("the reading of recordings", Need(1))
_LOOK_S = 1.0
"""Seconds between two looks at the cluster."""


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
    report_wait: Callable[[list[str], float], None] = lambda names, seconds: None,
    tell: Callable[[str], None] = lambda line: None,
    guard: Guard = UNWATCHED,
) -> IngestResult:
    """`ingest` on the cluster at `address`, or on a local Ray that is stopped afterwards.

    Args:
        tell: called in the driver with a line about a node that the cluster has lost, or that has joined it.
    Raises:
        RaydistillError: there is no cluster at the address, or a node does not reach the store or the recordings.
    """
    with connected(address):
        workers = workers or (cores() if is_local() else None)
        check_possible(READING)
        check = None if is_local() else _check_shared(recordings, store_uri)
        cluster = ClusterWatch(tell, check=check)
        return ingest(
            recordings,
            store_uri,
            workers=workers,
            report=report,
            report_wait=report_wait,
            watch=lambda: cluster.look([READING]),
            guard=guard,
        )


def _check_shared(recordings: Sequence[Recording], store_uri: str) -> Callable[[Collection[str]], None]:
    """Check that all nodes of the cluster reach the store and the recordings; returns the check for later nodes."""
    local = (file for recording in recordings for file in recording.absolute().files if isinstance(file, Path))
    if not is_uri(store_uri):
        Path(store_uri.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    folders = SharedFolders(written=(store_uri,), read=tuple(dict.fromkeys(str(file.parent) for file in local)))
    folders.check()
    return folders.check


def ingest(
    recordings: list[Recording],
    store_uri: str,
    *,
    workers: int | None = None,
    report: Callable[[RecordingResult], None] = lambda result: None,
    report_wait: Callable[[list[str], float], None] = lambda names, seconds: None,
    watch: Callable[[], None] = lambda: None,
    guard: Guard = UNWATCHED,
) -> IngestResult:
    """Read recordings into the store, in parallel; unchanged sessions are skipped. Ray must be initialised.

    Args:
        recordings: see `plan_sources`.
        store_uri: path or URI of the store, created if it does not exist.
        workers: maximum number of recordings at a time; None: as many as Ray has CPUs.
        report: called in the driver with the result of each recording when it is known.
        report_wait: called in the driver with the names of the sessions that are waited for, and for how many seconds
            there was no result: after a minute, two, four and so on.
        watch: called in the driver every second while it waits.
        guard: what the reading of each recording may take.

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
        for result in _results(recordings, store_uri, stored, workers, report_wait, watch, guard):
            results.append(result)
            report(result)
    finally:
        if stored or any(r.state == "stored" for r in results):
            store.publish()
    names = {state: tuple(sorted(r.name for r in results if r.state == state)) for state in ("stored", "skipped")}
    failed = {r.name: r.cause for r in results if r.state == "failed"}
    return IngestResult(stored=names["stored"], skipped=names["skipped"], failed=failed)


def _results(
    recordings: list[Recording],
    store_uri: str,
    stored: dict[str, Entry],
    workers: int | None,
    report_wait: Callable[[list[str], float], None],
    watch: Callable[[], None],
    guard: Guard,
) -> Iterator[RecordingResult]:
    """First those that are refused, which need no reading; then the others as they finish, largest started first."""
    causes = refused(recordings)
    for name, cause in causes.items():
        yield RecordingResult(name=name, state="failed", cause=cause)
    local = {r.name: [file for file in r.files if isinstance(file, Path)] for r in recordings if r.name not in causes}
    sizes = {name: sum(file.stat().st_size for file in files) for name, files in local.items()}
    present = sorted((r for r in recordings if r.name in sizes), key=lambda r: (-sizes[r.name], r.name))
    notes = overlapping(present)
    for result in _in_parallel(present, store_uri, stored, workers, report_wait, watch, guard):
        is_told = result.state == "stored" and result.name in notes
        yield dataclasses.replace(result, notes=(*result.notes, notes[result.name])) if is_told else result


def _in_parallel(
    recordings: list[Recording],
    store_uri: str,
    stored: dict[str, Entry],
    workers: int | None,
    report_wait: Callable[[list[str], float], None],
    watch: Callable[[], None],
    guard: Guard,
) -> Iterator[RecordingResult]:
    """The results in the order in which tasks end. If a worker process dies, only its recording fails."""
    import ray

    hash_file = ray.remote(num_cpus=1, max_retries=1)(_content_in_task)
    task = ray.remote(num_cpus=1, max_retries=1)(_ingest_in_task)
    planned = {recording.name for recording in recordings}
    others = ray.put([StoredContent.of(entry) for entry in stored.values() if entry.recorded not in planned])
    waiting = deque(recordings)
    running: dict[ray.ObjectRef, tuple[Recording, Guard]] = {}
    contents: dict[Path | Remote, ray.ObjectRef] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (workers or len(recordings)):
                recording = waiting.popleft()
                for path in recording.files:  # a file with several sessions is hashed once
                    contents[path] = contents.get(path) or hash_file.remote(path, recording.links, guard.fresh())  # type: ignore[call-arg]
                own, its_guard = [contents[path] for path in recording.files], guard.fresh()
                known = stored[recording.name].fingerprint if recording.name in stored else None
                started = task.remote(recording, store_uri, known, others, its_guard, *own)
                running[started] = (recording, its_guard)
            done = _first_done(list(running), lambda s: report_wait([r.name for r, _ in running.values()], s), watch)
            recording, its_guard = running.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as err:
                cause = _cause_of_end(err, recording.path, its_guard)
                yield RecordingResult(name=recording.name, state="failed", cause=cause)
    finally:
        for reference in running:
            ray.cancel(reference)


def _first_done(
    running: "list[ray.ObjectRef]", report_wait: Callable[[float], None], watch: Callable[[], None]
) -> "ray.ObjectRef":
    """The first task that ends. `report_wait` gets the seconds so far: after a minute, two, four and so on."""
    import ray

    began, next_s = time.monotonic(), _QUIET_S
    while True:
        watch()
        done, _ = ray.wait(running, num_returns=1, timeout=min(_LOOK_S, next_s))
        if done:
            return done[0]
        if time.monotonic() - began >= next_s:
            report_wait(next_s)
            next_s *= 2


def _cause_of_end(err: Exception, path: Path | Remote, guard: Guard) -> str:
    """Why a task of Ray failed, in one line for the user, who need not know Ray."""
    from ray import exceptions

    if isinstance(err, exceptions.RayTaskError) and isinstance(err.cause, exceptions.RayError):
        return _cause_of_end(err.cause, path, guard)  # the task that hashes the file had ended
    if isinstance(err, exceptions.RayTaskError):  # it raised an error, such as that of a file that cannot be hashed
        is_ours = isinstance(err.cause, RaydistillError)
        return str(err.cause) if is_ours else f"{path.name}: {one_line(err.cause)}"
    if isinstance(err, exceptions.OutOfMemoryError):
        return f"{path}: its machine ran short of memory while it was read; use fewer `--workers`"
    if isinstance(err, exceptions.NodeDiedError):
        return f"{path}: two machines were lost while they read it; run the same command again"
    if isinstance(err, exceptions.WorkerCrashedError):
        return guard.cause([path]) or ended(path)
    return f"{path}: Ray could not run the reading of it ({one_line(err)}); run the same command again"


def _content_in_task(path: Path | Remote, allowed: Sequence[Path], guard: Guard) -> Content:
    with guard.over([path]):
        return content_of(path, allowed)


def _ingest_in_task(
    recording: Recording,
    store_uri: str,
    stored: str | None,
    others: list[StoredContent],
    guard: Guard,
    *contents: Content,
) -> RecordingResult:
    """`ingest_one`, with further tasks that decimate the LFP of a long recording in parts."""
    decimate = partial(_decimated_in_tasks, recording, guard)
    return ingest_one(recording, store_uri, stored, contents, decimate, others, guard)


def _decimated_in_tasks(recording: Recording, guard: Guard, signal: Signal, stage: Decimation) -> Iterator[np.ndarray]:
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
    running: deque[tuple[ray.ObjectRef, Guard]] = deque()
    while starts or running:
        while starts and len(running) <= cores():
            a, its_guard = starts.popleft(), guard.fresh()
            started = task.remote(recording, its_guard, signal.number, stage, a, min(a + part, stage.n))
            running.append((started, its_guard))
        reference, its_guard = running.popleft()
        try:
            yield ray.get(reference)
        except ray.exceptions.RayTaskError as err:
            raise err.cause from None
        except ray.exceptions.RayError as err:
            raise DataError(_cause_of_end(err, recording.path, its_guard)) from None


def _decimated_part(
    recording: Recording, guard: Guard, number: int, stage: Decimation, start: int, stop: int
) -> np.ndarray:
    """Decimated samples [start, stop) of a series of a recording, (stop - start, C)."""
    with guard.over(recording.files), _opened(recording, guard) as raw:
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
    guard: Guard = UNWATCHED,
) -> RecordingResult:
    """Write one recording into the store unless it is unchanged; every error becomes a failed RecordingResult.

    Args:
        stored: fingerprint of the session in the store; None: it is not stored.
        contents: one per file of the recording, see `content_of`; None: they are read here.
        decimate: computes the first stage of LFP preprocessing, see `lfp_on_bins`.
        others: the sessions in the store that are not ingested again.
        guard: what the reading may take.
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
        session, lost = _read(recording, contents, decimate, guard)
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
    if not entry.splits.get("valid"):
        notes += ("no validation fold, because `protocol: released` draws none from fewer than ten split units",)
    return RecordingResult(name=recording.name, state="stored", notes=notes)


def _damaged(store: Store, recording: Recording, identity: str) -> list[str]:
    """One note for each file of a stored session that is not what was written."""
    lines = damaged_draws(store, recording.name, recording.config, identity)
    return [f"{line}; the session is stored again" for line in lines]


def _read(
    recording: Recording, contents: Sequence[Content], decimate: Decimate, guard: Guard
) -> tuple[Session, tuple[str, ...]]:
    """The session and the notes on it. What was read of its files is released at the return, before the session is
    written; spike times even before the LFP is read, because no name refers to them here."""
    digests = sources(recording.files, contents)
    with guard.over(recording.files), ExitStack() as files:
        return to_session(recording, files.enter_context(_opened(recording, guard)), digests, decimate)


def _opened(recording: Recording, guard: Guard) -> AbstractContextManager[Raw]:
    return open_raw(recording.path, recording.source, recording.config.bin_width_ms, guard.memory_gb)


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
    # Draws of the folds of one recording lie under further names; the user knows only the first.
    names = ", ".join(dict.fromkeys(recorded_and_draw(other.session)[0] for other in same_file))
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

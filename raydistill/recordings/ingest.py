"""Recordings into the store: one Ray task a recording, each independent of the others.

A task hashes its file, or asks the server for its ETag, compares the fingerprint of (content, description,
configuration, format) with the stored one, and stops there if nothing has changed. Otherwise it reads, preprocesses
and writes the session, marker last.
What goes wrong with one recording is that recording's failure, with its cause in one line; the others arrive. The
driver publishes the catalogue at the end, also when it is interrupted: finished sessions are never lost.
"""

import dataclasses
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from raydistill.cluster import connected, cores
from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.errors import RaydistillError, one_line
from raydistill.recordings.manifest import Recording
from raydistill.recordings.preprocessing.decimation import Decimate, Decimation, decimated
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.readers import Signal, opened
from raydistill.recordings.remote import Remote
from raydistill.store.store import Store

_PART_VALUES = 1 << 29  # raw values that one task decimates: about four minutes of 96 channels at 24 kHz


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What became of one recording."""

    name: str
    state: Literal["made", "skipped", "failed"]
    cause: str = ""
    """Of a failure, in one line."""
    notes: tuple[str, ...] = ()
    """What was left out of a session that was made."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an ingest did, by session name."""

    made: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Stored already, and unchanged."""
    failed: dict[str, str] = field(default_factory=dict)
    """Name -> cause in one line."""


def ingest_with_ray(
    recordings: list[Recording],
    store_uri: str,
    *,
    workers: int | None = None,
    address: str | None = None,
    report: Callable[[Arrival], None] = lambda arrival: None,
) -> Outcome:
    """`ingest` on the cluster at `address`, or on a local Ray for as long as it takes."""
    with connected(address):
        return ingest(recordings, store_uri, workers=workers or (None if address else cores()), report=report)


def ingest(
    recordings: list[Recording],
    store_uri: str,
    *,
    workers: int | None = None,
    report: Callable[[Arrival], None] = lambda arrival: None,
) -> Outcome:
    """Read recordings into the store, in parallel; unchanged sessions are skipped. Ray must be initialised.

    Args:
        recordings: see `plan_sources`.
        store_uri: path or URI of the store, made if it is not there.
        workers: most recordings at a time; None: as many as Ray has CPUs for.
        report: called in the driver for each recording as it is done.
    Raises:
        DataError: the store cannot be used at all. A single recording never raises.
    """
    # Workers run in folders of their own.
    store_uri = store_uri if "://" in store_uri else os.path.abspath(store_uri)
    recordings = [dataclasses.replace(r, path=r.path.absolute()) for r in recordings]
    store = Store(store_uri)
    known = store.fingerprints()
    arrivals = []
    try:
        for arrival in _arrivals(recordings, store_uri, known, workers):
            arrivals.append(arrival)
            report(arrival)
    finally:
        if known or any(a.state == "made" for a in arrivals):
            store.publish()
    names = {state: tuple(sorted(a.name for a in arrivals if a.state == state)) for state in ("made", "skipped")}
    return Outcome(**names, failed={a.name: a.cause for a in arrivals if a.state == "failed"})


def _arrivals(recordings: list[Recording], store_uri: str, known: dict[str, str], workers: int | None):
    """Missing files first, since that needs no reading; then the others as they come, the largest begun first."""
    sizes = {}
    for recording in recordings:
        try:
            local = [path for path in files_of(recording) if isinstance(path, Path)]  # the others are asked for later
            sizes[recording.name] = sum(path.stat().st_size for path in local)
        except OSError as err:
            hint = "no such file; name the folder of the files with --folder"
            cause = f"{err.filename}: {hint if isinstance(err, FileNotFoundError) else err.strerror}"
            yield Arrival(name=recording.name, state="failed", cause=cause)
    found = sorted((r for r in recordings if r.name in sizes), key=lambda r: (-sizes[r.name], r.name))
    yield from _in_parallel(found, store_uri, known, workers)


def _in_parallel(recordings: list[Recording], store_uri: str, known: dict[str, str], workers: int | None):
    """Arrivals as they come; a worker that dies (out of memory, killed) fails its recording only."""
    import ray

    hash_file = ray.remote(num_cpus=1)(digest)
    task = ray.remote(num_cpus=1, max_retries=1)(_ingest_in_task)
    waiting, running, digests = deque(recordings), {}, {}
    try:
        while waiting or running:
            while waiting and len(running) < (workers or len(recordings)):
                recording = waiting.popleft()
                for path in files_of(recording):  # a file with several sessions is hashed once
                    digests[path] = digests.get(path) or hash_file.remote(path)
                own = [digests[path] for path in files_of(recording)]
                running[task.remote(recording, store_uri, known.get(recording.name), *own)] = recording
            done, _ = ray.wait(list(running), num_returns=1)
            recording = running.pop(done[0])
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayTaskError as err:  # its file cannot be hashed
                known_fault = isinstance(err.cause, RaydistillError)
                cause = str(err.cause) if known_fault else f"{recording.path.name}: {one_line(err.cause)}"
                yield Arrival(name=recording.name, state="failed", cause=cause)
            except ray.exceptions.RayError as err:
                cause = f"{recording.path.name}: its worker died ({type(err).__name__}: {one_line(err)})"
                yield Arrival(name=recording.name, state="failed", cause=cause)
    finally:
        for reference in running:
            ray.cancel(reference)


def _ingest_in_task(recording: Recording, store_uri: str, known: str | None, *digests: str) -> Arrival:
    """`ingest_one`, where the LFP of a long recording is decimated by tasks of its own."""
    return ingest_one(recording, store_uri, known, digests, partial(_decimated_in_tasks, recording))


def _decimated_in_tasks(recording: Recording, signal: Signal, stage: Decimation) -> Iterator[np.ndarray]:
    """The slices of `decimated`, bit for bit, from tasks that each read a part; a short recording needs none.

    While this task waits for its parts, Ray lends its CPU to them.
    """
    import ray

    values = stage.factor * signal.n_channels  # raw ones behind each decimated sample
    part = stage.step * max(1, _PART_VALUES // (values * stage.step))
    if part >= stage.n:
        yield from decimated(signal, stage)
        return
    task = ray.remote(num_cpus=1, max_retries=1)(_decimated_part)
    starts, running = deque(range(0, stage.n, part)), deque()
    while starts or running:
        while starts and len(running) <= cores():
            a = starts.popleft()
            running.append(task.remote(recording, stage, a, min(a + part, stage.n)))
        try:
            yield ray.get(running.popleft())
        except ray.exceptions.RayTaskError as err:
            raise err.cause from None


def _decimated_part(recording: Recording, stage: Decimation, start: int, stop: int) -> np.ndarray:
    """Decimated samples [start, stop) of a recording, (stop - start, C)."""
    with opened(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        return np.concatenate(list(decimated(raw.lfp, stage, start, stop)))


def ingest_one(
    recording: Recording,
    store_uri: str,
    known: str | None,
    digests: Sequence[str] | None = None,
    decimate: Decimate = decimated,
) -> Arrival:
    """Bring one recording into the store unless its fingerprint is `known`; every error becomes a failed Arrival.

    Args:
        digests: of each of `files_of(recording)`; None: they are made here.
    """
    try:
        digests = [digest(path) for path in files_of(recording)] if digests is None else digests
        sources = {path.name: digest for path, digest in zip(files_of(recording), digests, strict=True)}
        identity = recording_fingerprint(recording, sources)
        if identity == known:
            return Arrival(name=recording.name, state="skipped")
        with opened(recording.path, recording.source, recording.config.bin_width_ms) as raw:
            session, notes = to_session(recording, raw, sources, decimate)
        entry = Store(store_uri).write(session, recording.config, identity)
    except RaydistillError as err:
        return Arrival(name=recording.name, state="failed", cause=str(err))
    except Exception as err:
        cause = f"{recording.path.name}: {type(err).__name__}: {one_line(err)}"
        return Arrival(name=recording.name, state="failed", cause=cause)
    if entry.outliers:
        notes += (f"{entry.outliers} parents of too restless behavior left out",)
    return Arrival(name=recording.name, state="made", notes=notes)


def files_of(recording: Recording) -> list[Path | Remote]:
    """The recording's file, and its companion where it has one."""
    companion = getattr(recording.source, "companion", None)
    return [recording.path, *([recording.path.parent / companion] if companion else [])]


def recording_fingerprint(recording: Recording, digests: dict[str, str]) -> str:
    """sha256 of all that decides what a stored session holds; where the file lies does not."""
    described = dataclasses.asdict(recording.source)
    for name in ("file", "companion", "ingest"):  # content stands for the files, the configuration for `ingest`
        described.pop(name, None)
    return fingerprint([FORMAT_VERSION, recording.name, sorted(digests.values()), described, recording.config])


def digest(path: Path | Remote) -> str:
    """sha256 of a local file; of a remote one what its server states, since nothing is downloaded as a whole."""
    if isinstance(path, Remote):
        return path.identity()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

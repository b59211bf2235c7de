"""Runs folders in an object store: every machine works in a copy of its own, and the store holds what counts.

A job's folder is published file by file, the marker last, so that what has a marker is whole; nothing is renamed, and
no disk is shared. A machine fetches what it needs: a worker the weights of the jobs that its own starts from, and the
newest checkpoint; the driver everything but weights. A file is taken for the same if it has the size and the time of
the one in the store, which its copy is given; a marker has the digests of all.

Nothing is fetched into a folder in which a process of this machine works, which may be the worker of a driver that has
the same copy.

`register` tells this process that a folder is the copy of an address. Every other function takes folders in it, and
does nothing for a folder that is in no copy: so it is called in the same way for runs on a disk.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from raydistill.files import read_mapping, write_json
from raydistill.marker import ELSEWHERE, MARKER, damage
from raydistill.object_store import PATIENCE_S, StorageError, StoredFile, StoredFolder, without_options
from raydistill.ownership import OWNER, LostFolderError, is_busy, token_of

CHECKPOINTS, WEIGHTS, JOBS, JOB = "checkpoints", "model.safetensors", "jobs", "job.json"
UNPUBLISHED = ".unpublished"
"""In the folder of a job that the store does not have as it is here."""
AT_ONCE = 16
"""Requests at the same time."""
_CACHE = "RAYDISTILL_CACHE"
"""Environment variable: the folder for copies, by default ~/.cache/raydistill."""

_uris: dict[Path, str] = {}
"""Folder -> the address that it is a copy of."""


def register(uri: str) -> Path:
    """The folder of this machine that is the copy of an address; it is made when something is put there."""
    cache = Path(os.environ.get(_CACHE) or Path.home() / ".cache" / "raydistill")
    folder = cache.absolute() / "runs" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    _uris[folder] = uri
    return folder


def uri_of(folder: Path) -> str:
    """The address of the runs folder in whose copy this folder is; "" if it is in none."""
    return next((_uris[parent] for parent in (folder, *folder.parents) if parent in _uris), "")


def fetch_runs(root: Path, everything: bool = False) -> None:
    """Bring all documents and jobs of a copy up to date, without weights and the content of checkpoints.

    Finished jobs that the store does not have are deleted, except for those that could not be published.

    Args:
        everything: with weights too.
    Raises:
        StorageError: the store refuses, or cannot be reached now.
    """
    if not (store := _store_of(root)):
        return
    found = store.list(patience_s=0)
    if not found:
        store.check()
    by_job: dict[str, dict[str, StoredFile]] = {}
    documents = {}
    for name, file in found.items():
        top, _, rest = name.partition("/")
        if top == JOBS:
            by_job.setdefault(rest.partition("/")[0], {})[name] = file
        elif top == "sweeps" or name in ("rates.json", "notes.json"):
            documents[name] = file
    for marker in root.glob(f"{JOBS}/*/{MARKER}"):
        is_stale = marker.relative_to(root).as_posix() not in found and not (marker.parent / UNPUBLISHED).exists()
        if is_stale and not is_busy(marker.parent):
            shutil.rmtree(marker.parent)
    wanted = dict(documents)
    for key, files in by_job.items():
        if is_busy(root / JOBS / key):
            continue
        wanted |= _wanted(files, weights=everything, checkpoints=False)
        _note_elsewhere(root / JOBS / key, files, weights=everything)
    _download(store, root, wanted)


def publish_left(root: Path) -> None:
    """Publish the finished jobs of a copy that could not be published when they ended."""
    if store := _store_of(root):
        there = store.list(JOBS)
        for flag in root.glob(f"{JOBS}/*/{UNPUBLISHED}"):
            marker = flag.with_name(MARKER)
            if marker.exists() and marker.relative_to(root).as_posix() not in there and not is_busy(flag.parent):
                publish(flag.parent)


def fetch(folder: Path, weights: bool = True, patience_s: float = PATIENCE_S) -> None:
    """Bring the folder of a job up to date: with its checkpoints, and nothing that the store does not have.

    Args:
        weights: with the weights; without, they are noted as being elsewhere, and checkpoints are left out.
        patience_s: how long to try again if the store cannot be reached.
    """
    if not (store := _store_of(folder)) or is_busy(folder):
        return
    root, name = _place(folder)
    files = store.list(name, patience_s)
    if f"{name}/{MARKER}" not in files and (folder / MARKER).exists():
        if (folder / UNPUBLISHED).exists():
            publish(folder)
            return
        shutil.rmtree(folder)  # it was deleted there, or set aside to be run again
    _note_elsewhere(folder, files, weights)
    if weights:
        _delete_others(folder / CHECKPOINTS, {root / stored for stored in files})
    wanted = _wanted(files, weights, checkpoints=weights)
    _download(store, root, wanted)
    if weights and (folder / MARKER).exists() and damage(folder, everything=True):  # perhaps only of the copy
        for stored in wanted:
            (root / stored).unlink(missing_ok=True)
        _download(store, root, wanted)


def fetch_history(folder: Path) -> None:
    """Bring the small files of a job that is running up to date."""
    if (store := _store_of(folder)) and not is_busy(folder):
        root, name = _place(folder)
        files = {n: f for n, f in store.list(name, patience_s=0).items() if n.endswith(".jsonl")}
        _download(store, root, files)


def announce(folder: Path) -> None:
    """Let the store know that this process runs the job, and what it starts from.

    Whoever ran it before finds out before it publishes.
    """
    if store := _store_of(folder):
        root, name = _place(folder)
        store.write(f"{name}/{OWNER}", (folder / OWNER).read_bytes())
        _upload(store, root, [file for file in [folder / JOB] if file.exists()])


def announced(folder: Path) -> dict | None:
    """The process that has announced that it runs a job; on a disk, the one that has its folder.

    None if there is none, or the store does not answer now.
    """
    if not (store := _store_of(folder)):
        return read_mapping(folder / OWNER)
    try:
        return _owner_in(store, _place(folder)[1], patience_s=0)
    except StorageError:
        return None


def publish(folder: Path) -> None:
    """Send the folder of a job, if it is finished with its marker last; what the store has besides is deleted.

    Raises:
        LostFolderError: another process has announced that it runs the job.
    """
    if not (store := _store_of(folder)):
        return
    root, name = _place(folder)
    (folder / UNPUBLISHED).touch()
    _check_owner(store, folder, name)
    there = store.list(name)
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    is_whole = (folder / MARKER).exists()
    _upload(store, root, [file for file in files if file.name != MARKER])
    if is_whole:
        _upload(store, root, [folder / MARKER])
        own = {file.relative_to(root).as_posix() for file in files}
        _each(store.delete, [stored for stored in there if stored not in own])
    (folder / UNPUBLISHED).unlink(missing_ok=True)


def publish_checkpoint(checkpoint: Path) -> None:
    """Send a checkpoint of a job, its marker last, and the history so far; older ones are deleted as they are here."""
    folder = checkpoint.parent.parent
    if not (store := _store_of(folder)):
        return
    root, name = _place(folder)
    _check_owner(store, folder, name)
    there = store.list(f"{name}/{CHECKPOINTS}")
    files = [*checkpoint.iterdir(), *folder.glob("*.jsonl")]
    _upload(store, root, [file for file in files if file.name != MARKER])
    _upload(store, root, [checkpoint / MARKER])
    kept = {path.name for path in checkpoint.parent.iterdir()}
    _each(store.delete, [stored for stored in there if stored.split("/")[3] not in kept])


def publish_files(root: Path, files: Iterable[Path], patience_s: float = 0.0) -> None:
    """Send files of a copy, such as results, as they are; by default once, as the driver tries again by itself."""
    if store := _store_of(root):
        _upload(store, root, [file for file in files if file.is_file()], patience_s)


def withdraw(folder: Path) -> None:
    """Delete the folder of a job from the store, the marker first."""
    if store := _store_of(folder):
        _, name = _place(folder)
        store.delete(f"{name}/{MARKER}")
        _each(store.delete, list(store.list(name)))


def _store_of(folder: Path) -> StoredFolder | None:
    uri = uri_of(folder)
    return StoredFolder(uri) if uri else None


def _place(folder: Path) -> tuple[Path, str]:
    """The root of the copy, and the name of a folder in it."""
    root = next(parent for parent in folder.parents if parent in _uris)
    return root, folder.relative_to(root).as_posix()


def _check_owner(store: StoredFolder, folder: Path, name: str) -> None:
    owner = _owner_in(store, name)
    if owner and (token := token_of(folder)) and owner.get("token") != token:
        raise LostFolderError(
            f"{without_options(store.uri)}/{name}: another process ({owner.get('pid')} on {owner.get('host')}) has "
            "taken over this job; the results of this one are dropped"
        )


def _owner_in(store: StoredFolder, name: str, patience_s: float = PATIENCE_S) -> dict | None:
    content = store.read(f"{name}/{OWNER}", patience_s)
    try:
        owner = json.loads(content) if content else None
    except ValueError:
        return None
    return owner if isinstance(owner, dict) else None


def _wanted(files: dict[str, StoredFile], weights: bool, checkpoints: bool) -> dict[str, StoredFile]:
    """The files of a job to fetch: names are jobs/KEY/NAME or jobs/KEY/checkpoints/PLACE/NAME."""
    chosen = {}
    for name, file in files.items():
        parts = name.split("/")
        in_checkpoint = len(parts) > 3
        if parts[-1].startswith("."):
            continue
        if in_checkpoint and not checkpoints and parts[-1] != MARKER:  # the names of checkpoints are enough
            continue
        if parts[-1] == WEIGHTS and not weights and not in_checkpoint:
            continue
        chosen[name] = file
    return chosen


def _note_elsewhere(folder: Path, files: dict[str, StoredFile], weights: bool) -> None:
    """Write down which files of a job are only in the store, for `marker.damage`."""
    sizes = {Path(n).name: f.size for n, f in files.items() if n.endswith(f"{folder.name}/{WEIGHTS}")}
    if weights or not sizes:
        (folder / ELSEWHERE).unlink(missing_ok=True)
    elif read_mapping(folder / ELSEWHERE) != sizes:
        write_json(folder / ELSEWHERE, sizes)


def _download(store: StoredFolder, root: Path, files: dict[str, StoredFile]) -> None:
    """Fetch the files that differ, markers last."""
    missing = [file for name, file in files.items() if not _is_same(root / name, file)]
    is_marker = lambda file: file.name.endswith(f"/{MARKER}")  # noqa: E731
    for file in missing:
        if is_marker(file):
            (root / file.name).unlink(missing_ok=True)
    _each(lambda file: _download_one(store, root, file), [file for file in missing if not is_marker(file)])
    _each(lambda file: _download_one(store, root, file), [file for file in missing if is_marker(file)])


def _download_one(store: StoredFolder, root: Path, file: StoredFile) -> None:
    path = root / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        store.download(file, temporary)
        os.utime(temporary, ns=(file.mtime_ns, file.mtime_ns))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _upload(store: StoredFolder, root: Path, files: list[Path], patience_s: float = PATIENCE_S) -> None:
    """Send files, and give them the times that the store has for them."""
    names = {file.relative_to(root).as_posix(): file for file in files}
    _each(lambda name: store.upload(names[name], name, patience_s), list(names))
    for name, stored in store.about(list(names)).items():
        with contextlib.suppress(OSError):
            os.utime(names[name], ns=(stored.mtime_ns, stored.mtime_ns))


def _is_same(path: Path, file: StoredFile) -> bool:
    try:
        about = path.stat()
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (file.size, file.mtime_ns)


def _delete_others(folder: Path, kept: set[Path]) -> None:
    """Delete what a folder has besides these files."""
    for path in sorted(folder.rglob("*"), reverse=True) if folder.exists() else ():
        if path.is_file() and path not in kept:
            path.unlink(missing_ok=True)
        elif path.is_dir():
            with contextlib.suppress(OSError):
                path.rmdir()


def _each(action: Callable, items: list) -> None:
    """Do something with each item, several at the same time; the first error is raised."""
    if len(items) <= 1:
        for item in items:
            action(item)
        return
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(action, items))

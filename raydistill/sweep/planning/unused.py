"""`raydistill gc`: what a runs folder holds that no sweep or search of it needs any more.

runs/search/<name>/jobs.txt    the key of every job that the search has tried, one per line
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raydistill.files import read_mapping
from raydistill.marker import MARKER
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.job_folder import JOB, digests_at_start
from raydistill.sweep.planning.runs_folder import KEY, RunsFolder
from raydistill.sweep.planning.verify import job_folders

TRIED, RESULT = "jobs.txt", "best.yaml"


@dataclass(frozen=True)
class Unused:
    """A folder that can be deleted."""

    path: Path
    reason: str
    size: int
    """Bytes of its files."""


def note_tried(runs: RunsFolder, search: str, jobs: list[Job]) -> None:
    """Record the jobs of a trial, so that they count as needed as long as the search exists."""
    file = runs.search_folder(search) / TRIED
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a") as lines:
        lines.write("".join(f"{job.key}\n" for job in jobs))


def unused(runs: RunsFolder) -> Iterator[Unused]:
    """Replaced folders, jobs that no sweep or search names, and checkpoints of trials that a search stopped early.

    While `unknown` finds something, every job is kept.
    """
    for folder in sorted((runs.path / "aside").glob("*")):
        if _may_be_deleted(folder):
            yield Unused(folder, "was replaced, because it was damaged or outdated", _size(folder))
    searches = [keys for keys in _of_searches(runs).values() if keys is not None]
    of_sweeps = _with_sources(runs, _of_sweeps(runs))
    tried, ended = (set().union(*keys) for keys in zip(*searches, strict=True)) if searches else (set(), set())
    needed, known = of_sweeps | _with_sources(runs, tried), not unknown(runs)
    for folder in job_folders(runs):
        if not _may_be_deleted(folder):
            continue
        if folder.name not in needed and known:
            yield Unused(folder, f"{_name(folder)}: no sweep or search of this folder names the job", _size(folder))
        elif folder.name in ended - of_sweeps and not (folder / MARKER).exists():
            checkpoints = folder / "checkpoints"
            if checkpoints.is_dir() and not checkpoints.is_symlink():
                yield Unused(checkpoints, f"{_name(folder)}: its trial was stopped early", _size(checkpoints))


def _may_be_deleted(folder: Path) -> bool:
    """Whether a folder is one of a job: what else is there, or behind a link, belongs to somebody else."""
    return folder.is_dir() and not folder.is_symlink() and KEY.fullmatch(folder.name) is not None


def unknown(runs: RunsFolder) -> list[str]:
    """Sweeps and searches whose jobs cannot be read, each in words."""
    sweeps = [f"{file} is damaged" for file in _keys_files(runs) if read_mapping(file) is None]
    searches = [f"search {name} has no list of its jobs" for name, keys in _of_searches(runs).items() if keys is None]
    return [*sweeps, *searches]


def delete(found: Unused) -> None:
    """Delete a folder. Raises OSError if that fails."""
    shutil.rmtree(found.path)


def _of_sweeps(runs: RunsFolder) -> set[str]:
    """Keys of the jobs of every sweep and variant when it was last run."""
    return {key for file in _keys_files(runs) for key in (read_mapping(file) or {}).values() if isinstance(key, str)}


def _keys_files(runs: RunsFolder) -> list[Path]:
    return sorted((runs.path / "sweeps").glob("*.json"))


def _of_searches(runs: RunsFolder) -> dict[str, tuple[set[str], set[str]] | None]:
    """Search -> (all of its keys, these again if the search has ended); None if it has no list of them."""
    found: dict[str, tuple[set[str], set[str]] | None] = {}
    for folder in sorted((runs.path / "search").glob("*")):
        if folder.is_dir():
            file = folder / TRIED
            keys = set(file.read_text().split()) if file.is_file() else None
            ended = file.is_file() and (folder / RESULT).is_file() and _newer(folder / RESULT, file)
            found[folder.name] = None if keys is None else (keys, keys if ended else set())
    return found


def _newer(file: Path, other: Path) -> bool:
    return file.stat().st_mtime_ns >= other.stat().st_mtime_ns


def _with_sources(runs: RunsFolder, keys: set[str]) -> set[str]:
    """The keys, and those of all jobs from which they started."""
    needed: set[str] = set()
    waiting = [key for key in keys if KEY.fullmatch(key)]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [source for source in digests_at_start(runs.job_folder(key)) or {} if KEY.fullmatch(source)]
    return needed


def _name(folder: Path) -> str:
    return str((read_mapping(folder / JOB) or {}).get("name", folder.name[:12]))


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())

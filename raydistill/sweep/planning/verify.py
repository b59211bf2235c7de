"""`raydistill verify`: every file of every finished job of a runs folder, read to the last byte."""

import json
from collections.abc import Iterator
from pathlib import Path

from raydistill.files import read_mapping
from raydistill.marker import MARKER
from raydistill.sweep.planning.job_folder import JOB, digests_at_start, weights_digest
from raydistill.sweep.planning.notes import FILE as NOTES
from raydistill.sweep.planning.notes import are_damaged
from raydistill.sweep.planning.runs_folder import KEY, RunsFolder

DOCUMENTS = ("rates.json", "sweeps/*.json", "sweeps/*/*.json")


def problems_of_jobs(runs: RunsFolder) -> Iterator[str]:
    """One line per problem of a finished job: a damaged file, another job's key, weights of a source that changed."""
    for folder in job_folders(runs):
        if not (folder / MARKER).exists():
            continue
        if problem := runs.problem_of(folder.name):
            yield f"{folder}: {problem}; the next sweep that needs the job runs it again"
        elif not KEY.fullmatch(folder.name) or read_mapping(folder / JOB) is None:
            yield f"{folder}: it has no {JOB}, or its name is not the key of a job"
        elif changed := _changed_sources(runs, folder):
            yield f"{folder}: it started from weights of job {changed[0][:12]} that are no longer there"


def _changed_sources(runs: RunsFolder, folder: Path) -> list[str]:
    """Keys of finished jobs whose weights are not those that this job started from; a deleted source is no problem."""
    at_start = {key: digest for key, digest in (digests_at_start(folder) or {}).items() if KEY.fullmatch(key)}
    now = {key: weights_digest(runs.job_folder(key)) for key in at_start}
    return [key for key in at_start if now[key] is not None and now[key] != at_start[key]]


def problems_of_documents(runs: RunsFolder) -> Iterator[str]:
    """One line per JSON file of the runs folder, outside of its jobs, that cannot be read."""
    for pattern in DOCUMENTS:
        for file in sorted(runs.path.glob(pattern)):
            try:
                json.loads(file.read_bytes() if file.is_file() else b"")
            except (OSError, ValueError, RecursionError):
                yield f"{file}: it is not JSON; delete it, and the next sweep writes it again"
    if are_damaged(runs):
        yield f"{runs.path / NOTES}: it is damaged; repair it, or delete it and write the notes again"


def number_of_jobs(runs: RunsFolder) -> tuple[int, int]:
    """How many jobs of a runs folder are finished, and how many are not."""
    finished = [(folder / MARKER).exists() for folder in job_folders(runs)]
    return sum(finished), len(finished) - sum(finished)


def job_folders(runs: RunsFolder) -> list[Path]:
    """The folders of all jobs, sorted by key."""
    folders = sorted((runs.path / "jobs").glob("*"))
    return [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]

"""`raydistill archive`: the finished jobs and the results of a sweep, copied to a runs folder of their own."""

import shutil
from pathlib import Path

from raydistill.errors import DataError
from raydistill.files import sha256_of
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.job_folder import problem_of
from raydistill.sweep.planning.notes import changing_notes, read_notes
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder


def archive(plan: Plan, runs: RunsFolder, to: RunsFolder, store: Path | None = None) -> list[Job]:
    """Copy the finished jobs of a plan, the results of its sweep and the notes on them; returns the copied jobs.

    A job is read back and compared with the digests that it was written with, and then renamed, so that an archive
    holds whole jobs only. Jobs that the archive holds already are compared, too, and kept.

    Args:
        store: of synthetic recordings, which is in the runs folder, and without which the sweep has other sessions.
    Raises:
        DataError: `to` is the runs folder itself, or a job or the notes in `to` are damaged.
    """
    if to.path.resolve() == runs.path.resolve():
        raise DataError(f"--to {to} is the runs folder itself; name another folder")
    copied = []
    with to.exclusive_lock():
        for job in (p.job for p in plan.planned if p.state == DONE):
            if problem := runs.problem_of(job.key):
                raise DataError(f"{runs.job_folder(job.key)}: {problem}; run the sweep again, then archive it")
            if not to.is_done(job.key) or to.problem_of(job.key):
                _copy_job(runs.job_folder(job.key), to.job_folder(job.key))
                copied.append(job)
        if store is not None:
            _copy_store(store, to.path / store.relative_to(runs.path.absolute()))
        to.write_keys(plan.sweep, plan.jobs, plan.contents)
        if runs.sweep_folder(plan.sweep).is_dir():
            # Links are copied as links, so that nothing from outside of the runs folder gets into the archive.
            shutil.copytree(
                runs.sweep_folder(plan.sweep), to.sweep_folder(plan.sweep), symlinks=True, dirs_exist_ok=True
            )
        _copy_notes(plan, runs, to)
    return copied


def _copy_job(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, symlinks=True, ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    if problem := problem_of(target, everything=True):
        shutil.rmtree(target)
        raise DataError(f"{target}: {problem} after copying; is the disk in order? run the same command again")


def _copy_store(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    if sha256_of(source) != sha256_of(target):
        raise DataError(f"{target} differs from {source} after copying; is the disk in order? delete it, and try again")


def _copy_notes(plan: Plan, runs: RunsFolder, to: RunsFolder) -> None:
    notes, keys = read_notes(runs), {job.key for job in plan.jobs}
    sweeps = {name: note for name, note in notes.sweeps.items() if name == plan.sweep}
    jobs = {key: note for key, note in notes.jobs.items() if key in keys}
    if sweeps or jobs:
        with changing_notes(to) as kept:
            kept.sweeps.update(sweeps)
            kept.jobs.update(jobs)

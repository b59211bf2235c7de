"""Rows that stand beside the compared methods: their jobs are trained and scored, and enter no comparison."""

import dataclasses
from collections.abc import Iterable

from raydistill.evaluation.tuning import WITH_OWN
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.searched_job import narrowed
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job


def own_rows(sweep: SweepConfig, methods: Iterable[str], entries: list[Entry]) -> list[Job]:
    """The jobs of methods with the settings of the sweep file, and those that these start from."""
    return [job for method in methods for job in row(sweep, method, f"{method}{WITH_OWN}", entries)]


def row(sweep: SweepConfig, method: str, title: str, entries: list[Entry], draw: int | None = None) -> list[Job]:
    """The jobs of a method as a row of another name, and those that these start from.

    Args:
        draw: of the folds; by default all.
    """
    part = narrowed(sweep, *(decoder.job for decoder in sweep.decoders(method)))
    alone = dataclasses.replace(part, methods={method: sweep.methods[method]}, controls=())
    return [_titled(job, title) for job in expand(alone, entries, draw)]


def _titled(job: Job, title: str) -> Job:
    """A job of a row; its name is one that no job of the comparison has."""
    name = f"{title.replace('/', ' ')}/{job.name}"
    named = dataclasses.replace(job, name=name)
    return dataclasses.replace(named, kind="control", method=title) if job.method else named


def joined(jobs: Iterable[Job], beside: Iterable[Job]) -> list[Job]:
    """The jobs of the comparison and those of rows beside it, each once; a job of both has both names in tables."""
    unique = {job.key: job for job in jobs}
    for job in beside:
        before = unique.get(job.key)
        if before is None or before.method is None:
            unique[job.key] = job if job.method or before is None else before
        elif job.method and job.method != before.method:
            unique[job.key] = dataclasses.replace(before, also=(*before.also, job.method))
    return list(unique.values())

"""Rows that stand beside the compared methods: their jobs are trained and scored, and enter no comparison."""

import dataclasses
from collections.abc import Iterable, Mapping

from raydistill.evaluation.tuning import WITH_OWN
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.searched_job import narrowed
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job


def own_rows(sweep: SweepConfig, methods: Iterable[str], entries: list[Entry]) -> list[Job]:
    """The jobs of methods with the settings of the sweep file, and those that these start from."""
    return rows(sweep, {method: f"{method}{WITH_OWN}" for method in methods}, entries)


def rows(sweep: SweepConfig, titles: Mapping[str, str], entries: list[Entry]) -> list[Job]:
    """The jobs of methods as rows of another name, and those that these start from.

    Args:
        titles: method -> name of its row.
    """
    if not titles:
        return []
    part = narrowed(sweep, *(decoder.job for method in titles for decoder in sweep.decoders(method)))
    methods = {method: sweep.methods[method] for method in titles}
    jobs = expand(dataclasses.replace(part, methods=methods, controls=(), tune=None), entries)
    return [_titled(job, titles[job.method]) if job.method else job for job in jobs]


def _titled(job: Job, title: str) -> Job:
    return dataclasses.replace(job, kind="control", method=title, name=f"{title.replace('/', ' ')}/{job.name}")


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

"""A sweep in which some methods have settings of their own: merged into the jobs that a method decodes, and into those
from whose weights these start.

A teacher has the settings of the method that decodes it, so tuning a student changes no teacher. Where methods with
different settings need the same line of the sweep file, each has its own copy of the line.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping

from raydistill.config.objectives import OBJECTIVES
from raydistill.errors import ConfigError
from raydistill.sweep.config.methods import MethodConfig
from raydistill.sweep.config.searched_job import job_with, needed_lines
from raydistill.sweep.config.setting_types import field_names, type_of
from raydistill.sweep.config.space import Dimension, Range, Space, Value, Values
from raydistill.sweep.config.sweep import SweepConfig

Chosen = Mapping[str, Values]
"""Method -> the settings that it has; a method that is missing, or has none, has those of the sweep."""
Applying = Mapping[str, frozenset[str]]
"""Line of `jobs` -> the dimensions of the space that change its jobs."""


def owners(sweep: SweepConfig) -> dict[str, str]:
    """Line of `jobs` -> the method whose settings its jobs have: the one that uses the scores of the job itself, or
    else the first that decodes its models."""
    found: dict[str, str] = {}
    for by_own_scores in (True, False):
        for method in sweep.methods:
            for decoder in sweep.decoders(method):
                if decoder.is_training == by_own_scores:
                    found.setdefault(decoder.job, method)
    return found


def owned_decoders(sweep: SweepConfig, method: str) -> tuple[MethodConfig, ...]:
    """The decoders of a method whose jobs it owns."""
    of_line = owners(sweep)
    return tuple(decoder for decoder in sweep.decoders(method) if of_line[decoder.job] == method)


def lines_of(sweep: SweepConfig, method: str) -> list[str]:
    """The lines into which the settings of a method are merged: those that it owns, and those they start from."""
    lines = [decoder.job for decoder in owned_decoders(sweep, method)]
    for line in lines:  # which grows
        source = sweep.jobs[line].source
        if source is not None and source not in lines:
            lines.append(source)
    return lines


def teachers_of(sweep: SweepConfig, method: str) -> list[str]:
    """The other methods that own the teachers of a method."""
    of_line = owners(sweep)
    taught_by = [sweep.jobs[line].distill for line in lines_of(sweep, method)]
    found = dict.fromkeys(of_line[teacher] for teacher in taught_by if teacher in of_line)
    return [owner for owner in found if owner != method]


def applying(sweep: SweepConfig, space: Space) -> Applying:
    """The dimensions of the space that change the jobs of each line: a model of LFP has no patch of spikes."""
    return {line: frozenset(d for d in space.dimensions if _applies(sweep, line, d, space)) for line in sweep.jobs}


def _applies(sweep: SweepConfig, line: str, name: str, space: Space) -> bool:
    job, (section, _, setting) = sweep.jobs[line], name.partition(".")
    if job.imported:
        return False
    if (section == "objective" and setting not in field_names(OBJECTIVES[job.objective_name])) or (
        section != "model" and job.is_fitted
    ):
        return False
    try:
        type_of(job, name)
    except ConfigError:  # models of this family have no such setting
        return False
    own = _trained(sweep, line)
    for value in _some_values(space.dimensions[name]):
        try:
            changed = dataclasses.replace(sweep, jobs=sweep.jobs | {line: job_with(job, {name: value})}, tune=None)
            if _trained(changed, line) != own:
                return True
        except ConfigError:  # whatever checks a setting uses it
            return True
    return False


def _some_values(dimension: Dimension) -> tuple[Value, ...]:
    if isinstance(dimension, Range):
        return dimension.low, dimension.highest
    return dimension.choices


def _trained(sweep: SweepConfig, line: str) -> tuple:
    """What the jobs of a line train, and how."""
    job = sweep.jobs[line]
    return sweep.model_of(line), sweep.objective_of(job), sweep.recipe_of(job)


def with_settings(sweep: SweepConfig, chosen: Chosen, dimensions: Applying) -> SweepConfig:
    """The sweep with the settings of each method; lines that no method needs any more are left out.

    Raises:
        ConfigError: the settings contradict each other or the rest of the sweep.
    """
    of_line, names, jobs = owners(sweep), dict[tuple[str, str | None], str](), dict(sweep.jobs)

    def tuned(method: str | None) -> str | None:
        return method if method and chosen.get(method) else None

    def put(line: str, method: str | None) -> str:
        """The name of the line with the settings of a method (None: of the sweep), which is added if need be."""
        place = line, method
        if place in names:
            return names[place]
        is_named_so = tuned(of_line[line]) == method if line in of_line else line not in names.values()
        names[place] = line if is_named_so else _copy_name(line, method, [*sweep.jobs, *names.values()])
        job = sweep.jobs[line]
        values = chosen[method] if method else {}
        job = job_with(job, {name: v for name, v in values.items() if name in dimensions[line]})
        if job.finetune:
            job = dataclasses.replace(job, finetune=put(job.finetune, method))
        if job.start:
            job = dataclasses.replace(job, start=put(job.start, method))
        if job.distill:
            job = dataclasses.replace(job, distill=put(job.distill, tuned(of_line.get(job.distill))))
        jobs[names[place]] = job
        return names[place]

    needed_before = needed_lines(sweep, of_line)
    for line, owner in of_line.items():
        put(line, tuned(owner))
    kept = {name: job for name, job in jobs.items() if name in names.values() or name not in needed_before}
    return dataclasses.replace(sweep, jobs=kept, tune=None)


def _copy_name(line: str, method: str | None, taken: Collection[str]) -> str:
    """A name for a copy of a line, with the characters and the length that names of jobs may have."""
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", method).strip("-").lower() if method else "own"
    name = f"{line[:40]}.{words[:30]}"
    while name in taken:
        name += "_"
    return name

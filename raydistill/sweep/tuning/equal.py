"""Which methods differ from the one they are compared with in patch, dropout or epochs, and jobs that do not.

The number of epochs is that of the job on one session: a pretraining has its own, and keeps it.
"""

import dataclasses

from raydistill.errors import ConfigError, one_line
from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.tuning import Setting
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.searched_job import own_value
from raydistill.sweep.config.setting_types import type_of
from raydistill.sweep.config.space import Choices, Space
from raydistill.sweep.config.sweep import SweepConfig, compared_pairs
from raydistill.sweep.planning.job import Job
from raydistill.sweep.tuning.rows import row
from raydistill.sweep.tuning.settings import Applying, applying, owned_decoders, with_settings

MODEL = ("model.lfp_patch", "model.spikes_patch", "model.dropout")
EPOCHS = "training.epochs"
COMPARED = (*MODEL, EPOCHS)
"""Settings whose difference between two methods a reader may take for a difference between the methods."""


def equal_rows(
    sweep: SweepConfig, entries: list[Entry], draw: int | None = None
) -> tuple[tuple[EqualSettings, ...], list[Job]]:
    """A row for each comparison of methods that differ in such settings: the second method with those of the first.

    Args:
        draw: the draw of the folds in which the sweep has these settings; by default all.
    Returns:
        The rows, and their jobs with those that these start from.
    """
    found, jobs = list[EqualSettings](), list[Job]()
    compared = [pair for pair in compared_pairs(sweep) if {*pair} <= {*sweep.methods}] if sweep.equal_settings else []
    for better, worse in compared:
        equal, dimensions = _difference(sweep, worse, better)
        if equal is not None:
            try:
                changed = with_settings(sweep, {worse: dict(equal.values)}, dimensions)
                jobs += row(changed, worse, equal.title, entries, draw)
            except ConfigError as err:
                equal = dataclasses.replace(equal, problem=one_line(err))
            found.append(equal)
    return tuple(found), jobs


def _difference(sweep: SweepConfig, method: str, other: str) -> tuple[EqualSettings | None, Applying]:
    """The row of a method with the settings of the other, and the lines that each of them changes; None if the two do
    not differ in a setting that both use."""
    ours, theirs = _values(sweep, method), _values(sweep, other)
    differing = {name: value for name, value in theirs.items() if name in ours and ours[name] != value}
    if not (_sets_epochs(sweep, method) or _sets_epochs(sweep, other)):
        differing.pop(EPOCHS, None)
    space = Space({name: Choices(choices=(ours[name], value)) for name, value in differing.items()})
    dimensions = applying(sweep, space)
    owned, of_other = ({d.job for d in owned_decoders(sweep, m)} for m in (method, other))
    used = [
        name
        for name in differing
        if all(any(name in dimensions[line] for line in lines) for lines in (owned, of_other))
    ]
    if not used:
        return None, {}
    kept = {
        line: frozenset(name for name in of_line if name in used and (line in owned or name != EPOCHS))
        for line, of_line in dimensions.items()
    }
    values, own = ({name: of_method[name] for name in used} for of_method in (theirs, ours))
    return EqualSettings(method=method, other=other, values=values, own=own), kept


def _values(sweep: SweepConfig, method: str) -> dict[str, Setting]:
    """The settings of a method's jobs on one session, without those in which its jobs differ from each other."""
    jobs = [sweep.jobs[decoder.job] for decoder in owned_decoders(sweep, method) if decoder.is_training]
    found: dict[str, Setting] = {}
    for name in COMPARED if jobs else ():
        if all(_has(job, name) for job in jobs) and len(values := {own_value(sweep, job, name) for job in jobs}) == 1:
            found[name] = values.pop()
    return found


def _sets_epochs(sweep: SweepConfig, method: str) -> bool:
    """Whether the file gives the number of epochs for a job of the method. Otherwise it is part of a preset's recipe,
    which has fewer epochs for a student that starts from a distillation over many sessions."""
    return any("epochs" in sweep.jobs[decoder.job].training for decoder in owned_decoders(sweep, method))


def _has(job: JobConfig, name: str) -> bool:
    try:
        type_of(job, name)
    except ConfigError:
        return False
    return name != EPOCHS or not job.is_fitted

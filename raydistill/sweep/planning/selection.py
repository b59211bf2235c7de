"""Running a part of a sweep: some methods on some sessions, and the jobs that these need."""

import fnmatch
from dataclasses import dataclass

from raydistill.errors import ConfigError, suggest
from raydistill.evaluation.tuning import TunedMethod
from raydistill.sweep.planning.plan import Plan


@dataclass(frozen=True)
class Selection:
    """The methods and sessions to run."""

    methods: tuple[str, ...] = ()
    """Empty: all methods, and the baselines."""
    sessions: str = "*"
    """Pattern of session names, such as MonkeyI_*."""


def narrow(plan: Plan, selection: Selection) -> Plan:
    """The selected jobs, and the jobs that they start from.

    Raises:
        ConfigError: the sweep has no such method, or no session that matches the pattern.
    """
    methods = {job.method for job in plan.jobs if job.method}
    for method in selection.methods:
        if method not in methods:
            raise ConfigError(f'--only: the sweep has no method "{method}"{suggest(method, methods)}')
    keys = [
        job.key
        for job in plan.jobs
        if job.recorded
        and job.key not in plan.of_trials
        and (not selection.methods or job.method in selection.methods)
        and fnmatch.fnmatchcase(job.recorded, selection.sessions)
    ]
    if not keys:
        sessions = {job.recorded for job in plan.jobs if job.recorded}
        raise ConfigError(
            f'--sessions: no session matches "{selection.sessions}"{suggest(selection.sessions, sessions)}'
        )
    of_trials = {key for tuned in _tuned(plan, selection) for trial in tuned.trials for key in trial.jobs}
    return plan.closure([*keys, *(job.key for job in plan.jobs if job.key in of_trials)])


def _tuned(plan: Plan, selection: Selection) -> list[TunedMethod]:
    """The methods whose trials the selected ones need, on all sessions."""
    return plan.tuning.needed_by(selection.methods) if plan.tuning else []

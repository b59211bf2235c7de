"""Running the trials of a sweep that says `tune`: method after method, where one learns from another."""

from collections.abc import Callable, Container

from raydistill.evaluation.results import unique
from raydistill.evaluation.tuning import TunedMethod
from raydistill.sweep.answering.cost import Cost, in_words
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.selection import Selection
from raydistill.sweep.running.execute import JobContext
from raydistill.sweep.running.jobs import SweepRun, run_jobs
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.tracking.tracker import LoggedLater


def run_trials(
    sweep: OpenSweep, progress: SweepProgress, options: RunOptions, start: Callable[[], JobContext]
) -> tuple[OpenSweep, list[Cost]]:
    """Run the trials that are not done, of all methods that the selected ones need; their jobs are those of a sweep.

    MLflow gets them with the comparison, because until then it is not known which of them belong to it.

    Args:
        start: connects to Ray, and returns where and how jobs run; called when a job has to be run.
    Returns:
        The sweep with the settings that the trials chose, and the cost of each part of them that was run.
    Raises:
        KeyboardInterrupt: the command is interrupted, or the time limit of the options is reached.
    """
    tried: set[tuple[str, int | None]] = set()
    costs: list[Cost] = []
    whole = sweep.plan()
    while ready := _ready(whole, options.selection, tried):
        tried |= {(tuned.method, tuned.draw) for tuned in ready}
        needed = whole.closure({key for tuned in ready for trial in tuned.trials for key in trial.jobs})
        if needed.todo:
            options.deadline.check()
            draws = {tuned.draw for tuned in ready}
            in_draws = f" in {len(draws)} draws of the folds" if len(draws) > 1 else ""
            progress.stage(f"trials of {', '.join(unique(tuned.method for tuned in ready))}{in_draws}")
            progress.plan(needed)
            sweep.runs.write_keys(sweep.name, whole.jobs, whole.contents)
            run = SweepRun(
                sweep=sweep,
                options=options,
                context=start(),
                tracker=LoggedLater(sweep.runs.path, sweep.name),
                records=Records(sweep),
                progress=progress,
            )
            costs.append(run_jobs(run, needed))
            progress.stage(in_words(costs[-1]))
        sweep = sweep.replanned()
        whole = sweep.plan()
        for tuned in ready:
            if whole.tuning and (now := whole.tuning.of(tuned.method, tuned.draw)):
                progress.line(now.in_words())
    return sweep, costs


def _ready(whole: Plan, selection: Selection, tried: Container[tuple[str, int | None]]) -> list[TunedMethod]:
    """The methods that were not tried yet and whose teachers were, and are settled."""
    if whole.tuning is None:
        return []
    methods = whole.tuning.methods
    settled = {(t.method, t.draw) for t in methods if t.settled and (t.method, t.draw) in tried}
    return [
        t
        for t in whole.tuning.needed_by(selection.methods)
        if (t.method, t.draw) not in tried and settled.issuperset((teacher, t.draw) for teacher in t.teachers)
    ]


def are_settled(whole: Plan, selection: Selection) -> bool:
    """Whether the settings of all selected methods are known, so that the comparison can begin."""
    return whole.tuning is None or all(tuned.settled for tuned in whole.tuning.needed_by(selection.methods))

"""Running a search from its file to its answer: sources first, then the trials, then the best setting as a file."""

import contextlib
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from raydistill.cluster import connected
from raydistill.config.fingerprint import canonical, fingerprint
from raydistill.config.load import dump_yaml, override
from raydistill.errors import DataError
from raydistill.evaluation.figures.search import importance_bars, parallel_coordinates
from raydistill.files import write_atomically, write_json
from raydistill.store.store import Store
from raydistill.sweep.config.search import SearchConfig, sweep_with
from raydistill.sweep.config.sweep import SweepConfig, read_sweep
from raydistill.sweep.planning.plan import closure, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import missing_recordings, store_uri
from raydistill.sweep.running.driver import How, device_of, make_recordings, run_jobs
from raydistill.sweep.running.execute import JobContext, advance_job
from raydistill.sweep.running.fanout import Resources
from raydistill.sweep.running.progress import Progress
from raydistill.sweep.searching.trials import (
    Asked,
    ask_first,
    best_values,
    ended,
    importances,
    open_study,
    run_trials,
    wanted,
)
from raydistill.tracking.tracker import TrackedJob, Tracker


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Values of the job, and what they reach over its sessions and seeds."""

    values: dict
    valid_r2: float
    test_r2: float
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a search found."""

    trials: int
    pruned: int
    failed: int
    default: Setting
    best: Setting
    importances: dict[str, float]
    file: Path
    """The best setting, to be included by a sweep."""

    def to_json(self) -> dict:
        return dataclasses.asdict(self) | {"file": str(self.file)}


def run_search(search: SearchConfig, path: Path, runs: RunsFolder, progress: Progress, how: How) -> Outcome:
    """Whatever is missing of a search; the same command again goes on where the last one stopped."""
    sweep = sweep_with(search, path, {})
    store = store_uri(sweep, runs)
    folder = runs.search_folder(search.name)
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.exclusive_lock())
        study = open_study(search, folder)
        if len(ended(study)) < wanted(search):
            stack.enter_context(connected(how.address))
        if missing_recordings(sweep, runs):
            make_recordings(sweep, runs, store, progress)
        entries = Store(store).entries()
        context = JobContext(runs.absolute(), store, device_of(how))
        tracker = Tracker(runs.path, search.name)
        tracker.parent(
            fingerprint([canonical(search), canonical(sweep)]),
            {"sweep": search.sweep, "job": search.job, "sampler": search.sampler, "seed": search.seed},
            {"stage": "search"},
        )
        try:
            _run(sweep, entries, context, tracker, progress, how, search, sources=True)
            resources = Resources(sweep.cpus_per_job, sweep.gpu_per_job)
            asked = Asked(search, path, tuple(entries), sweep.behavior, context, resources)
            usual = _usual(search, sweep)
            ask_first(study, search, usual)
            for trial in ended(study):
                tracker.job(_tracked(search, trial))
            progress.say(f"{wanted(search) - len(ended(study))} trials of {search.name}")
            run_trials(study, asked, lambda trial: _tell(search, trial, tracker, progress))
            _run(sweep, entries, context, tracker, progress, how, search, sources=False)  # the default, to its end
        except KeyboardInterrupt:
            tracker.interrupted()
            raise
        return _conclude(search, path, study, asked, usual, folder, tracker)


def _run(sweep, entries, context, tracker, progress, how, search, sources) -> None:
    """The jobs of the sweep that the searched one starts from, or itself as the sweep has it."""
    whole = plan(sweep, entries, context.runs)
    searched = [job for job in whole.jobs if job.name.startswith(f"{search.job}/")]
    wanted = [key for job in searched for key in (job.depends_on if sources else (job.key,))]
    needed = closure(whole, wanted)
    if needed.todo:
        progress.plan(needed)
        run_jobs(sweep, needed, context, tracker, progress, how)
    failed = closure(plan(sweep, entries, context.runs), wanted).todo
    if failed:
        raise DataError(f"{search.name} cannot go on without {failed[0].job.name}: {failed[0].reason}")


def _usual(search: SearchConfig, sweep: SweepConfig) -> dict:
    """The values of the space that the job has as the sweep stands."""
    job = sweep.jobs[search.job]
    parts = {"model": sweep.settings_of(job), "training": sweep.training_of(job)}
    usual = {}
    for name in search.space:
        part, _, field = name.partition(".")
        usual[name] = getattr(parts[part], field) if part in parts else getattr(job, name)
    return usual


def _tell(search, trial, tracker: Tracker, progress: Progress) -> None:
    shown = ", ".join(f"{name.rpartition('.')[2]} {_short(value)}" for name, value in trial.params.items())
    if "valid_r2" in trial.user_attrs:
        tracker.job(_tracked(search, trial))
        reached = f"validation R² {trial.user_attrs['valid_r2']:+.3f} at epoch {trial.user_attrs['epoch']}"
    else:
        reached = f"failed: {trial.user_attrs['cause']}"
        tracker.failed(_tracked(search, trial), trial.user_attrs["cause"])
    progress.tell(f"trial {trial.number:<4} {reached}  ({shown})")


def _tracked(search, trial) -> TrackedJob:
    return TrackedJob(
        key=f"{search.name}-{fingerprint(canonical(search))[:16]}-{trial.number}",
        name=f"trial {trial.number}",
        params=trial.params,
        tags={"stage": "trial", "state": trial.state.name.lower()},
        metrics={k: v for k, v in trial.user_attrs.items() if isinstance(v, int | float)},
    )


def _conclude(search, path, study, asked: Asked, usual, folder: Path, tracker: Tracker) -> Outcome:
    best = best_values(study)
    if best is None:
        raise DataError(f"{search.name}: no trial ran to its end; see the causes above")
    found = Outcome(
        trials=len(ended(study)),
        pruned=sum(t.state.name == "PRUNED" for t in study.trials),
        failed=sum(t.state.name == "FAIL" and "cause" in t.user_attrs for t in study.trials),
        default=_reached(asked, usual),
        best=_reached(asked, best),
        importances=importances(study),
        file=folder / "best.yaml",
    )
    write_atomically(found.file, _as_yaml(search, path, found).encode())
    write_json(folder / "results.json", found.to_json())
    trials = [(t.params, t.user_attrs["valid_r2"], t.state.name == "COMPLETE") for t in ended(study)]
    figures = [*parallel_coordinates(trials, folder / "parallel_coordinates").values()]
    if found.importances:
        figures += importance_bars(found.importances, folder / "importances").values()
    tracker.finish(
        table={"trial": [t.number for t in ended(study)], "valid_r2": [t.user_attrs["valid_r2"] for t in ended(study)]}
        | {name: [t.params.get(name) for t in ended(study)] for name in search.space},
        documents={"search_results.json": found.to_json()},
        figures=figures,
        metrics={
            "valid_r2": found.best.valid_r2,
            "test_r2": found.best.test_r2,
            "valid_r2_default": found.default.valid_r2,
        },
        status="FINISHED",
    )
    return found


def _reached(asked: Asked, values: dict) -> Setting:
    jobs = asked.jobs(values)
    metrics = [advance_job(job, asked.context, job.training.recipe.epochs, asked.behavior) for job in jobs]
    return Setting(
        values=values,
        valid_r2=mean(m["valid_r2"] for m in metrics),
        test_r2=mean(m["r2"] for m in metrics),
        parameters=asked.parameters(jobs),
    )


def _as_yaml(search: SearchConfig, path: Path, found: Outcome) -> str:
    """The job with its best values, in the form of a file to include."""
    tree = read_sweep(path.parent / search.sweep)["jobs"][search.job]
    for name, value in found.best.values.items():
        override(tree, f"{name}={json.dumps(value)}")
    return (
        f"# {search.job} of {search.sweep} as {search.name} found it best in {found.trials} trials: R² on validation\n"
        f"# {found.best.valid_r2:.4f}, where the sweep's own values reach {found.default.valid_r2:.4f}.\n"
        + dump_yaml({"jobs": {search.job: json.loads(json.dumps(tree))}})
    )


def _short(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def render(found: Outcome, console) -> None:
    """The best setting beside the usual one, what mattered, and where the best lies as a file."""
    from rich.table import Table

    table = Table("", box=None, pad_edge=False)
    for name in (*found.best.values, "validation R²", "test R²", "parameters"):
        table.add_column(name.rpartition(".")[2], justify="right", overflow="fold")
    for title, s in (("as the sweep has it", found.default), ("best", found.best)):
        cells = [*map(_short, s.values.values()), f"{s.valid_r2:.3f}", f"{s.test_r2:.3f}", f"{s.parameters:,}"]
        table.add_row(title, *cells)
    console.print(table)
    console.print(f"\n{found.trials} trials, {found.pruned} of them stopped early, {found.failed} failed")
    if found.importances:
        shown = ", ".join(f"{name.rpartition('.')[2]} {share:.0%}" for name, share in found.importances.items())
        console.print(f"what decided validation R²: {shown}")
    console.print(f"the best as a file to include: {found.file}")

"""The end of a search: its result and figures as files in the runs folder, and in MLflow."""

from pathlib import Path
from statistics import mean

from optuna.trial import FrozenTrial

from raydistill.files import write_atomically, write_json
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import advance_job
from raydistill.sweep.searching.draw import draw, shown
from raydistill.sweep.searching.outcome import outcome
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import SearchResult, as_yaml
from raydistill.sweep.searching.study import ended
from raydistill.sweep.searching.trials import SearchRun

RESULTS = "results.json"


def conclude(points: Points, search_run: SearchRun, folder: Path) -> SearchResult:
    """Write the result of a search and its figures, and log them to MLflow.

    Raises:
        DataError: no trial ran to its last epoch.
    """
    run = search_run.run

    def test_r2(jobs: list[Job], _: FrozenTrial) -> float:
        columns = run.sweep.config.columns
        return mean(advance_job(job, run.context, job.training_spec.epochs, columns)["r2"] for job in jobs)

    result = outcome(points, test_r2, folder / "best.yaml")
    write_atomically(result.file, as_yaml(search_run.search, result).encode())
    write_json(folder / RESULTS, result.to_json())
    _track(points, search_run, result, draw(points, result, folder))
    return result


def _track(points: Points, search_run: SearchRun, result: SearchResult, figures: list[Path]) -> None:
    trials = ended(points.study)
    values_of = [shown(points, trial) for trial in trials]
    metrics = {"R2 validation": result.best.valid_r2}
    if result.best.test_r2 is not None:
        metrics["R2"] = result.best.test_r2
    if result.default:
        metrics["R2 validation by default"] = result.default.valid_r2
    search_run.run.tracker.finish(
        table={"trial": [t.number for t in trials], "valid_r2": [t.user_attrs["valid_r2"] for t in trials]}
        | {name: [values[name] for values in values_of] for name in points.space.dimensions},
        documents={"search_results.json": result.to_json()},
        figures=figures,
        metrics=metrics,
        status="FAILED" if result.failed else "FINISHED",
    )

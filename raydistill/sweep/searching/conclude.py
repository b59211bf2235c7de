"""What a search found: its result as files and figures, and in MLflow."""

from pathlib import Path
from statistics import mean

import optuna
from optuna.trial import FrozenTrial, TrialState

from raydistill.errors import DataError
from raydistill.evaluation.figures.search import importance_bars, parallel_coordinates, pareto_front
from raydistill.files import write_atomically, write_json
from raydistill.sweep.config.space import Values
from raydistill.sweep.running.execute import advance_job
from raydistill.sweep.searching.candidates import as_text
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import FrontPoint, SearchResult, TriedValues, UnscoredValues, as_yaml
from raydistill.sweep.searching.study import (
    CAUSE,
    REASON,
    REPEATS,
    TAKEN_FROM,
    VALUES,
    complete,
    distribution_of,
    ended,
)
from raydistill.sweep.searching.trials import SearchRun

MIN_TRIALS = 4
"""Fewest complete trials for importances."""


def conclude(points: Points, search_run: SearchRun, folder: Path) -> SearchResult:
    """Write the result of a search and its figures, and log them to MLflow.

    Raises:
        DataError: no trial ran to its last epoch.
    """
    search, trials = search_run.search, ended(points.study)
    failed = _failed(points)
    if not complete(points.study):
        causes = "; ".join(dict.fromkeys(point.cause for point in failed)) or "every suggested point is invalid"
        raise DataError(f"{search.name}: no trial ran to its last epoch: {causes}")
    best = max(complete(points.study), key=lambda t: (t.user_attrs["valid_r2"], -t.user_attrs["parameters"]))
    reference = points.results.get(points.reference_identity)
    all_trials = points.study.get_trials(deepcopy=False)
    result = SearchResult(
        trials=len(trials),
        stopped=sum(t.state == TrialState.PRUNED for t in trials),
        repeated=sum(REPEATS in t.user_attrs for t in all_trials),
        taken_over=sum(TAKEN_FROM in t.user_attrs for t in all_trials),
        exhausted=points.exhausted,
        failed=tuple(failed),
        invalid=tuple(_invalid(points)),
        default=_tried(points, search_run, {}, points.reference) if reference in complete(points.study) else None,
        best=_tried(points, search_run, best.user_attrs[VALUES], best.user_attrs[VALUES]),
        front=tuple(front(complete(points.study))) if len(search.config.objectives) > 1 else (),
        importances=importances(points),
        file=folder / "best.yaml",
    )
    write_atomically(result.file, as_yaml(search, result).encode())
    write_json(folder / "results.json", result.to_json())
    _track(points, search_run, result, _figures(points, result, folder))
    return result


def _failed(points: Points) -> list[UnscoredValues]:
    """The points that failed in this run."""
    failed = [trial for trial in points.results.values() if CAUSE in trial.user_attrs]
    return [UnscoredValues(values=t.user_attrs[VALUES], cause=t.user_attrs[CAUSE]) for t in failed]


def _invalid(points: Points) -> list[UnscoredValues]:
    """The suggested points whose values contradict each other, each once."""
    pruned = [t.user_attrs[VALUES] for t in points.study.get_trials(deepcopy=False) if REASON in t.user_attrs]
    by_text = {as_text(values): values for values in pruned}
    return [UnscoredValues(values=v, cause=points.invalid[t]) for t, v in by_text.items() if t in points.invalid]


def front(trials: list[FrozenTrial]) -> list[FrontPoint]:
    """The Pareto front of complete trials, from the fewest parameters to the most."""
    points: list[FrontPoint] = []
    for trial in sorted(trials, key=lambda t: (t.user_attrs["parameters"], -t.user_attrs["valid_r2"])):
        valid_r2, parameters = trial.user_attrs["valid_r2"], trial.user_attrs["parameters"]
        if not points or valid_r2 > points[-1].valid_r2:
            points.append(FrontPoint(values=trial.user_attrs[VALUES], valid_r2=valid_r2, parameters=parameters))
    return points


def importances(points: Points) -> dict[str, float]:
    """Importance for validation R² (PED-ANOVA) of each value that exists in every point, as shares of 1.

    Empty with fewer than MIN_TRIALS complete trials, or if all of them have the same score.
    """
    trials = [t for t in complete(points.study) if t.user_attrs[VALUES] in points.space]
    names = [name for name, d in points.space.dimensions.items() if all(name in t.user_attrs[VALUES] for t in trials)]
    if len(trials) < MIN_TRIALS or not names or len({t.user_attrs["valid_r2"] for t in trials}) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                value=trial.user_attrs["valid_r2"],
                params={name: trial.user_attrs[VALUES][name] for name in names},
                distributions={name: distribution_of(points.space.dimensions[name]) for name in names},
            )
        )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _shown(points: Points, trial: FrozenTrial) -> Values:
    """The value of every dimension in a trial; of one that does not exist in its point, that of the sweep."""
    return points.searched.search.all_own_values | trial.user_attrs[VALUES]


def _figures(points: Points, result: SearchResult, folder: Path) -> list[Path]:
    trials = [
        (_shown(points, t), t.user_attrs["valid_r2"], t.state == TrialState.COMPLETE) for t in ended(points.study)
    ]
    figures = [*parallel_coordinates(trials, folder / "parallel_coordinates").values()]
    if result.importances:
        figures += importance_bars(result.importances, folder / "importances").values()
    if result.front:
        scores = [(t.user_attrs["parameters"], t.user_attrs["valid_r2"]) for t in complete(points.study)]
        on_front = [(point.parameters, point.valid_r2) for point in result.front]
        figures += pareto_front(scores, on_front, folder / "pareto_front").values()
    return figures


def _track(points: Points, search_run: SearchRun, result: SearchResult, figures: list[Path]) -> None:
    trials = ended(points.study)
    shown = [_shown(points, trial) for trial in trials]
    default = {"R2 validation by default": result.default.valid_r2} if result.default else {}
    search_run.run.tracker.finish(
        table={"trial": [t.number for t in trials], "valid_r2": [t.user_attrs["valid_r2"] for t in trials]}
        | {name: [values[name] for values in shown] for name in points.space.dimensions},
        documents={"search_results.json": result.to_json()},
        figures=figures,
        metrics={"valid_r2": result.best.valid_r2, "test_r2": result.best.test_r2} | default,
        status="FAILED" if result.failed else "FINISHED",
    )


def _tried(points: Points, search_run: SearchRun, values: Values, shown: Values) -> TriedValues:
    """The scores of the searched job with these values, which are read if its trainings are done."""
    jobs, run = points.searched.jobs(values), search_run.run
    metrics = [advance_job(job, run.context, job.training_spec.epochs, run.sweep.config.behavior) for job in jobs]
    return TriedValues(
        values=shown,
        valid_r2=mean(m["valid_r2"] for m in metrics),
        test_r2=mean(m["r2"] for m in metrics),
        parameters=points.searched.parameters(jobs),
    )

"""What the trials of a search amount to: the best values, the Pareto front, the importances, and what failed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from raydistill.errors import DataError
from raydistill.sweep.config.space import Values
from raydistill.sweep.planning.job import Job
from raydistill.sweep.searching.candidates import as_text
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import FrontPoint, SearchResult, TriedValues, UnscoredValues
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

MIN_TRIALS = 4
"""Fewest complete trials for importances."""


def outcome(
    points: Points,
    test_r2: Callable[[list[Job], FrozenTrial], float | None],
    file: Path,
) -> SearchResult:
    """The result of a search from the trials of its study.

    Args:
        test_r2: from the jobs of a complete trial and the trial to its mean R² on the test folds; None: unknown.
        file: with the best values.
    Raises:
        DataError: no trial ran to its last epoch.
    """
    search, trials, done = points.searched.search, ended(points.study), complete(points.study)
    failed = [
        UnscoredValues(values=t.user_attrs[VALUES], cause=t.user_attrs[CAUSE])
        for t in points.results.values()
        if CAUSE in t.user_attrs
    ]
    invalid = _invalid(points)
    if not done:
        found = "; ".join(dict.fromkeys(point.cause for point in failed))
        reason = found or ("every suggested point is invalid" if invalid else "none has ended yet")
        raise DataError(f"{search.name}: no trial ran to its last epoch: {reason}")

    def tried(trial: FrozenTrial, values: Values, shown: Values) -> TriedValues:
        return TriedValues(
            values=shown,
            valid_r2=trial.user_attrs["valid_r2"],
            test_r2=test_r2(points.searched.jobs(values), trial),
            parameters=trial.user_attrs["parameters"],
        )

    best, reference = best_of(done), points.results.get(points.reference_identity)
    all_trials = points.study.get_trials(deepcopy=False)
    return SearchResult(
        trials=len(trials),
        stopped=sum(t.state == TrialState.PRUNED for t in trials),
        repeated=sum(REPEATS in t.user_attrs for t in all_trials),
        taken_over=sum(TAKEN_FROM in t.user_attrs for t in all_trials),
        exhausted=points.exhausted,
        failed=tuple(failed),
        invalid=tuple(invalid),
        default=tried(reference, {}, points.reference) if reference in done else None,
        best=tried(best, best.user_attrs[VALUES], best.user_attrs[VALUES]),
        front=tuple(front(done)) if len(search.config.objectives) > 1 else (),
        importances=importances(points),
        file=file,
    )


def best_of(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """The complete trial with the highest validation R², and of several the one with the fewest parameters."""
    return max(trials, key=lambda t: (t.user_attrs["valid_r2"], -t.user_attrs["parameters"]))


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

"""The figures of a search."""

from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from raydistill.evaluation.figures.search import importance_bars, parallel_coordinates, pareto_front
from raydistill.sweep.config.space import Range, Values
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import SearchResult
from raydistill.sweep.searching.study import VALUES, complete, ended

CAPTIONS = {
    "pareto_front": "Validation R² of each complete trial against its number of parameters. The line is the Pareto "
    "front: no other trial has fewer parameters and a higher R².",
    "parallel_coordinates": "The values of each trial and its validation R², one line per trial. Trials that were "
    "stopped early are thin and grey.",
    "importances": "Importance of each value of the space for validation R² (PED-ANOVA), as shares of 1. With few "
    "trials the shares are uncertain.",
}
"""File name of a figure -> its caption, in the order in which a page shows them."""


def draw(points: Points, result: SearchResult, folder: Path, narrow: bool = False) -> list[Path]:
    """Draw the figures of a search into `folder`; returns all files written.

    Args:
        narrow: draw those that are wider than a phone, in their narrow form.
    """
    trials = [(shown(points, t), t.user_attrs["valid_r2"], t.state == TrialState.COMPLETE) for t in ended(points.study)]
    space = points.searched.search.space.dimensions
    log = {name for name, dimension in space.items() if isinstance(dimension, Range) and dimension.log}
    figures = [*parallel_coordinates(trials, folder / "parallel_coordinates", log, narrow).values()]
    if narrow:
        return figures
    if result.importances:
        figures += importance_bars(result.importances, folder / "importances").values()
    if result.front:
        scores = [(t.user_attrs["parameters"], t.user_attrs["valid_r2"]) for t in complete(points.study)]
        on_front = [(point.parameters, point.valid_r2) for point in result.front]
        figures += pareto_front(scores, on_front, folder / "pareto_front").values()
    return figures


def shown(points: Points, trial: FrozenTrial) -> Values:
    """The value of every dimension in a trial; of one that does not exist in its point, that of the sweep."""
    return points.searched.search.all_own_values | trial.user_attrs[VALUES]

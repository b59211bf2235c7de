"""The chosen settings of each method, the spread of its trials, and its R² with them beside that without."""

from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score, mean_by_session
from raydistill.evaluation.tuning import OWN, WITH_OWN, settings_in_words

COLUMNS = (
    "trials",
    "settings",
    "valid R²: lowest",
    "median",
    "highest",
    "own",
    "R² with own settings",
    "R²",
    "median R² with own settings",
    "median R²",
)
EXPLANATION = (
    "valid R²: of the trials, on validation folds; own: with the settings of the sweep file. R²: on the scored folds, "
    "mean and median over all sessions of a method, whatever figure shows them, with the chosen settings and with "
    "those of the sweep file."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuningRow:
    """One method."""

    title: str
    """The method, and the draw of the folds if there are several."""
    trials: str
    """Such as 20, or 20 (1 failed)."""
    settings: str
    """Those that were chosen, in words."""
    numbers: tuple[float | None, ...]
    """The columns after the settings; None: there is no such score."""


def tuning_rows(results: Results) -> list[TuningRow]:
    """One row per tuned method and draw of the folds; none if the sweep has no trials."""
    rows = []
    for tuned in results.tuning.methods if results.tuning else ():
        ended = [f"{n} {state}" for state in ("failed", "pruned", "missing") if (n := tuned.number_of(state))]
        best = tuned.best
        of_draw = [s for s in results.all_scores if tuned.draw in (None, s.draw)]
        own, chosen = (_mean_and_median(of_draw, name) for name in (tuned.method + WITH_OWN, tuned.method))
        rows.append(
            TuningRow(
                title=tuned.title,
                trials=f"{len(tuned.trials)}" + (f" ({', '.join(ended)})" if ended else ""),
                settings="not known yet"
                if not tuned.settled
                else settings_in_words(best.values)
                if best and best.number
                else OWN,
                numbers=(
                    *(tuned.spread or (None, None, None)),
                    tuned.trials[0].valid_r2,
                    own[0],
                    chosen[0],
                    own[1],
                    chosen[1],
                ),
            )
        )
    return rows


def _mean_and_median(scores: list[Score], method: str) -> tuple[float | None, float | None]:
    means = list(mean_by_session(scores, method).values())
    return (float(np.mean(means)), float(np.median(means))) if means else (None, None)

"""What was chosen for models that are fitted in one step: a row per method."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raydistill.evaluation.results import Results

COLUMNS = ("method", "chosen on validation folds", "valid R² of each choice")
EXPLANATION = (
    "Models that are fitted in one step. Chosen: how many sessions have which value, by R² on their validation folds. "
    "valid R²: mean over the sessions where this value is possible."
)


@dataclass(slots=True)
class FitRow:
    """One method."""

    method: str
    chosen: Counter[str] = field(default_factory=Counter)
    """Value, such as "32 states" -> number of sessions, of draws if there are several."""
    valid_r2: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Value, such as "32" -> R² on the validation fold of each session."""

    def in_words(self) -> tuple[str, str]:
        """The columns after the method, such as "32 states (2), 16 states (1)" and "8: .31, 16: .45, 32: .47"."""
        chosen = ", ".join(f"{value} ({n})" for value, n in self.chosen.most_common())
        in_order = sorted(self.valid_r2.items(), key=lambda item: (len(item[0]), item[0]))  # 8 before 16
        return chosen, ", ".join(f"{value}: {np.mean(r2):.3f}" for value, r2 in in_order)


def fit_rows(results: Results) -> list[FitRow]:
    """A row for each method whose models are fitted in one step, in the order of the scores."""
    rows: dict[str, FitRow] = {}
    for score in results.scores:
        if score.fit:
            row = rows.setdefault(score.method, FitRow(score.method))
            row.chosen.update(_chosen(score.fit))
            for value, r2 in score.fit.get("valid_r2", {}).items():
                row.valid_r2[value].append(r2)
    return list(rows.values())


def numbers_of(fit: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of the block `fit` of metrics.json: what was chosen, and R² on the validation fold of each choice."""
    chosen = {name: value for name, value in fit.get("chosen", {}).items() if isinstance(value, int | float)}
    return chosen | {f"R² validation with {value}": r2 for value, r2 in fit.get("valid_r2", {}).items()}


def _chosen(fit: Mapping[str, Any]) -> list[str]:
    return [f"{value} {name}" for name, value in fit.get("chosen", {}).items()]

"""The trials of a search as rows of a table: one for each point that was tried or suggested."""

import csv
import io
from dataclasses import dataclass
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

from raydistill.sweep.config.space import Values
from raydistill.sweep.searching.candidates import as_text
from raydistill.sweep.searching.draw import shown
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.study import CAUSE, IDENTITY, REASON, TAKEN_FROM, VALUES

State = Literal["complete", "stopped", "failed", "unfinished", "pruned"]
STATES: dict[State, str] = {
    "complete": "ran to its last epoch",
    "stopped": "stopped early at a rung",
    "failed": "ended with an error; the next run tries it again",
    "unfinished": "running, or interrupted; the next run continues it",
    "pruned": "not run, because its values contradict each other",
}
"""State of a trial -> what it means, in the order of the table."""


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial of a search."""

    number: int
    state: State
    values: Values
    """The value of every dimension; the sweep's own where a dimension does not exist in the point."""
    is_reference: bool
    """Whether its values are the sweep's own."""
    valid_r2: float | None
    epoch: int | None
    """The number of epochs that it ran."""
    parameters: int | None
    note: str
    """Why it failed or was pruned, or the study that it was taken over from."""


def trial_rows(points: Points) -> list[TrialRow]:
    """The trials of a search: complete ones, the best first; then those of the other states, in their order.

    Suggestions that repeat a known point are left out, and of a point that was tried several times all but the last.
    """
    trials = points.study.get_trials(deepcopy=False)
    interrupted = {
        t.user_attrs[IDENTITY]: t
        for t in trials
        if t.state == TrialState.FAIL and IDENTITY in t.user_attrs and t.user_attrs[IDENTITY] not in points.results
    }
    pruned = {as_text(t.user_attrs[VALUES]): t for t in trials if REASON in t.user_attrs}
    still_invalid = [trial for text, trial in pruned.items() if text in points.invalid]
    rows = [_row(points, trial) for trial in (*points.results.values(), *interrupted.values(), *still_invalid)]
    order = list(STATES)
    return sorted(rows, key=lambda row: (order.index(row.state), -(row.valid_r2 or 0.0), row.number))


def _row(points: Points, trial: FrozenTrial) -> TrialRow:
    about = trial.user_attrs
    state: State = "complete"
    if REASON in about:
        state, note = "pruned", points.invalid[as_text(about[VALUES])]
    elif CAUSE in about:
        state, note = "failed", about[CAUSE]
    elif trial.state == TrialState.FAIL:
        state, note = "unfinished", ""
    else:
        state = "complete" if trial.state == TrialState.COMPLETE else "stopped"
        note = f"taken over from {about[TAKEN_FROM]}" if TAKEN_FROM in about else ""
    return TrialRow(
        number=trial.number,
        state=state,
        values=shown(points, trial),
        is_reference=about.get(IDENTITY) == points.reference_identity,
        valid_r2=about.get("valid_r2"),
        epoch=about.get("epoch"),
        parameters=about.get("parameters"),
        note=note,
    )


def to_csv(rows: list[TrialRow]) -> str:
    """One line per trial, with a column for each value of the space."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = list(rows[0].values) if rows else []
    writer.writerow(["trial", "state", "valid_r2", "epoch", "parameters", *names, "note"])
    for row in rows:
        values = [row.values[name] for name in names]
        writer.writerow([row.number, row.state, row.valid_r2, row.epoch, row.parameters, *values, row.note])
    return text.getvalue()

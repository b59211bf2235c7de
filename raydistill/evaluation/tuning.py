"""How the settings of each method were chosen: its trials, their scores on validation folds, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

OWN = "own settings"
"""What tables call the settings of the sweep file."""
WITH_OWN = f" ({OWN})"
"""Follows the name of a method in the row with the settings of the sweep file."""

Setting = int | float | str | bool | None
TrialState = Literal["done", "missing", "failed", "pruned"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TriedSettings:
    """One trial of a method: settings, and their score."""

    number: int
    """0: the settings of the sweep."""
    values: Mapping[str, Setting]
    """Setting, such as training.learning_rate -> value, of those that the jobs of the method have."""
    jobs: tuple[str, ...] = ()
    """Keys of the scored jobs, one per session."""
    valid_r2: float | None = None
    """Mean R² over the validation folds of the sessions; None if the trial has no score."""
    state: TrialState = "missing"
    """pruned: the settings contradict each other, so no job was run."""
    reason: str = ""
    """Why the trial failed or was pruned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedMethod:
    """The trials of a method, and the settings that it has in the comparison."""

    method: str
    draw: int | None = None
    """Of the folds; None: the sweep has one."""
    trials: tuple[TriedSettings, ...]
    sessions: int
    """Number of sessions over which each trial is scored."""
    job_seed: int
    """Seed of the jobs of the trials."""
    left_out: tuple[str, ...] = ()
    """Settings of the space that the jobs of the method do not have."""
    teachers: tuple[str, ...] = ()
    """Methods whose models teach those of this one."""
    settled: bool = False
    """Whether every trial has ended, and so have those of the teachers."""

    @property
    def title(self) -> str:
        """The method, and the draw of the folds if there are several."""
        return self.method if self.draw is None else f"{self.method}, draw {self.draw}"

    @property
    def scored(self) -> list[TriedSettings]:
        """The trials with a score."""
        return [trial for trial in self.trials if trial.valid_r2 is not None]

    @property
    def best(self) -> TriedSettings | None:
        """The trial with the highest score; of equal ones the first, so trial 0 has to be surpassed. None if the
        trials have not ended, or none has a score."""
        if not self.settled or not self.scored:
            return None
        return max(self.scored, key=lambda trial: (trial.valid_r2, -trial.number))

    @property
    def changes(self) -> Mapping[str, Setting]:
        """The settings that were chosen instead of the sweep's own; empty if these are the best."""
        return self.best.values if self.best and self.best.number else {}

    def number_of(self, state: TrialState) -> int:
        """Number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def spread(self) -> tuple[float, float, float] | None:
        """Lowest, median and highest validation R² of the trials; None without scores."""
        scores = [trial.valid_r2 for trial in self.scored if trial.valid_r2 is not None]
        return (min(scores), median(scores), max(scores)) if scores else None

    def in_words(self) -> str:
        """What was chosen, and from how many trials, as one line."""
        ended = [f"{n} {state}" for state in ("failed", "pruned") if (n := self.number_of(state))]
        count = f"{len(self.trials)} trials" + (f", {' and '.join(ended)}" if ended else "")
        if not self.settled:
            left = self.number_of("missing")
            waits = f"; they follow those of {' and '.join(self.teachers)}" if self.teachers else ""
            return f"{self.title}: {len(self.trials) - left} of {count} have ended{waits}"
        if self.best is None or self.spread is None:
            return f"{self.title}: no trial has a score ({count}), so it has the settings of the sweep"
        low, middle, high = self.spread
        what = f"trial {self.best.number}: {settings_in_words(self.changes)}" if self.best.number else OWN
        own = self.trials[0].valid_r2
        before = f", {OWN} {own:.3f}" if self.best.number and own is not None else ""
        return (
            f"{self.title}: {what} (validation R² {high:.3f}{before}; {count}: lowest {low:.3f}, median {middle:.3f})"
        )


def settings_in_words(values: Mapping[str, Setting]) -> str:
    """Such as learning_rate 0.003, dropout 0.1."""
    return ", ".join(f"{name.rpartition('.')[2]} {_short(value)}" for name, value in values.items()) or "none"


def _short(value: Setting) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuningResults:
    """The tuning of a sweep."""

    trials: int
    """Number of trials that every method gets."""
    seed: int
    """Of the settings that were tried."""
    space: Mapping[str, str]
    """Setting -> what was tried of it, in words."""
    methods: tuple[TunedMethod, ...]
    """Each after the methods that own its teachers, and once per draw of the folds."""
    followers: Mapping[str, str]
    """Method that decodes the models of another one -> this other method."""
    unsettled: tuple[str, ...] = ()
    """Methods whose settings, or those of their teachers, are not known yet; their scores would not be the answer."""
    on_scored_fold: bool = False
    """Whether the protocol of a session scores its validation fold as well."""

    @property
    def settled(self) -> bool:
        """Whether the settings of every method are known."""
        return all(method.settled for method in self.methods)

    def hides(self, row: str) -> bool:
        """Whether a row has to wait for trials before it is scored: that of a method, of a control of it, or one with
        the settings of another method. A row with the settings of the sweep file need not wait."""
        return any(_depends(row, name) for name in self.unsettled)

    def needed_by(self, rows: Sequence[str]) -> list[TunedMethod]:
        """The tuned methods whose trials determine the settings of these rows; of all rows if there are none."""
        owners = [tuned.method for tuned in self.firsts]
        named = [
            self.followers.get(name, name) for row in rows for name in (*owners, *self.followers) if _depends(row, name)
        ]
        wanted = named if rows else owners
        for method in wanted:  # which grows
            taught = [tuned for tuned in self.firsts if tuned.method == method]
            wanted += [teacher for tuned in taught for teacher in tuned.teachers if teacher not in wanted]
        return [tuned for tuned in self.methods if tuned.method in wanted]

    def of(self, method: str, draw: int | None = None) -> TunedMethod | None:
        """The tuning of a method in a draw of the folds; None if it has none."""
        return next((tuned for tuned in self.methods if (tuned.method, tuned.draw) == (method, draw)), None)

    @property
    def firsts(self) -> list[TunedMethod]:
        """Each method once, as in the first draw of the folds."""
        return [tuned for tuned in self.methods if tuned.draw in (None, 1)]

    @property
    def draws(self) -> int:
        """Number of draws of the folds, each with trials of its own."""
        return max((tuned.draw or 1 for tuned in self.methods), default=1)

    def sentences(self) -> list[str]:
        """The budget, and in what the methods are not equal."""
        firsts = self.firsts
        whose = f"each of {len(firsts)} methods gets" if len(firsts) != 1 else "the method gets"
        again = f" in each of {self.draws} draws of the folds" if self.draws > 1 else ""
        budget = (
            f"Before the comparison, {whose} {self.trials} trials of settings{again} (seed {self.seed}), scored by R² "
            f"on the validation folds of its sessions{' in this draw' if again else ''}; no test fold is read to "
            "choose settings."
        )
        both = "The protocol scores validation folds as well, so scores with chosen settings are optimistic."
        optimistic = [both] if self.on_scored_fold else []
        left_out = [
            f"{tuned.method}: {', '.join(tuned.left_out)} not varied, because its jobs do not use it."
            for tuned in firsts
            if tuned.left_out
        ]
        fewer = [
            f"{tuned.method}: only {len(tuned.trials)} trials, because this space has no more settings for it."
            for tuned in firsts
            if len(tuned.trials) < self.trials
        ]
        following = [
            f"{method} has the settings of {other}, whose models it decodes."
            for method, other in self.followers.items()
        ]
        return [budget, *optimistic, *left_out, *fewer, *following]

    def in_words(self) -> list[str]:
        """The sentences, and what was chosen for each method."""
        return [*self.sentences(), *(tuned.in_words() for tuned in self.methods)]

    def to_json(self) -> dict:
        """What `raydistill results --json` has under `tuning`."""
        return {
            "trials": self.trials,
            "seed": self.seed,
            "draws": self.draws,
            "space": dict(self.space),
            "settled": self.settled,
            "followers": dict(self.followers),
            "methods": [_method_json(tuned) for tuned in self.methods],
        }


def _depends(row: str, method: str) -> bool:
    """Whether a row is that of a method or of a control of it, or one of equal settings in which the method has a
    part."""
    return (
        row == method
        or row.startswith((f"{method}, ", f"{method} (settings of "))
        or row.endswith(f" (settings of {method})")
    )


def _method_json(tuned: TunedMethod) -> dict:
    spread = tuned.spread or (None, None, None)
    return {
        "method": tuned.method,
        "draw": tuned.draw,
        "sessions": tuned.sessions,
        "job_seed": tuned.job_seed,
        "chosen_trial": tuned.best.number if tuned.best else None,
        "chosen": dict(tuned.best.values) if tuned.best else None,
        "left_out": list(tuned.left_out),
        "valid_r2": dict(zip(("min", "median", "max"), spread, strict=True)),
        "trials": [
            {
                "number": trial.number,
                "values": dict(trial.values),
                "valid_r2": trial.valid_r2,
                "state": trial.state,
                "reason": trial.reason,
                "jobs": list(trial.jobs),
            }
            for trial in tuned.trials
        ],
    }

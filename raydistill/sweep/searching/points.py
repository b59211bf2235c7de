"""The points of a search: which is tried next, which are known, and which continue at a rung. It does not need Ray.

No point is tried twice. One that Optuna suggests again gets the result that it has; one that is running is waited for;
one whose values contradict each other is pruned, with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from raydistill.errors import RaydistillError, one_line
from raydistill.sweep.config.space import Values
from raydistill.sweep.planning.job import Job
from raydistill.sweep.searching import study as stored
from raydistill.sweep.searching.candidates import Candidates, as_text
from raydistill.sweep.searching.halving import continues
from raydistill.sweep.searching.searched import SearchedJob


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """A point that is being tried."""

    trial: Trial
    values: Values
    jobs: list[Job]
    identity: str
    rungs: dict[int, float] = field(default_factory=dict)
    """Epoch -> R² on the validation folds."""


class Points:
    """The points of a study.

    Args:
        expired: whether the search's time is over, so that no more points start.
        retries: whether the points that failed in earlier runs are tried again; False: as at the end of such a run.
    """

    def __init__(
        self,
        study: optuna.Study,
        searched: SearchedJob,
        expired: Callable[[], bool] = lambda: False,
        retries: bool = True,
    ):
        self.study, self.searched, self.expired = study, searched, expired
        self.config, self.space = searched.search.config, searched.search.space
        self.reference = searched.search.own_values
        self.reference_identity = searched.identity(searched.own_jobs)
        self.running: dict[str, Point] = {}
        known = stored.ended(study) if retries else [*stored.failed(study), *stored.ended(study)]
        self.results: dict[str, FrozenTrial] = {t.user_attrs[stored.IDENTITY]: t for t in known}
        """Identity -> the trial that ended, or failed in this run."""
        self.invalid: dict[str, str] = {}
        """Values as text -> reason."""
        self._identity_of: dict[str, str] = {as_text(t.user_attrs[stored.VALUES]): i for i, t in self.results.items()}
        self._waiting = self._to_try_again()
        self._next: Point | None = None
        self._candidates = Candidates(study, searched, lambda text: text in self._identity_of or text in self.invalid)
        for trial in study.get_trials(deepcopy=False):
            if stored.REASON in trial.user_attrs:
                self._jobs(trial.user_attrs[stored.VALUES])  # it may have become valid

    def _to_try_again(self) -> list[Values]:
        """The points that a kill interrupted, then those that failed in an earlier run."""
        failed = [t.user_attrs[stored.VALUES] for t in stored.failed(self.study)]
        values = {as_text(values): values for values in [*stored.interrupted(self.study), *failed]}
        return [point for text, point in values.items() if text not in self._identity_of]

    @property
    def most(self) -> int:
        """How many points the search may try: its `trials`, and the sweep's own values if they are not in the space."""
        return self.config.trials + (self.reference not in self.space)

    @property
    def full(self) -> bool:
        """Whether as many points as the search may try have been tried or are running."""
        return len(self.results.keys() | self.running.keys()) >= self.most

    @property
    def exhausted(self) -> bool:
        """Whether every point of the space has been tried or is invalid."""
        return self._candidates.exhausted and not self._waiting

    @property
    def gave_up(self) -> bool:
        """Whether the search ends because no new valid point of a large space was found."""
        return self._candidates.gave_up

    @property
    def finished(self) -> bool:
        """Whether no point is left to be tried."""
        tried = self.reference_identity in self.results
        return tried and not self.running and (self.full or self.exhausted or self.gave_up)

    def has_next(self) -> bool:
        """Whether a point can start now."""
        self._next = self._next or self._find()
        return self._next is not None

    def next(self) -> Point | None:
        """The next point to try; None if none is left, or none before a running one ends."""
        point, self._next = self._next or self._find(), None
        return point

    def _find(self) -> Point | None:
        if self.expired():
            return None
        if not {self.reference_identity} & (self.results.keys() | self.running.keys()):
            return self._start(self.reference, self.searched.own_jobs, self.reference_identity, None)
        if self.full:
            return None
        waiting, self._waiting = self._waiting, []
        for i, values in enumerate(waiting):
            if values in self.space and (point := self._offer(values)):
                self._waiting += waiting[i + 1 :]
                return point
        for values, trial in self._candidates.suggested():
            if point := self._offer(values, trial):
                return point
        return next((point for values in self._candidates.others() if (point := self._offer(values))), None)

    def _jobs(self, values: Values) -> list[Job]:
        """The jobs of a point; none if its values are invalid."""
        if as_text(values) in self.invalid:
            return []
        try:
            return self.searched.jobs(values)
        except RaydistillError as err:
            self.invalid[as_text(values)] = one_line(err)
            return []

    def _offer(self, values: Values, trial: Trial | None = None) -> Point | None:
        """Start a point, unless it is known, running or invalid.

        Args:
            trial: in which Optuna suggested it.
        """
        text = as_text(values)
        jobs = [] if text in self._identity_of and self._identity_of[text] in self.results else self._jobs(values)
        if text in self.invalid:
            trial = trial or stored.trial_of(self.study, self.space, values)
            trial.set_user_attr(stored.VALUES, values)
            trial.set_user_attr(stored.REASON, self.invalid[text])
            self.study.tell(trial, state=TrialState.PRUNED)
            return None
        identity = self._identity_of.setdefault(text, self.searched.identity(jobs)) if jobs else self._identity_of[text]
        if identity in self.results:
            self._repeat(self.results[identity], trial or stored.trial_of(self.study, self.space, values))
            return None
        keys = {job.key for job in jobs}
        if any(keys & {job.key for job in other.jobs} for other in self.running.values()):
            if identity not in self.running:  # it shares jobs with a running point, and starts after it
                self._waiting.append(values)
            if trial:
                self.study.tell(trial, state=TrialState.FAIL)
            return None
        return self._start(values, jobs, identity, trial)

    def _start(self, values: Values, jobs: list[Job], identity: str, trial: Trial | None) -> Point:
        trial = trial or stored.trial_of(self.study, self.space, values)
        trial.set_user_attr(stored.VALUES, values)
        trial.set_user_attr(stored.IDENTITY, identity)
        self._identity_of[as_text(values)] = identity
        self.running[identity] = Point(trial=trial, values=values, jobs=jobs, identity=identity)
        return self.running[identity]

    def _repeat(self, known: FrozenTrial, trial: Trial) -> None:
        """Tell Optuna the result of a point that it suggests again."""
        trial.set_user_attr(stored.REPEATS, known.number)
        if known.state == TrialState.COMPLETE:
            self.study.tell(trial, [known.user_attrs[name] for name in self.config.objectives])
            return
        if len(self.config.objectives) == 1:
            for epoch, r2 in known.intermediate_values.items():
                trial.report(r2, epoch)
        self.study.tell(trial, state=known.state)

    def report(self, point: Point, epoch: int, valid_r2: float) -> bool:
        """Store the score of a point at a rung; returns whether it continues. The sweep's own values always do."""
        if epoch not in point.rungs:
            point.rungs[epoch] = valid_r2
            point.trial.set_user_attr(stored.RUNGS, {str(rung): r2 for rung, r2 in point.rungs.items()})
            if len(self.config.objectives) == 1:
                point.trial.report(valid_r2, epoch)
        part = self.config.halving.part if self.config.halving else 1
        others = self._scores_at(epoch, point)
        return point.identity == self.reference_identity or continues(point.rungs[epoch], others, part)

    def _scores_at(self, epoch: int, point: Point) -> list[float]:
        """The scores of all other points at a rung."""
        of_results = (trial.user_attrs.get(stored.RUNGS, {}).get(str(epoch)) for trial in self.results.values())
        of_running = (other.rungs.get(epoch) for other in self.running.values() if other is not point)
        return [score for score in (*of_results, *of_running) if score is not None]

    def end(self, point: Point, *, valid_r2: float, epoch: int, complete: bool) -> FrozenTrial:
        """Store the result of a point that ran to its last epoch, or was stopped at a rung."""
        outcome = {"valid_r2": valid_r2, "epoch": epoch, "parameters": self.searched.parameters(point.jobs)}
        for name, value in outcome.items():
            point.trial.set_user_attr(name, value)
        if complete:
            self.study.tell(point.trial, [outcome[name] for name in self.config.objectives])
        else:
            self.study.tell(point.trial, state=TrialState.PRUNED)
        return self._ended(point)

    def fail(self, point: Point, cause: str) -> FrozenTrial:
        """Store that a point failed. It is not tried again before the next run of the search."""
        point.trial.set_user_attr(stored.CAUSE, cause)
        self.study.tell(point.trial, state=TrialState.FAIL)
        return self._ended(point)

    def _ended(self, point: Point) -> FrozenTrial:
        del self.running[point.identity]
        trial = self.study.get_trials(deepcopy=False)[point.trial.number]
        self.results[point.identity] = trial
        return trial

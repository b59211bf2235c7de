"""Points that a search may try next: those that Optuna suggests, then the remaining ones of a small space, or random
ones of a large space."""

import contextlib
import json
import random
from collections.abc import Callable, Iterator

import optuna
from optuna.trial import Trial

from raydistill.errors import RaydistillError
from raydistill.sweep.config.search import MAX_GRID
from raydistill.sweep.config.space import Values
from raydistill.sweep.searching.searched import SearchedJob
from raydistill.sweep.searching.study import drawn

DRAWS = 10
"""How many suggestions of Optuna in a row may be known or invalid. Then the points of a space with at most MAX_GRID of
them are listed, and those of a larger one drawn at random."""
RANDOM_DRAWS = 1000
"""How many random points in a row may be known or invalid before the search ends."""


def as_text(values: Values) -> str:
    """The values of a point as text, which is equal for equal values."""
    return json.dumps(values, sort_keys=True)


class Candidates:
    """The points that may come next.

    Args:
        seen: whether a point, as text, has been tried, is running or is invalid.
    """

    def __init__(self, study: optuna.Study, searched: SearchedJob, seen: Callable[[str], bool]):
        self.study, self.searched, self.seen = study, searched, seen
        self.seed, self.space = searched.search.config.seed, searched.search.space
        self.is_grid = searched.search.config.sampler == "grid"
        self.is_small = self.space.finite and self.space.count(MAX_GRID + 1) <= MAX_GRID
        self.gave_up = False
        """Whether no new valid point of a large space was found."""
        self._left = list(self.space.points()) if self.is_small else []
        random.Random(self.seed).shuffle(self._left)

    @property
    def exhausted(self) -> bool:
        """Whether every point of a small space has been seen."""
        return self.is_small and next(self._unseen(), None) is None

    def suggested(self) -> Iterator[tuple[Values, Trial]]:
        """Points that Optuna suggests, with their trials; none for a grid, or if no point is left."""
        if not (self.is_grid or self.gave_up or self.exhausted):
            for _ in range(DRAWS):
                trial = self.study.ask()
                yield drawn(trial, self.space), trial

    def others(self) -> Iterator[Values]:
        """Points that Optuna does not suggest."""
        return self._unseen() if self.is_small else self._random()

    def _unseen(self) -> Iterator[Values]:
        while self._left:
            if self.seen(as_text(self._left[-1])):
                self._left.pop()
            else:
                yield self._left[-1]

    def _random(self) -> Iterator[Values]:
        """Valid points, drawn without storing the invalid ones among them."""
        if self.gave_up:
            return
        draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=self.seed + len(self.study.trials)))
        for _ in range(RANDOM_DRAWS):
            values = drawn(draws.ask(), self.space)
            with contextlib.suppress(RaydistillError):
                self.searched.jobs(values)
                yield values
        self.gave_up = True

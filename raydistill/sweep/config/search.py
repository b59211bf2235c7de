"""A search file: which job of which sweep is to be set better, over which values, and by how many trials."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from raydistill.config.load import load
from raydistill.config.names import check_name
from raydistill.errors import ConfigError, RaydistillError, suggest
from raydistill.sweep.config.sweep import SweepConfig, load_sweep

Value = int | float | str | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: int | float
    high: int | float
    log: bool = False
    """Tried evenly over orders of magnitude."""
    step: int | float | None = None

    def __post_init__(self):
        if self.low >= self.high or (self.log and (self.low <= 0 or self.step is not None)):
            raise ConfigError(
                f"a range goes up from `low` to `high`, with `log` from above 0 and without `step`, but got {self.low} "
                f"to {self.high}"
            )

    @property
    def whole(self) -> bool:
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Halving:
    """Asynchronous successive halving (ASHA): of the trials that reach a rung, the best part goes on to the next."""

    first: int = 5
    """Epochs of the first rung; each next one has `part` times as many."""
    part: int = 3
    """One of so many goes on."""

    def __post_init__(self):
        if self.first < 1 or self.part < 2:
            raise ConfigError(f"`first` is at least 1 and `part` at least 2, but got {self.first} and {self.part}")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which trials are compared, and the last of all."""
        found, rung = [], self.first
        while rung < epochs:
            found.append(rung)
            rung *= self.part
        return [*found, epochs]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """A search for better values of one job."""

    name: str
    sweep: str
    """The sweep file beside this one that the job is in."""
    job: str
    space: dict[str, Range | tuple[Value, ...]]
    """A value of the job, such as training.learning_rate -> where to look for it: a range, or a list of choices."""
    trials: int = 20
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = 0
    objectives: tuple[Literal["valid_r2", "parameters"], ...] = ("valid_r2",)
    """What is sought: the mean R² on the validation folds of the job's sessions, of a pretraining as it is on each that
    it was trained on; and few parameters beside it."""
    halving: Halving | None = field(default_factory=Halving)
    """null: every trial runs to its end."""

    def __post_init__(self):
        check_name(self.name, "search")
        if not self.space or self.trials < 1:
            raise ConfigError("a search needs at least one trial, and a value in its `space`")
        if "valid_r2" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ConfigError("`objectives` are valid_r2, or valid_r2 and parameters", at=("objectives",))
        if self.sampler == "grid" and any(isinstance(v, Range) and v.step is None for v in self.space.values()):
            raise ConfigError("`sampler: grid` needs lists of choices, or ranges with a `step`", at=("space",))


def load_search(path, overrides=()) -> SearchConfig:
    """Read a search file; every corner of its space must make a valid sweep.

    Raises:
        ConfigError: it does not, or the sweep has no such job.
    """
    search = load(SearchConfig, path, overrides)
    sweep = sweep_with(search, path, {})
    if search.job not in sweep.jobs:
        raise ConfigError(f'{path}: job: {search.sweep} has no job "{search.job}"{suggest(search.job, sweep.jobs)}')
    for name, where in search.space.items():
        ends = (where.low, where.high) if isinstance(where, Range) else where
        for value in ends:
            try:
                sweep_with(search, path, {name: value})
            except RaydistillError as err:
                raise ConfigError(f"{path}: space.{name}: {value}: {err}") from None
    return search


def sweep_with(search: SearchConfig, path, values: dict[str, Value]) -> SweepConfig:
    """The sweep with these values of the job.

    Args:
        path: of the search file.
    """
    overrides = [f"jobs.{search.job}.{name}={json.dumps(value)}" for name, value in values.items()]
    return load_sweep(Path(path).parent / search.sweep, overrides)

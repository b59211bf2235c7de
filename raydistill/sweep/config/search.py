"""A search file: for which job of which sweep better values are searched, in which space, and by how many trials."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from raydistill.config.load import load
from raydistill.config.names import check_name
from raydistill.errors import ConfigError, RaydistillError, suggest
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.sweep import SweepConfig

Value = int | float | str | bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether values are sampled evenly on a logarithmic scale."""
    step: int | float | None = None
    """Distance between two values; by default any value of the range may be sampled."""

    def __post_init__(self):
        if self.low >= self.high or (self.log and (self.low <= 0 or self.step is not None)):
            raise ConfigError(
                "a range needs `low` below `high`; with `log` it needs `low` above 0 and no `step`, but got "
                f"{self.low} to {self.high}"
            )

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return all(isinstance(value, int) for value in (self.low, self.high, self.step or 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Halving:
    """Asynchronous successive halving (ASHA): the best of the trials at a rung continue, the others are stopped."""

    first: int = 5
    """Epochs of the first rung; each later rung has `part` times as many."""
    part: int = 3
    """One out of `part` trials continues."""

    def __post_init__(self):
        if self.first < 1 or self.part < 2:
            raise ConfigError(f"`first` must be at least 1 and `part` at least 2, but got {self.first} and {self.part}")

    def rungs(self, epochs: int) -> list[int]:
        """The epochs at which trials are compared, and the last epoch."""
        rungs, rung = [], self.first
        while rung < epochs:
            rungs.append(rung)
            rung *= self.part
        return [*rungs, epochs]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """A search for better values of one job."""

    name: str
    sweep: str
    """File name of the sweep, which is in the same folder as the search file."""
    job: str
    """Name of the job in the sweep."""
    space: dict[str, Range | tuple[Value, ...]]
    """Value of the job, such as training.learning_rate -> the range or the list of choices to search."""
    trials: int = 20
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: int = 0
    objectives: tuple[Literal["valid_r2", "parameters"], ...] = ("valid_r2",)
    """valid_r2: maximise the mean R² on the validation folds of the job's sessions (of a pretraining, of the sessions
    that it is trained on). parameters: minimise the number of parameters as well."""
    halving: Halving | None = field(default_factory=Halving)
    """How poor trials are stopped early; null: every trial runs to its end."""

    def __post_init__(self):
        check_name(self.name, "search")
        if not self.space or self.trials < 1:
            raise ConfigError("a search needs `trials` of at least 1, and at least one value in `space`")
        if "valid_r2" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ConfigError("`objectives` must be [valid_r2] or [valid_r2, parameters]", at=("objectives",))
        if self.sampler == "grid" and any(isinstance(v, Range) and v.step is None for v in self.space.values()):
            raise ConfigError("`sampler: grid` needs lists of choices, or ranges with a `step`", at=("space",))


def load_search(path, overrides=()) -> SearchConfig:
    """Read a search file, and check that the sweep is valid with the lowest and highest value or each choice.

    Raises:
        ConfigError: the file is invalid, a value of its space makes the sweep invalid, or the sweep lacks the job.
    """
    search = load(SearchConfig, path, overrides, _refuse_sweeps)
    sweep = sweep_with(search, path, {})
    if search.job not in sweep.jobs:
        raise ConfigError(f'{path}: job: {search.sweep} has no job "{search.job}"{suggest(search.job, sweep.jobs)}')
    for name, choices in search.space.items():
        for value in (choices.low, choices.high) if isinstance(choices, Range) else choices:
            try:
                sweep_with(search, path, {name: value})
            except RaydistillError as err:
                raise ConfigError(f"{path}: space.{name}: {value}: {err}") from None
    return search


def _refuse_sweeps(tree, path: Path) -> None:
    if "jobs" in tree and "space" not in tree:
        raise ConfigError(f"{path}: this is a sweep, not a search; run it with `raydistill sweep {path}`")


def sweep_with(search: SearchConfig, path, values: dict[str, Value]) -> SweepConfig:
    """The sweep of a search, with these values for its job.

    Args:
        path: of the search file.
    """
    overrides = [f"jobs.{search.job}.{name}={json.dumps(value)}" for name, value in values.items()]
    return load_sweep(Path(path).parent / search.sweep, overrides)

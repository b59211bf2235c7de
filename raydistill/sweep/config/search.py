"""A search file: for which job of which sweep better values are searched, in which space, and by how many trials."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from raydistill.config.load import Where, build, override, read_yaml
from raydistill.config.names import check_name
from raydistill.errors import ConfigError, suggest
from raydistill.sweep.config.reading import read_sweep
from raydistill.sweep.config.searched_job import own_value, sweep_with
from raydistill.sweep.config.space import Choices, Range, Space, Value, Values, ordered
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.config.typed_space import typed

MAX_GRID = 10_000
"""Largest number of points of a grid."""
FROM_COMMAND_LINE = ("store",)
"""Keys of the sweep that `--set` of a search may give."""


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
    space: dict[str, Range | Choices | tuple[Value, ...]]
    """Value of the job, such as training.learning_rate -> the range or the choices to search. A list is short for
    `{choices: [...]}`."""
    trials: int = 20
    """Number of different points that are tried."""
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
        if self.seed < 0:
            raise ConfigError(f"`seed` must be at least 0, but got {self.seed}", at=("seed",))
        if "valid_r2" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise ConfigError("`objectives` must be [valid_r2] or [valid_r2, parameters]", at=("objectives",))


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search file and its sweep, as they were when they were read: a later edit of the files changes nothing."""

    config: SearchConfig
    space: Space
    """The space, with values of the types that the job's settings have."""
    sweep: SweepConfig
    job_in_file: dict[str, Any]
    """The searched job as the sweep file has it, as JSON data."""

    @property
    def name(self) -> str:
        """Name of the search."""
        return self.config.name

    @property
    def all_own_values(self) -> Values:
        """The sweep's own value of every dimension."""
        job = self.sweep.jobs[self.config.job]
        return {name: own_value(self.sweep, job, name) for name in self.space.dimensions}

    @property
    def own_values(self) -> Values:
        """The point of the sweep's own values, which need not be in the space: only dimensions that exist in it."""
        own = self.all_own_values
        return self.space.chosen(lambda name, dimension: own[name])

    def sweep_with(self, values: Values) -> SweepConfig:
        """The sweep with these values for the searched job. Raises ConfigError if they contradict each other."""
        return sweep_with(self.sweep, self.config.job, values)


def load_search(path: str | Path, overrides: Iterable[str] = ()) -> Search:
    """Read a search file and its sweep.

    Values of the space get the type of the job's setting. Whether they can be combined shows when they are tried.

    Args:
        overrides: "a.b=value" strings; `store=` overrides the sweep, all others the search.
    Raises:
        ConfigError: a file is invalid, the sweep lacks the job, or the job lacks a setting of the space or cannot have
            one of its values.
    """
    path, tree, overrides = Path(path), read_yaml(path), list(overrides)
    if "jobs" in tree and "space" not in tree:
        raise ConfigError(f"{path}: this is a sweep, not a search; run it with `raydistill sweep {path}`")
    of_sweep = [text for text in overrides if text.partition("=")[0].strip() in FROM_COMMAND_LINE]
    for text in overrides:
        if text not in of_sweep:
            override(tree, text)
    config = build(SearchConfig, tree, Where(str(path)))
    sweep, job_in_file = _read_sweep(path.parent / config.sweep, config.job, of_sweep, path)
    place = Where(str(path)).down(tree, "space")
    job = sweep.jobs[config.job]
    dimensions = {name: typed(d, name, job, place.down(tree["space"], name)) for name, d in config.space.items()}
    try:
        space = ordered(dimensions)
    except ConfigError as err:
        at = place.down(tree["space"], err.at[0]) if err.at else place
        raise at.error(f"{at.path}: {err}") from None
    _check_grid(config, space, place)
    return Search(config=config, space=space, sweep=sweep, job_in_file=job_in_file)


def _read_sweep(path: Path, job: str, overrides: list[str], search: Path) -> tuple[SweepConfig, dict[str, Any]]:
    tree = read_sweep(path)
    for text in overrides:
        override(tree, text)
    # A search has trials of its own: the jobs that its job starts from have the settings of the file.
    sweep = dataclasses.replace(build(SweepConfig, tree, Where(str(path))), tune=None)
    if job not in sweep.jobs:
        raise ConfigError(f'{search}: job: {path.name} has no job "{job}"{suggest(job, sweep.jobs)}')
    if sweep.label:
        raise ConfigError(
            f"{search}: sweep: a search compares R² on validation folds, but {path.name} decodes the label "
            f'"{sweep.label}"; name a sweep that decodes behavior columns'
        )
    if sweep.jobs[job].imported:
        raise ConfigError(f"{search}: job: {job} is an imported model, which has no settings to search")
    return sweep, json.loads(json.dumps(tree["jobs"][job]))


def _check_grid(config: SearchConfig, space: Space, place: Where) -> None:
    if config.sampler != "grid":
        return
    if not space.finite:
        raise place.error("`sampler: grid` needs lists of choices, or ranges of whole numbers or with a `step`")
    if space.count(MAX_GRID + 1) > MAX_GRID:
        raise place.error(
            f"the grid has more than {MAX_GRID:,} points; take larger steps, or `sampler: random`, which tries "
            "`trials` different points of a space of any size"
        )

"""`tune` of a sweep: how many trials every method gets before the comparison, and in which space.

Trial 0 of every method has the settings of the sweep. The other trials have the same settings for all methods, as far
as their jobs have these settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from raydistill.config.load import Where
from raydistill.config.numbers import Limits, Seed, check_limits
from raydistill.config.training import RECIPES
from raydistill.errors import ConfigError
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.setting_types import SECTIONS
from raydistill.sweep.config.space import Choices, Dimension, Range, Space, Value, ordered
from raydistill.sweep.config.typed_space import typed

Trials = Annotated[int, Limits(least=2, most=1000)]
"""One trial would be the settings of the sweep alone."""
WIDTH = "model.width"
RATE_FACTOR = 4.0
"""By default the learning rate is between that of the preset divided by this, and multiplied by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """Trials of every method before the comparison."""

    trials: Trials = 20
    """Number of trials of each method, the one with the settings of the sweep included."""
    space: dict[str, Range | Choices | tuple[Value, ...]] | None = None
    """Setting, such as training.learning_rate -> the range or the choices to try, as in a search. By default that of
    `default_space`."""
    seed: Seed = 0
    """Seed of the settings that are tried."""
    methods: tuple[str, ...] = ()
    """Methods to tune. By default those of `compare`, or all if there is none, and those that own their teachers."""

    def __post_init__(self):
        check_limits(self)
        if self.space == {}:
            raise ConfigError("`space` names nothing to try; leave it out for the default space", at=("space",))


def default_space(preset: str) -> dict[str, Dimension]:
    """The space of a tuning that names none: learning rate, dropout, and the patch of each signal.

    It has values for every preset: their recipes differ in the learning rate, around which the range lies. The number
    of epochs is not in it, because the best epoch by validation loss is kept.
    """
    rate = RECIPES[preset].training.learning_rate
    return {
        "training.learning_rate": Range(low=rate / RATE_FACTOR, high=rate * RATE_FACTOR, log=True),
        "model.dropout": Choices(choices=(0.0, 0.1, 0.2, 0.3)),
        "model.lfp_patch": Choices(choices=(16, 32, 64)),
        "model.spikes_patch": Choices(choices=(16, 32, 64)),
    }


def space_of(tune: TuneConfig, preset: str, jobs: Iterable[JobConfig]) -> Space:
    """The space of a tuning, with values of the types that the settings of the sweep's jobs have.

    Raises:
        ConfigError: no job has one of the settings, or a value has another type; `at` is relative to the sweep.
    """
    jobs = list(jobs)
    if tune.space and WIDTH in tune.space and any(job.distill for job in jobs):
        raise ConfigError(
            f"{WIDTH} cannot be varied here: students and their teachers need one width, and each method has trials of "
            "its own; set it in the sweep",
            at=("tune", "space", WIDTH),
        )
    dimensions = (
        default_space(preset)
        if tune.space is None
        else {name: _typed(dimension, name, jobs) for name, dimension in tune.space.items()}
    )
    try:
        return ordered(dimensions)
    except ConfigError as err:
        raise ConfigError(str(err), at=("tune", "space", *err.at)) from None


def _typed(dimension: Dimension | tuple[Value, ...], name: str, jobs: list[JobConfig]) -> Dimension:
    section, _, setting = name.partition(".")
    if section not in SECTIONS or not setting:
        raise ConfigError(
            f'`tune` varies settings of {", ".join(SECTIONS)}, such as training.learning_rate, but not "{name}"',
            at=("tune", "space", name),
        )
    problems: list[ConfigError] = []
    for job in jobs:
        place = Where("tune", name)
        try:
            return typed(dimension, name, job, place)
        except ConfigError as err:  # models of another family may have the setting
            problems.append(err)
    raise ConfigError(str(problems[0]).removeprefix("tune: "), at=("tune", "space", name))


def check_methods(tune: TuneConfig, methods: Mapping[str, object]) -> None:
    """Raise ConfigError if `tune` names a method that the sweep does not have."""
    for i, method in enumerate(tune.methods):
        if method not in methods:
            raise ConfigError(
                f'`tune` names "{method}", which is no method of the sweep; it has {", ".join(methods)}',
                at=("tune", "methods", str(i)),
            )

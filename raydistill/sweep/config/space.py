"""The space of a search: the values to try of each dimension, and the conditions under which a dimension exists.

A point of the space is a mapping from the name of each dimension that exists in it to a value. Points are listed one
after another and never all at once, because a space may have more of them than fit into memory.
"""

import graphlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from raydistill.errors import ConfigError, suggest

Value = int | float | str | bool | None
Values = dict[str, Value]
"""Name of a dimension -> value."""
Condition = dict[str, tuple[Value, ...]]
"""Name of another dimension -> the values of it with which a dimension exists."""

DIGITS = 12
"""Significant digits of a value in a stepped range, so that 0.1 + 0.2 and 0.3 are one value."""
TOLERANCE = 1e-9
"""Largest distance from a value of a stepped range, in steps, at which a number counts as this value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included. They are whole if the setting of the job is a whole number."""

    low: float
    high: float
    log: bool = False
    """Whether values are sampled evenly on a logarithmic scale."""
    step: float | None = None
    """Distance between two values; by default any value of the range may be sampled."""
    when: Condition = field(default_factory=dict)
    """Name of another value of the space -> its values with which this one is varied; otherwise it is the sweep's."""

    def __post_init__(self):
        if self.low >= self.high or (self.log and (self.low <= 0 or self.step is not None)):
            raise ConfigError(
                "a range needs `low` below `high`; with `log` it needs `low` above 0 and no `step`, but got "
                f"{self.low:g} to {self.high:g}"
            )
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ConfigError(f"`step` must be above 0 and at most `high` - `low`, but got {self.step:g}", at=("step",))

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers, which is known only after `load_search`."""
        return isinstance(self.low, int)

    @property
    def finite(self) -> bool:
        """Whether the number of values is limited."""
        return self.whole or self.step is not None

    @property
    def highest(self) -> float:
        """The highest value, which is below `high` if that is not a whole number of steps from `low`."""
        return self.high if self.step is None else self.nearest(self.low + self._steps * self.step)

    def values(self) -> Iterator[Value]:
        """Every value, in increasing order. The range must be finite."""
        return (self.nearest(self.low + i * (self.step or 1)) for i in range(self._steps + 1))

    def nearest(self, value: float) -> float:
        """The value of a stepped or whole range that is nearest to a number; of another range the number itself."""
        if self.whole:
            return round(value)
        if self.step is None:
            return value
        return float(f"{self.low + round((value - self.low) / self.step) * self.step:.{DIGITS}g}")

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.finite:
            return self.low <= value <= self.high
        steps = (value - self.low) / (self.step or 1)
        return -TOLERANCE <= steps <= self._steps + TOLERANCE and abs(steps - round(steps)) < TOLERANCE

    @property
    def _steps(self) -> int:
        """Number of steps from the lowest value to the highest."""
        return int((self.high - self.low) / (self.step or 1) + TOLERANCE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """A list of values."""

    choices: tuple[Value, ...]
    when: Condition = field(default_factory=dict)
    """As `Range.when`."""

    def __post_init__(self):
        if not self.choices:
            raise ConfigError("a list of choices needs at least one value")
        repeated = [value for i, value in enumerate(self.choices) if value in self.choices[:i]]
        if repeated:
            raise ConfigError(f"{repeated[0]!r} is given twice; give each choice once")

    @property
    def finite(self) -> bool:
        """Whether the number of values is limited."""
        return True

    def values(self) -> Iterator[Value]:
        """Every choice, in the order given."""
        return iter(self.choices)

    def nearest(self, value: Value) -> Value:
        """The choice itself."""
        return value

    def __contains__(self, value: object) -> bool:
        return value in self.choices


Dimension = Range | Choices


@dataclass(frozen=True)
class Space:
    """The dimensions of a search, each after those that its condition names."""

    dimensions: dict[str, Dimension]

    @property
    def finite(self) -> bool:
        """Whether the number of points is limited."""
        return all(dimension.finite for dimension in self.dimensions.values())

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a dimension exists in a point.

        Args:
            values: of the dimensions that its condition names, as far as they exist.
        """
        conditions = self.dimensions[name].when.items()
        return all(other in values and values[other] in allowed for other, allowed in conditions)

    def chosen(self, choose: Callable[[str, Dimension], Value]) -> Values:
        """A point whose values are chosen one after another, for the dimensions that exist in it."""
        values: Values = {}
        for name, dimension in self.dimensions.items():
            if self.exists(name, values):
                values[name] = choose(name, dimension)
        return values

    def __contains__(self, values: Mapping[str, Value]) -> bool:
        existing = [name for name in self.dimensions if self.exists(name, values)]
        return set(existing) == set(values) and all(values[name] in self.dimensions[name] for name in existing)

    def points(self) -> Iterator[Values]:
        """Every point of a finite space, one after another."""
        return self._extended({}, tuple(self.dimensions))

    def count(self, limit: int) -> int:
        """Number of points of a finite space, counted up to `limit`."""
        return sum(1 for _ in itertools.islice(self.points(), limit))

    def _extended(self, values: Values, names: tuple[str, ...]) -> Iterator[Values]:
        if not names:
            yield values
        elif not self.exists(names[0], values):
            yield from self._extended(values, names[1:])
        else:
            for value in self.dimensions[names[0]].values():
                yield from self._extended(values | {names[0]: value}, names[1:])


def ordered(dimensions: dict[str, Dimension]) -> Space:
    """The space of these dimensions.

    Raises:
        ConfigError: a condition names an unknown dimension or a value that it cannot have, or conditions form a
            circle. `at` is relative to the space.
    """
    for name, dimension in dimensions.items():
        for other, allowed in dimension.when.items():
            at = (name, "when", other)
            if other not in dimensions or other == name:
                others = [known for known in dimensions if known != name]
                raise ConfigError(f'`when` names "{other}", which is not in the space{suggest(other, others)}', at)
            for value in allowed:
                if value not in dimensions[other]:
                    raise ConfigError(f"`when` names {value!r}, which is not a value of {other} in the space", at)
    try:
        order = graphlib.TopologicalSorter({name: list(d.when) for name, d in dimensions.items()}).static_order()
        return Space({name: dimensions[name] for name in order})
    except graphlib.CycleError as err:
        circle = " -> ".join(err.args[1])
        raise ConfigError(f"the conditions (`when`) of these values name each other: {circle}") from None

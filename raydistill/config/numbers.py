"""Ranges of the numbers in a configuration, declared beside their types.

`epochs: Count = 400` is a whole number from 1 to a million. Files and command lines are checked when they are read
(config/load.py), stored specifications when they are restored (config/plain.py), and values given in Python by
`check_limits` in the `__post_init__` of their class. Every number of a configuration has a range
(tests/config/test_numbers.py), so that a value which cannot work is refused before a job starts.
"""

import dataclasses
import functools
import sys
import types
import typing
from typing import Annotated, Any

from raydistill.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The range of a number; each limit that is None is none."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    nonzero: bool = False

    def allow(self, value: float) -> bool:
        """Whether a number is finite and within the range."""
        is_finite = abs(value) <= sys.float_info.max  # false of nan, too
        return is_finite and not (self._is_low(value) or self._is_high(value) or (self.nonzero and value == 0))

    def _is_low(self, value: float) -> bool:
        return (self.least is not None and value < self.least) or (self.above is not None and value <= self.above)

    def _is_high(self, value: float) -> bool:
        return (self.most is not None and value > self.most) or (self.below is not None and value >= self.below)

    def broken_by(self, value: float) -> str:
        """The range in words for a number outside of it; a limit that only guards against nonsense is named if it is
        the one that does not hold."""
        lower = self.least if self.above is None else self.above
        upper = self.most if self.below is None else self.below
        words = []
        if lower is not None and (abs(lower) < _NONSENSE or self._is_low(value)):
            words.append(f"{'at least' if self.above is None else 'above'} {lower:,.15g}")
        if upper is not None and (abs(upper) < _NONSENSE or self._is_high(value)):
            words.append(f"{'at most' if self.below is None else 'below'} {upper:,.15g}")
        return " and ".join([*words, "not 0"] if self.nonzero and value == 0 else words) or "a finite number"


_NONSENSE = 10_000
MANY = 1_000_000
"""Most of anything that is counted, far above what any machine can hold."""

Count = Annotated[int, Limits(least=1, most=MANY)]
CountOrZero = Annotated[int, Limits(least=0, most=MANY)]
Seed = Annotated[int, Limits(least=0, most=2**32 - 1)]
Size = Annotated[int, Limits(least=1, most=65536)]
"""A dimension of a model."""
Fraction = Annotated[float, Limits(least=0, most=1)]
InnerFraction = Annotated[float, Limits(above=0, below=1)]
Weight = Annotated[float, Limits(least=0, most=1e6)]
"""A factor in a loss."""
Positive = Annotated[float, Limits(above=0, most=1e9)]
NotNegative = Annotated[float, Limits(least=0, most=1e9)]
Factor = Annotated[float, Limits(least=-1e18, most=1e18, nonzero=True)]
Seconds = Annotated[float, Limits(least=-1e10, most=1e10)]
"""A time on any clock, such as the 1.7e9 s since 1970."""
Duration = Annotated[float, Limits(least=0, most=1e8)]
"""Seconds, up to three years."""
Hertz = Annotated[float, Limits(above=0, most=1e9)]
Micrometres = Annotated[float, Limits(least=-1e9, most=1e9)]
AnyNumber = Annotated[float, Limits()]
"""Any finite number."""


def check_limits(config: Any) -> None:
    """Raise ConfigError with the name, range and value of the first number of a dataclass that is out of its range."""
    for name, kind in _numbers(config.__class__):
        allowed = [limits for limits in kind if limits is not None]
        numbers = [value for value in _values(getattr(config, name)) if isinstance(value, int | float)]
        for value in numbers:
            if not isinstance(value, bool) and allowed and not any(limits.allow(value) for limits in allowed):
                text = f"`{name.rstrip('_')}` must be {allowed[0].broken_by(value)}, but got {value}"
                raise ConfigError(text, at=(name.rstrip("_"),))


def _values(value: Any) -> list:
    return list(value) if isinstance(value, tuple) else list(value.values()) if isinstance(value, dict) else [value]


@functools.cache
def _numbers(cls: Any) -> tuple[tuple[str, tuple[Limits | None, ...]], ...]:
    """Name and limits of each field with numbers; None for a kind of number without limits."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = ((field.name, tuple(limits_of(hints[field.name]))) for field in dataclasses.fields(cls))
    return tuple((name, limits) for name, limits in found if limits)


def limits_of(kind: Any) -> list[Limits | None]:
    """The limits of each kind of number in a type; None for `int` and `float` alone."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in (int, float):
        return [None]
    if origin is Annotated:
        limits = next((mark for mark in args[1:] if isinstance(mark, Limits)), None)
        return [limits] if limits is not None else limits_of(args[0])
    if origin in (typing.Union, types.UnionType, tuple, dict):
        return [limits for arg in args for limits in limits_of(arg)]
    return []

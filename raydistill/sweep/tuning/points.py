"""The settings that trials have: points of a space, spread evenly over it, and the same ones in every process."""

import math

import numpy as np

from raydistill.sweep.config.space import Choices, Dimension, Range, Space, Value, Values

DIGITS = 4
"""Significant digits of a real number, so that people can read and copy it."""


def points(space: Space, count: int, seed: int) -> list[Values]:
    """The first points of a space: Sobol' points, shifted by a random amount for each dimension.

    They cover a space of several dimensions more evenly than random points do. With a larger count, the first ones
    stay the same. Points of a space with few values repeat.

    Args:
        count: how many points.
        seed: of the shifts.
    """
    from scipy.stats import qmc  # imported here, because sweeps without trials need no scipy

    names = sorted(space.dimensions)
    unshifted = qmc.Sobol(len(names), scramble=False).random_base2(math.ceil(math.log2(max(count, 2))))[:count]
    shifted = (unshifted + np.random.default_rng(seed).random(len(names))) % 1.0
    return [_point(space, dict(zip(names, row.tolist(), strict=True))) for row in shifted]


def _point(space: Space, places: dict[str, float]) -> Values:
    return space.chosen(lambda name, dimension: value_at(dimension, places[name]))


def value_at(dimension: Dimension, place: float) -> Value:
    """The value at a place of a dimension, from 0 (its lowest or first value) to below 1 (its last)."""
    if isinstance(dimension, Choices):
        return dimension.choices[int(place * len(dimension.choices))]
    if dimension.finite and not dimension.log:
        low, step = dimension.low, dimension.step or 1
        steps = round((dimension.highest - low) / step)
        return dimension.nearest(low + int(place * (steps + 1)) * step)
    return _number_at(dimension, place)


def _number_at(dimension: Range, place: float) -> Value:
    low, high = dimension.low, dimension.high
    number = low * (high / low) ** place if dimension.log else low + place * (high - low)
    if dimension.whole:
        return dimension.nearest(number)
    return min(max(float(f"{number:.{DIGITS}g}"), low), high)

"""The electrode arrays of one subject, which all its sessions share: electrodes, mixing of the LFP, and units.

Channels and units are shared among the arrays. With a single array, mixing weights are independent of position; with
several, electrodes that are near each other have similar weights. C channels, S sources.
"""

from dataclasses import dataclass

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.electrodes import array_sizes, electrode_table, grid
from raydistill.simulation.units import draw_tuning
from raydistill.store.channels import ChannelTable

_SPREAD_UM = 800.0  # the correlation of mixing weights falls to 1/e over this distance


@dataclass(frozen=True, kw_only=True, slots=True)
class Implant:
    """The arrays of a subject."""

    channels: ChannelTable
    """(C rows)"""
    array_numbers: np.ndarray
    """(C,) the array of each channel, an index of `ARRAYS`."""
    tuning: dict[str, np.ndarray]
    """Parameters of each unit, see `draw_tuning`."""
    unit_channels: np.ndarray
    """(max_units,)"""
    motor_mixing: np.ndarray
    """(arrays * S, C) weight of each source's motor potential on each channel; 0 on the channels of other arrays. The
    columns of all mixings have norm 1."""
    beta_mixing: np.ndarray
    """(arrays * S, C)"""
    shared_mixing: np.ndarray
    """(arrays * shared_rank, C)"""


def draw_implant(config: SyntheticConfig, rng: np.random.Generator) -> Implant:
    """The arrays of the subject whose random stream this is."""
    n_channels = int(rng.integers(config.min_channels, config.max_channels + 1))
    sizes = array_sizes(n_channels, config.arrays)
    return Implant(
        channels=electrode_table(sizes),
        array_numbers=np.repeat(np.arange(config.arrays), sizes),
        tuning=draw_tuning(rng, config.max_units, config.tuning_depth),
        unit_channels=rng.integers(n_channels, size=config.max_units),
        motor_mixing=_mixing(rng, config.sources, sizes),
        beta_mixing=_mixing(rng, config.sources, sizes),
        shared_mixing=_mixing(rng, config.shared_rank, sizes),
    )


def _mixing(rng, sources, sizes):
    """(arrays * sources, C) normal weights, 0 between a source and the channels of another array."""
    mixing = np.zeros((len(sizes) * sources, sum(sizes)))
    for number, size in enumerate(sizes):
        weights = rng.normal(size=(sources, size))
        if len(sizes) > 1:
            weights = weights @ _smoothing(size)
        first = sum(sizes[:number])
        rows, columns = slice(number * sources, (number + 1) * sources), slice(first, first + size)
        mixing[rows, columns] = weights / np.linalg.norm(weights, axis=0)
    return mixing


def _smoothing(size):
    """(size, size) matrix that makes weights of unit variance correlate by exp(-distance / 800 um)."""
    place = grid(size)
    distance = np.linalg.norm(place[:, None] - place, axis=2)  # (size, size)
    return np.linalg.cholesky(np.exp(-distance / _SPREAD_UM)).T

"""The electrode arrays that a simulated subject may have, and where their electrodes are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raydistill.store.channels import ChannelTable, channel_table

Follows = Literal["velocity", "speed", "nothing"]
_PITCH_UM = 400.0  # between neighbouring electrodes of a Utah array


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectrodeArray:
    """One of the arrays that a simulation may have."""

    name: str
    region: str
    follows: Follows
    """What of the hand its populations and units follow."""


ARRAYS = (
    ElectrodeArray(name="M1", region="primary motor cortex", follows="velocity"),
    ElectrodeArray(name="S1", region="primary somatosensory cortex", follows="speed"),
    ElectrodeArray(name="PFC", region="prefrontal cortex", follows="nothing"),
    ElectrodeArray(name="A1", region="auditory cortex", follows="nothing"),
)
"""A subject has the first `SyntheticConfig.arrays` of these."""


def array_sizes(n_electrodes: int, arrays: int) -> list[int]:
    """Electrodes of each of so many arrays, which differ by at most one."""
    return [len(part) for part in np.array_split(np.arange(n_electrodes), arrays)]


def electrode_table(sizes: Sequence[int]) -> ChannelTable:
    """Arrays with these numbers of electrodes, each numbered from 1 and on a square grid of its own."""
    arrays = [array for array, size in zip(ARRAYS, sizes, strict=False) for _ in range(size)]
    places = np.concatenate([grid(size) for size in sizes])  # (electrodes, 2)
    return channel_table(
        len(arrays),
        electrode=[str(number + 1) for size in sizes for number in range(size)],
        array=[array.name for array in arrays],
        region=[array.region for array in arrays],
        x_um=places[:, 0].tolist(),
        y_um=places[:, 1].tolist(),
        z_um=[0.0] * len(arrays),
    )


def grid(size: int) -> np.ndarray:
    """(size, 2) positions of the electrodes of one array in micrometres, row by row."""
    row, column = np.divmod(np.arange(size), int(np.ceil(np.sqrt(size))))
    return _PITCH_UM * np.column_stack([column, row])

"""Where the channels and units of Makin's sessions were recorded.

A channel has the name of its array and its number on it, such as M1 001, in the MATLAB file (`chan_names`) and in the
broadband file (`electrode_names`), which also gives its place in metres (`electrode_map`). No session depends on them:
what is not as published is told in a note, and stays unknown. n channels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.store.channels import ChannelTable, channel_table

_NAME = re.compile(r"(.*\S)\s+0*(\d+)")
_NAMES = "acquisition/timeseries/broadband/electrode_names"
_MAP = "general/extracellular_ephys/electrode_map"
_UM_PER_M = 1e6
_LARGEST_M = 0.1  # of a map; an array is 4 mm wide


@dataclass(frozen=True, kw_only=True)
class BroadbandChannels:
    """What the broadband file says of its n channels."""

    n: int
    names: tuple[str, ...] | None = None
    places_um: np.ndarray | None = None
    """(n, 3) x, y and z in micrometres."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MakinTables:
    """The tables of a session, and notes on what is unknown."""

    spikes: ChannelTable
    """One row per channel of the MATLAB file."""
    lfp: ChannelTable | None
    """One row per channel of the broadband file."""
    notes: tuple[str, ...]


def broadband_channels(file, n: int) -> BroadbandChannels:
    """The names and places in an open broadband file of n channels."""
    names, places, notes = None, None, []
    try:
        names = _names(file, n)
    except DataError as err:
        notes.append(f"{Path(file.filename).name}: {err}; the names of its channels are unknown")
    try:
        places = _places(file, n)
    except DataError as err:
        notes.append(f"{Path(file.filename).name}: {err}; the positions of its electrodes are unknown")
    return BroadbandChannels(n=n, names=names, places_um=places, notes=tuple(notes))


def _names(file, n) -> tuple[str, ...] | None:
    with matlab73.damage_named(_NAMES):
        has_names = _NAMES in file
    if not has_names:
        return None
    node = matlab73.dataset(file, _NAMES)
    if node.size != n or node.dtype.kind not in "SO":
        raise matlab73.unlike(_NAMES, node, f"{n} names")
    values = np.ravel(matlab73.read(node, (), _NAMES)).tolist()
    if not all(isinstance(value, bytes | str) for value in values):
        raise matlab73.unlike(_NAMES, node, f"{n} names")
    names = tuple(v.decode(errors="replace").strip() if isinstance(v, bytes) else v.strip() for v in values)
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise DataError(f"{_NAMES} has {repeated[0]!r} twice")
    return names


def _places(file, n) -> np.ndarray | None:
    """(n, 3) micrometres; the file may hold them transposed, as it may the broadband."""
    with matlab73.damage_named(_MAP):
        has_map = _MAP in file
    if not has_map:
        return None
    node = matlab73.dataset(file, _MAP)
    if node.dtype.kind not in "iuf" or node.shape not in ((n, 3), (3, n)):
        raise matlab73.unlike(_MAP, node, f"({n}, 3) metres")
    metres = np.asarray(matlab73.read(node, (), _MAP), dtype=np.float64)
    metres = metres if node.shape == (n, 3) else metres.T
    known = metres[np.isfinite(metres).all(axis=1)]
    if len(known) > 1 and not np.ptp(known, axis=0).any():
        raise DataError(f"{_MAP} has all electrodes at one place, {known[0].tolist()} m")
    if len(known) and (width := np.ptp(known, axis=0).max()) > _LARGEST_M:
        raise DataError(f"{_MAP} is {width:g} m wide, more than {_LARGEST_M:g} m")
    return np.round(metres * _UM_PER_M, 3)


def tables(names: Sequence[str], broadband: BroadbandChannels | None) -> MakinTables:
    """The tables of a session. Channels of both files are the same where their names are.

    Args:
        names: of the channels of the MATLAB file.
        broadband: None: there is no broadband file. Without names, its channels are those of the MATLAB file if there
            are as many.
    """
    if broadband is None:
        return MakinTables(spikes=_table(names, None), lfp=None, notes=())
    notes, lfp_names = list(broadband.notes), broadband.names
    if lfp_names is None and broadband.n == len(names):
        lfp_names = tuple(names)
    if lfp_names is None:
        notes.append(
            f"the broadband has {broadband.n} channels without names and chan_names has {len(names)}; where its "
            "channels were recorded is unknown"
        )
        return MakinTables(spikes=_table(names, None), lfp=None, notes=tuple(notes))
    rows = {name: row for row, name in enumerate(lfp_names)}
    if other := [name for name in lfp_names if name not in set(names)]:
        notes.append(
            f"{len(other)} of {broadband.n} channels of the broadband, such as {other[0]!r}, are not in chan_names"
        )
    places = None
    if broadband.places_um is not None:
        places = np.full((len(names), 3), np.nan)
        found = [channel for channel, name in enumerate(names) if name in rows]
        places[found] = broadband.places_um[[rows[names[channel]] for channel in found]]
    return MakinTables(spikes=_table(names, places), lfp=_table(lfp_names, broadband.places_um), notes=tuple(notes))


def _table(names: Sequence[str], places_um: np.ndarray | None) -> ChannelTable:
    """The array of a name is also the region; a name of another form is that of the electrode."""
    parts = [match.groups() if (match := _NAME.fullmatch(name)) else ("", name) for name in names]
    arrays = [array for array, _ in parts]
    places = {} if places_um is None else dict(zip(("x_um", "y_um", "z_um"), places_um.T.tolist(), strict=True))
    return channel_table(len(names), electrode=[number for _, number in parts], array=arrays, region=arrays, **places)

"""Which row of which table names a channel; imports no torch, because planning checks the tables of channels."""

from collections.abc import Iterable, Sequence

from raydistill.models.barista.config import NAMED, BaristaConfig, PositionGrid
from raydistill.models.spec import ModelSpec
from raydistill.store.channels import ChannelTable

AXES = ("x", "y", "z")
UNKNOWN = -1
"""In place of the row of an array, region or coordinate that is not known."""


def place_names(config: BaristaConfig, tables: Iterable[ChannelTable]) -> tuple[str, ...]:
    """The arrays or regions of these channels, sorted; () for another scale."""
    if config.space not in NAMED:
        return ()
    return tuple(sorted({name for table in tables for name in table.names(config.space)}))


def table_sizes(spec: ModelSpec) -> dict[str, int]:
    """Table -> its rows."""
    config: BaristaConfig = spec.config
    if config.space == "channel":
        return {"channels": sum(spec.sessions.values())}
    if config.grid is not None:
        return dict.fromkeys(AXES, config.grid.rows)
    return {"names": 1 + len(spec.place_names)}


def rows_of(spec: ModelSpec, sessions: dict[str, int]) -> list[list[int]]:
    """The row of each channel in each table: (channels, tables), sessions one after another.

    Args:
        sessions: name -> channels, in the order of the rows.
    Raises:
        ValueError: a session has no table of channels, or one of another length.
    """
    config: BaristaConfig = spec.config
    if config.space == "channel":
        return [[row] for row in range(sum(sessions.values()))]
    rows: list[list[int]] = []
    for session, count in sessions.items():
        table = spec.channels.get(session)
        if table is None or len(table) != count:
            raise ValueError(f"`channels` of session {session} must have {count} rows, for `space: {config.space}`")
        if config.grid is None:
            rows += _named_rows(table, config, spec.place_names)
        else:
            rows += positions_of(table, config.grid)
    return rows


def _named_rows(table: ChannelTable, config: BaristaConfig, names: Sequence[str]) -> list[list[int]]:
    numbers = {name: number for number, name in enumerate(names, 1)}
    return [[numbers.get(name, UNKNOWN)] for name in getattr(table, config.space)]


def positions_of(table: ChannelTable, grid: PositionGrid) -> list[list[int]]:
    """The row of each channel on each axis, (channels, 3). Raises ValueError if a position is outside of the tables."""
    axes = []
    for axis in AXES:
        positions = getattr(table, f"{axis}_um")
        axis_rows = [UNKNOWN if um is None else grid.row(um) for um in positions]
        for um, row in zip(positions, axis_rows, strict=True):
            if um is not None and not 0 <= row < grid.rows:
                end = grid.start_um + grid.rows * grid.step_um
                raise ValueError(
                    f"a channel is at {axis} = {um:g} µm, but the tables of positions reach from {grid.start_um:g} to "
                    f"{end:g} µm; set `position_start_um` and `position_step_um` of the model"
                )
        axes.append(axis_rows)
    return [list(row) for row in zip(*axes, strict=True)]


def groups_of(table: ChannelTable | None, scale: str, count: int) -> list[int]:
    """The group of each channel at the scale channel, array or region. A channel whose array or region is not known is
    a group of its own."""
    names = [""] * count if scale == "channel" or table is None else list(getattr(table, scale))
    numbers: dict[str, int] = {}
    return [numbers.setdefault(name or f"\0{i}", len(numbers)) for i, name in enumerate(names)]

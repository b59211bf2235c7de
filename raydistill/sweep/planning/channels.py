"""Whether a session suits a model whose tokens are long, or that names or masks channels, before its job starts."""

from collections.abc import Sequence

from raydistill.config.objectives import MaskedGroups
from raydistill.errors import ConfigError
from raydistill.models.barista.config import NAMED, BaristaConfig
from raydistill.models.barista.places import groups_of, positions_of
from raydistill.models.brant.config import BrantConfig
from raydistill.store.catalogue import Entry
from raydistill.store.channels import COLUMNS, ChannelTable
from raydistill.sweep.planning.pieces import shortest_input
from raydistill.sweep.planning.spec import TrainingSpec


def check_channels(name: str, spec: TrainingSpec, entries: Sequence[Entry]) -> None:
    """Refuse sessions too short for a token, whose channels a model could not name, or an objective could not mask.

    Args:
        name: of the job.
    Raises:
        ConfigError: a segment is shorter than a token; arrays, regions or positions are not known or not in the tables
            of the model; or a session has too few groups.
    """
    for entry in entries:
        at = f"{name}: session {entry.session}"
        _check_length(at, spec, entry)
        if not isinstance(spec.model, BaristaConfig):
            continue
        _check_space(at, spec.model, entry.lfp_channels)
        if isinstance(spec.objective, MaskedGroups):
            _check_groups(at, spec.objective.mask_by, entry)


def _check_length(at: str, spec: TrainingSpec, entry: Entry) -> None:
    """Refuse a segment that does not fill one token; BRANT would fill it with zeros."""
    match spec.model:
        case BaristaConfig(token_bins=needed):
            setting, fewest = "token_bins", 2
        case BrantConfig(patch_bins=needed):
            setting, fewest = "patch_bins", 1
        case _:
            return
    if (n_bins := shortest_input(spec.training, entry)) < needed:
        raise ConfigError(
            f"{at} has a segment of {n_bins} bins, but a token has {needed}; set `model: {{{setting}: "
            f"{max(n_bins, fewest)}}}`, or leave the session out of the group"
        )


def _check_space(at: str, model: BaristaConfig, table: ChannelTable | None) -> None:
    columns = {"position": ("x_um", "y_um", "z_um")}.get(model.space, (model.space,) if model.space in NAMED else ())
    values = [value for column in columns for value in (getattr(table, column) if table else ())]
    if columns and not any(value not in ("", None) for value in values):
        raise ConfigError(
            f"{at}: the store knows the {model.space} of no channel, for `space: {model.space}`; give the ingest a "
            "table of channels, leave the session out of the group, or set `model: {space: channel}`"
        )
    if table and model.grid is not None:
        try:
            positions_of(table, model.grid)
        except ValueError as err:
            raise ConfigError(f"{at}: {err}") from None


def _check_groups(at: str, scale: str, entry: Entry) -> None:
    """Refuse a session of which all or nothing would be masked."""
    count = entry.n_channels // entry.lfp_bands
    table = entry.lfp_channels
    if scale in COLUMNS and not (table and table.names(scale)):
        raise ConfigError(
            f"{at}: the store knows the {scale} of no channel, for `mask_by: {scale}`; give the ingest a table of "
            "channels, leave the session out of the group, or set `training: {mask_by: channel}`"
        )
    if len(set(groups_of(table, scale, count))) < 2:
        words = "one channel" if scale == "channel" else f"one {scale}"
        raise ConfigError(
            f"{at} has {words} only, so that `mask_by: {scale}` would mask everything; leave the session out of the "
            "group" + ("" if scale == "channel" else ", or set `training: {mask_by: channel}`")
        )

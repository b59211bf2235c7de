"""The electrodes of channels and units as a manifest lists them: in a CSV file or in the manifest itself."""

import csv
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from raydistill.config.load import Where, build
from raydistill.config.manifest import Channel
from raydistill.errors import ConfigError, suggest
from raydistill.store.channels import COLUMNS, ChannelTable, channel_table

_YES, _NO = ("1", "true", "yes"), ("", "0", "false", "no")


def read_channels(path: Path) -> tuple[Channel, ...]:
    """The rows of a CSV file with columns of `Channel`, in any order; empty cells are unknown.

    Raises:
        ConfigError: the file cannot be read, has an unknown column, or a cell is not as its column needs it.
    """
    names = [field.name for field in fields(Channel)]
    if Path(path).exists() and not Path(path).is_file():  # a pipe or a device might never end
        raise ConfigError(f"{path}: cannot be read as a CSV file of channels (it is not a regular file)")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        why = err.strerror if isinstance(err, OSError) else err
        raise ConfigError(f"{path}: cannot be read as a CSV file of channels ({why})") from None
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise ConfigError(f'{path}: the column "{twice[0]}" is there twice; keep one of them')
    channels = []
    for line, row in enumerate(rows, start=2):
        if None in row:  # where DictReader keeps what has no column
            raise ConfigError(f"{path}:{line}: the row has more cells than there are columns ({len(columns)})")
        unknown = [key for key in row if key not in names]
        if unknown:
            raise ConfigError(
                f'{path}: a list of channels has no column "{unknown[0]}"{suggest(str(unknown[0]), names)}'
            )
        values = {key: _cell(key, text or "", f"{path}:{line}") for key, text in row.items() if text or key == "bad"}
        channels.append(build(Channel, values, Where(str(path), line=line)))
    if not channels:
        raise ConfigError(f"{path}: the file lists no channel")
    return tuple(channels)


def _cell(column: str, text: str, place: str):
    if column in ("electrode", "array", "region"):
        return text
    if column == "bad":
        if text.lower() in _YES + _NO:
            return text.lower() in _YES
        raise ConfigError(f"{place}: `bad` must be one of {', '.join(_YES + _NO[1:])} or empty, got {text!r}")
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{place}: `{column}` must be a number in micrometres, got {text!r}") from None


def table_of(channels: Sequence[Channel]) -> ChannelTable | None:
    """The channels as a table to store; None if there are none."""
    if not channels:
        return None
    columns = {name: [getattr(channel, name) for channel in channels] for name in COLUMNS}
    return channel_table(len(channels), **columns)

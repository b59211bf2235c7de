"""The interface of a writer of synthetic files for one layout."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError
from raydistill.simulation.simulate import SyntheticRecording


@dataclass(frozen=True, kw_only=True)
class LayoutWriter:
    """How the sessions of a `SyntheticConfig` are written as files of one layout."""

    layout: str
    """A key of `recordings.layouts.LAYOUTS`."""
    write: Callable[[SyntheticConfig, Path], Iterator[Path]]
    """write(config, folder) writes every session and yields each file when it is complete."""
    defaults: tuple[str, ...] = ()
    """ "name=value" strings that replace defaults of `SyntheticConfig`, so that the sessions fit into the layout."""


def check_fits(layout: str, what: str, count: int, limit: int) -> None:
    """Raise ConfigError if there are more subjects or sessions (`what`) than the layout can hold."""
    if count > limit:
        raise ConfigError(
            f"the layout {layout} holds up to {limit} {what}, but got {count}; "
            "lower `subjects` or `sessions_per_subject` with --set"
        )


def check_arrays(layout: str, recording: SyntheticRecording, limit: int) -> None:
    """Raise ConfigError if the recording has more electrode arrays than a file of the layout can tell apart."""
    arrays = recording.channels.names("array")
    if len(arrays) > limit:
        raise ConfigError(
            f"a file of the layout {layout} holds at most {limit} electrode {'array' if limit == 1 else 'arrays'}, but "
            f"{recording.session} has {len(arrays)} ({', '.join(arrays)}); lower `arrays` with --set, or use "
            "--layout nwb"
        )

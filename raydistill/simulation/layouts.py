"""The table of writers: synthetic recordings in the files of any layout, under names like those of the datasets.

To add one, write a module with a `WRITER` and add it to `WRITERS`. The readers are in `recordings/layouts.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from raydistill.config.load import build_from
from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.writers import flint, gallego, makin, neurotask, nwb
from raydistill.simulation.writing import LayoutWriter

WRITERS: dict[str, LayoutWriter] = {
    writer.WRITER.layout: writer.WRITER for writer in (makin, flint, gallego, neurotask, nwb)
}
"""Name of a layout -> its writer."""


def layout_config(layout: str, overrides: Sequence[str] = ()) -> SyntheticConfig:
    """The default configuration of a layout, with overrides.

    Args:
        overrides: "name=value" strings, such as "duration_s=60".

    Raises:
        ConfigError: an override is invalid.
    """
    return build_from(SyntheticConfig, (*WRITERS[layout].defaults, *overrides))


def write_layout(layout: str, config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config` into `folder`, which is created; yields each file when it is complete.

    Raises:
        ConfigError: the layout cannot hold as many subjects or sessions.
        DataError: the layout cannot hold signals at these rates, or a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield from WRITERS[layout].write(config, folder)

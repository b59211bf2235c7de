"""Synthetic recordings in any of the published layouts, under names as the datasets have them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError
from raydistill.recordings.readers.flint import SESSIONS as FLINT_SESSIONS
from raydistill.simulation.simulate import generate, session_names
from raydistill.simulation.writers.flint import write_flint
from raydistill.simulation.writers.gallego import write_gallego
from raydistill.simulation.writers.makin import write_makin
from raydistill.simulation.writers.neurotask import write_neurotask
from raydistill.simulation.writers.nwb import write_nwb

Layout = Literal["nwb", "makin", "flint", "gallego", "neurotask"]
MAKIN_SUBJECTS = ("indy", "loco")
GALLEGO_SUBJECTS = ("Chewie", "Mihili", "Han", "Lando")
PUBLISHED_LFP_HZ = 2000.0  # Flint's rate, and enough for the highest band of LFP power


def write_layout(layout: Layout, config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config` into `folder`; yields each file when it is there.

    Flint and Gallego hold faster LFP than `config.lfp_rate_hz` by default: it is raised to 2000 Hz for them.

    Raises:
        ConfigError: the layout has no room for so many subjects or sessions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if layout in ("flint", "gallego"):
        config = replace(config, lfp_rate_hz=PUBLISHED_LFP_HZ)
    subjects = list(dict.fromkeys(subject for _, subject in session_names(config)))
    if layout == "nwb":
        for recording in generate(config):
            yield write_nwb(recording, folder / f"{recording.session}.nwb")
    elif layout == "makin":
        _check_room(layout, "subjects", len(subjects), len(MAKIN_SUBJECTS))
        for number, recording in enumerate(generate(config)):
            subject = MAKIN_SUBJECTS[subjects.index(recording.subject)]
            yield write_makin(recording, folder, f"{subject}_{date(2016, 6, 22) + timedelta(number):%Y%m%d}_01")
    elif layout == "gallego":
        _check_room(layout, "subjects", len(subjects), len(GALLEGO_SUBJECTS))
        for number, recording in enumerate(generate(config)):
            monkey = GALLEGO_SUBJECTS[subjects.index(recording.subject)]
            yield write_gallego(recording, folder, monkey=monkey, day=date(2016, 9, 29) + timedelta(number))
    elif layout == "flint":
        _check_room(layout, "sessions", len(session_names(config)), sum(FLINT_SESSIONS.values()))
        yield from write_flint(list(generate(config)), folder)
    else:
        places = [divmod(number, config.sessions_per_subject) for number in range(len(session_names(config)))]
        labels = {name: (i + 1, j + 1) for (name, _), (i, j) in zip(session_names(config), places, strict=True)}
        yield write_neurotask(generate(config), folder, labels=labels, units=config.max_units)


def _check_room(layout, what, wanted, room):
    if wanted > room:
        raise ConfigError(
            f"the layout {layout} has room for {room} {what}, not {wanted}; "
            "set `subjects` or `sessions_per_subject` lower with --set"
        )

"""A small synthetic version of the paper's corpus: all 257 sessions, in the published files and under their names.

papers/crossmodal.py and the readers give the subject of each session, its electrode array, its file, and whether it
has LFP. A `SyntheticConfig` gives its duration and the size of its array. Random streams depend only on the names of
array and session. Sessions of one array therefore share what simulate.py describes, and a session does not depend on
which others are written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Literal
from zlib import crc32

from raydistill.config.load import build_from
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError
from raydistill.papers.crossmodal import CHEWIE_LEFT, CHEWIE_RIGHT, FLINT, MAKIN_LFP, MAKIN_SPIKES, MIHILI
from raydistill.recordings.readers import flint, gallego, makin, neurotask
from raydistill.simulation.simulate import SyntheticRecording, simulate
from raydistill.simulation.writers.flint import write_flint_file
from raydistill.simulation.writers.gallego import write_gallego
from raydistill.simulation.writers.makin import write_makin
from raydistill.simulation.writers.neurotask import write_neurotask

Scale = Literal["tiny", "small"]
SCALES: dict[Scale, tuple[str, ...]] = {
    # 36 s are three split units of 10 s, whatever is cut off before the first target and after the last.
    "tiny": ("duration_s=36", "min_units=10", "max_units=12", "min_channels=6", "max_channels=8"),
    "small": ("duration_s=120", "min_units=24", "max_units=32", "min_channels=12", "max_channels=16"),
}
"""What each scale sets in `SyntheticConfig`."""

_GALLEGO = {
    "Ch": (*CHEWIE_LEFT, *CHEWIE_RIGHT),
    "M": MIHILI[:5],
    # The days of these sessions are not published; we chose these.
    "H": tuple(f"MonkeyH_{day}" for day in ["20171101", "20171116", "20171201", "20171204", "20171207"]),
    "La": tuple(f"MonkeyLa_{day}" for day in ["20170731", "20170802", "20170803"]),
}
# NeuroTask's number of a dataset -> task -> animal -> sessions. Table 2 gives the sessions of each subject. How they
# are divided into tasks, and Ma's 45 into subjects, is not published; we chose these numbers.
_NEUROTASK = {
    2: {"CObump": {"1": 3, "2": 3, "3": 1}, "TRT": {"1": 2, "2": 2, "3": 1}},
    4: {"CO": {"1": 12, "2": 11}, "ISO": {"3": 11}, "key": {"4": 11}},
    5: {"CO": {"C": 46, "M": 20, "T": 6, "J": 3}, "RT": {"C": 20, "M": 8, "T": 6}},
    6: {"Maze": {"1": 4, "2": 5}},
}
_LOCO_CHANNELS = 192  # two arrays: M1 and S1
_LFP_HZ = 2000.0  # for Flint, and for LFP power up to 400 Hz
_FLINT_TRIAL_S = 10.0  # so that a trial is a split unit
_EXTRA_S = 5  # sessions are 0 to 4 s longer than the configured duration


@dataclass(frozen=True, kw_only=True)
class PlannedSession:
    """How one session of the paper is written."""

    session: str
    """Its name in the store."""
    layout: str
    """The layout of its file, and the name of the folder of that file."""
    dataset: str
    """As in Table 2."""
    subject: str
    """As in Table 2."""
    array: str
    """The electrode array: the subject, except for Chewie, who had one in each hemisphere."""
    file_name: str
    """Its file, which may hold several sessions; broadband is in a second file in the same folder."""
    has_lfp: bool

    @property
    def file(self) -> str:
        """The path of its file relative to the folder of the corpus."""
        return f"{self.layout}/{self.file_name}"


def corpus_config(scale: Scale, overrides: Sequence[str] = ()) -> SyntheticConfig:
    """The configuration of a scale.

    Args:
        overrides: "name=value" strings, such as "duration_s=60", applied last.

    Raises:
        ConfigError: an override is invalid.
    """
    for text in overrides:
        if text.partition("=")[0].strip() in ("subjects", "sessions_per_subject", "arrays"):
            raise ConfigError(
                f"--set {text}: subjects, sessions and arrays are those of the paper; leave this option out"
            )
    return build_from(SyntheticConfig, (*SCALES[scale], *overrides))


def planned_sessions() -> tuple[PlannedSession, ...]:
    """The 257 sessions of Table 2; those of one file are adjacent."""
    return (*_makin(), *_flint(), *_gallego(), *_neurotask())


def write_corpus(
    folder: Path, config: SyntheticConfig, sessions: Iterable[PlannedSession] | None = None
) -> Iterator[Path]:
    """Write the files one after the other; yields each when it is complete.

    A session is 0 to 4 s longer than `config.duration_s`. LFP of Flint, and LFP whose power is written, is simulated
    at 2000 Hz. Loco has 192 channels. Memory holds one recording, or those of one file of Flint.

    Args:
        folder: created if it does not exist, with a folder for each layout.
        sessions: some of `planned_sessions()`, in its order, and of a file of Flint the first ones; None: all.

    Raises:
        DataError: a file cannot be written, or a layout cannot hold signals at the rates in `config`.
    """
    sessions = planned_sessions() if sessions is None else sessions
    for file, planned in groupby(sessions, key=lambda s: s.file):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        yield _write_file(path, list(planned), config)


def _write_file(path: Path, planned: list[PlannedSession], config: SyntheticConfig) -> Path:
    recordings = (_simulated(s, config) for s in planned)
    layout, words = planned[0].layout, path.stem.split("_")
    if layout == makin.LAYOUT.name:
        return write_makin(next(recordings), path.parent, path.stem)
    if layout == flint.LAYOUT.name:
        return write_flint_file(list(recordings), path.parent, words[-1], trial_s=_FLINT_TRIAL_S)
    if layout == gallego.LAYOUT.name:
        day = datetime.strptime(words[-1], "%Y%m%d").date()
        return write_gallego(next(recordings), path.parent, monkey=words[0], day=day)
    number, _, name, task = words
    labels = {s.session: (s.session.split("_")[1], int(s.session.split("_")[-1])) for s in planned}
    return write_neurotask(
        recordings,
        path.parent,
        labels=labels,
        units=config.max_units,
        dataset_id=int(number),
        name=name,
        task=task,
    )


def _simulated(planned: PlannedSession, config: SyntheticConfig) -> SyntheticRecording:
    array, number = (crc32(name.encode()) for name in (planned.array, planned.session))
    config = replace(config, duration_s=config.duration_s + number % _EXTRA_S)
    if planned.layout in (flint.LAYOUT.name, gallego.LAYOUT.name):
        config = replace(config, lfp_rate_hz=_LFP_HZ)
    if planned.subject == "L":
        config = replace(config, min_channels=_LOCO_CHANNELS, max_channels=_LOCO_CHANNELS)
    return simulate(config, array, number, session=planned.session, subject=planned.subject, lfp=planned.has_lfp)


# The plan


def _makin() -> Iterator[PlannedSession]:
    file_subjects = {subject: name for name, subject in makin.SUBJECTS.items()}
    for session in sorted((*MAKIN_LFP, *MAKIN_SPIKES)):
        subject, day = session.removeprefix("Monkey").split("_", 1)
        yield PlannedSession(
            session=session,
            layout=makin.LAYOUT.name,
            dataset="makin",
            subject=subject,
            array=subject,
            file_name=f"{file_subjects[subject]}_{day}.mat",
            has_lfp=session in MAKIN_LFP,
        )


def _flint() -> Iterator[PlannedSession]:
    for session in FLINT:
        yield PlannedSession(
            session=session,
            layout=flint.LAYOUT.name,
            dataset="flint",
            subject="C",
            array="C",
            file_name=f"Flint_2012_{session.split('_')[1]}.mat",
            has_lfp=True,
        )


def _gallego() -> Iterator[PlannedSession]:
    for monkey, (subject, _) in gallego.MONKEYS.items():
        for session in _GALLEGO[subject]:
            yield PlannedSession(
                session=session,
                layout=gallego.LAYOUT.name,
                dataset="gallego",
                subject=subject,
                array="Ch right" if session in CHEWIE_RIGHT else subject,
                file_name=f"{monkey}_CO_{session.split('_')[1]}.mat",
                has_lfp=True,
            )


def _neurotask() -> Iterator[PlannedSession]:
    for number, tasks in _NEUROTASK.items():
        dataset = neurotask.DATASETS[number]
        for task, animals in tasks.items():
            for animal, count in animals.items():
                for session in range(1, count + 1):
                    yield PlannedSession(
                        session=f"{dataset.name}_{animal}_{task}_{session}",
                        layout=neurotask.LAYOUT.name,
                        dataset=dataset.name.lower(),
                        subject=dataset.subjects[animal],
                        array=dataset.subjects[animal],
                        file_name=f"{number}_10_{dataset.name}_{task}.parquet",
                        has_lfp=False,
                    )

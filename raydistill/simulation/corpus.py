"""The paper's whole corpus in miniature: 257 synthetic sessions in the published files, under the published names.

Whose a session is, which array recorded it, which file holds it and whether there is LFP follow from config/paper.py;
how long it lasts and how large its array is, from a `SyntheticConfig`. Random streams go by the names of arrays and
sessions. Hence sessions of one array have in common what synthetic.py says, and a session is the same whichever
others are written.
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
from raydistill.recordings.readers.gallego import MONKEYS
from raydistill.recordings.readers.neurotask import DATASETS
from raydistill.simulation.layouts import PUBLISHED_LFP_HZ
from raydistill.simulation.simulate import SyntheticRecording, simulate
from raydistill.simulation.writers.flint import write_flint_file
from raydistill.simulation.writers.gallego import write_gallego
from raydistill.simulation.writers.makin import write_makin
from raydistill.simulation.writers.neurotask import write_neurotask

Scale = Literal["tiny", "small"]
SCALES: dict[Scale, tuple[str, ...]] = {
    # 36 s are three parents of 10 s, whatever is cropped before the first target and after the last.
    "tiny": ("duration_s=36", "min_units=10", "max_units=12", "min_channels=6", "max_channels=8"),
    "small": ("duration_s=120", "min_units=24", "max_units=32", "min_channels=12", "max_channels=16"),
}
"""What each scale sets of `SyntheticConfig`."""

_GALLEGO = {
    "Ch": (*CHEWIE_LEFT, *CHEWIE_RIGHT),
    "M": MIHILI[:5],
    # Their days are not published; these stand in for them.
    "H": tuple(f"MonkeyH_{day}" for day in ["20171101", "20171116", "20171201", "20171204", "20171207"]),
    "La": tuple(f"MonkeyLa_{day}" for day in ["20170731", "20170802", "20170803"]),
}
# NeuroTask's number of a dataset -> task -> animal -> sessions. Table 2 gives the sessions of each subject. How they
# divide into tasks, and Ma's 45 into subjects, is not published: this is our choice.
_NEUROTASK = {
    2: {"CObump": {"1": 3, "2": 3, "3": 1}, "TRT": {"1": 2, "2": 2, "3": 1}},
    4: {"CO": {"1": 12, "2": 11}, "ISO": {"3": 11}, "key": {"4": 11}},
    5: {"CO": {"C": 46, "M": 20, "T": 6, "J": 3}, "RT": {"C": 20, "M": 8, "T": 6}},
    6: {"Maze": {"1": 4, "2": 5}},
}
_LOCO_CHANNELS = 192  # two arrays: M1 and S1
_FLINT_TRIAL_S = 10.0  # a trial is a parent
_MORE_S = 5  # whole seconds, below this, by which a session is longer than another


@dataclass(frozen=True, kw_only=True)
class PlannedSession:
    """What is to be written for a session of the paper."""

    session: str
    """Its name in the store."""
    dataset: str
    subject: str
    """Both as in Table 2."""
    array: str
    """The implant: the subject, but for Chewie, who had one in each hemisphere."""
    file: str
    """The file that holds it, in the folder of its layout; broadband lies in another beside it."""
    has_lfp: bool


def corpus_config(scale: Scale, overrides: Sequence[str] = ()) -> SyntheticConfig:
    """The configuration of a scale.

    Args:
        overrides: "name=value" strings, such as "duration_s=60", applied last.
    Raises:
        ConfigError: an override that cannot be meant.
    """
    for text in overrides:
        if text.partition("=")[0].strip() in ("subjects", "sessions_per_subject"):
            raise ConfigError(f"--set {text}: the paper says which subjects and sessions there are; leave it out")
    return build_from(SyntheticConfig, (*SCALES[scale], *overrides))


def planned_sessions() -> tuple[PlannedSession, ...]:
    """The 257 sessions of Table 2, those of one file together."""
    return (*_makin(), *_flint(), *_gallego(), *_neurotask())


def write_corpus(
    folder: Path, config: SyntheticConfig, sessions: Iterable[PlannedSession] | None = None
) -> Iterator[Path]:
    """Write the files one after the other; yields each when it is there.

    A session lasts 0 to 4 s longer than `config.duration_s`. LFP for Flint, and that whose power is written, is
    simulated at 2000 Hz; Loco has 192 channels. Memory holds one recording, or those of one file of Flint.

    Args:
        folder: made if it is not there, with a folder for each layout.
        sessions: some of `planned_sessions()`, in its order, of a file of Flint the first ones; None: all.
    Raises:
        DataError: a file cannot be written, or `config` has rates that a layout cannot hold.
    """
    sessions = planned_sessions() if sessions is None else sessions
    for file, planned in groupby(sessions, key=lambda s: s.file):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        yield _written(path, list(planned), config)


def _written(path: Path, planned: list[PlannedSession], config: SyntheticConfig) -> Path:
    recordings = (_simulated(s, config) for s in planned)
    layout, words = path.parent.name, path.stem.split("_")
    if layout == "makin":
        return write_makin(next(recordings), path.parent, path.stem)
    if layout == "flint":
        return write_flint_file(list(recordings), path.parent, words[-1], trial_s=_FLINT_TRIAL_S)
    if layout == "gallego":
        day = datetime.strptime(words[-1], "%Y%m%d").date()
        return write_gallego(next(recordings), path.parent, monkey=words[0], day=day)
    number, _, name, task = words
    labels = {s.session: (s.session.split("_")[1], int(s.session.split("_")[-1])) for s in planned}
    which = {"dataset_id": int(number), "name": name, "task": task}
    return write_neurotask(recordings, path.parent, labels=labels, units=config.max_units, **which)


def _simulated(planned: PlannedSession, config: SyntheticConfig) -> SyntheticRecording:
    array, number = (crc32(name.encode()) for name in (planned.array, planned.session))
    own = {"duration_s": config.duration_s + number % _MORE_S}
    if planned.dataset in ("flint", "gallego"):
        own["lfp_rate_hz"] = PUBLISHED_LFP_HZ
    if planned.subject == "L":
        own |= {"min_channels": _LOCO_CHANNELS, "max_channels": _LOCO_CHANNELS}
    names = {"session": planned.session, "subject": planned.subject}
    return simulate(replace(config, **own), array, number, **names, lfp=planned.has_lfp)


# The plan


def _makin() -> Iterator[PlannedSession]:
    for session in sorted((*MAKIN_LFP, *MAKIN_SPIKES)):
        subject, day = session.removeprefix("Monkey").split("_", 1)
        yield PlannedSession(
            session=session,
            dataset="makin",
            subject=subject,
            array=subject,
            file=f"makin/{'indy' if subject == 'I' else 'loco'}_{day}.mat",
            has_lfp=session in MAKIN_LFP,
        )


def _flint() -> Iterator[PlannedSession]:
    for session in FLINT:
        file = f"flint/Flint_2012_{session.split('_')[1]}.mat"
        yield PlannedSession(session=session, dataset="flint", subject="C", array="C", file=file, has_lfp=True)


def _gallego() -> Iterator[PlannedSession]:
    for monkey, (subject, _) in MONKEYS.items():
        for session in _GALLEGO[subject]:
            yield PlannedSession(
                session=session,
                dataset="gallego",
                subject=subject,
                array="Ch right" if session in CHEWIE_RIGHT else subject,
                file=f"gallego/{monkey}_CO_{session.split('_')[1]}.mat",
                has_lfp=True,
            )


def _neurotask() -> Iterator[PlannedSession]:
    for number, tasks in _NEUROTASK.items():
        dataset = DATASETS[number]
        for task, animals in tasks.items():
            for animal, count in animals.items():
                for session in range(1, count + 1):
                    yield PlannedSession(
                        session=f"{dataset.name}_{animal}_{task}_{session}",
                        dataset=dataset.name.lower(),
                        subject=dataset.subjects[animal],
                        array=dataset.subjects[animal],
                        file=f"neurotask/{number}_10_{dataset.name}_{task}.parquet",
                        has_lfp=False,
                    )

"""Gallego-Carracedo et al.: MATLAB 7.3 files with one struct array `trial_data`, one element per trial.

The files hold spike counts and LFP power per bin of 30 or 10 ms, so all of a session is on one clock of bins, whose
bin 0 starts at 0 s (docs/methods.md, Data and preprocessing). Trials follow one another in the order of time; the
files do not hold the time between them. gallego_guides.py gives the electrode of each column of counts and LFP power.

Axes: T bins of a trial, n units, m columns of LFP power.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError, suggest
from raydistill.recordings.files.matlab73 import StructArray
from raydistill.recordings.planning.search import files_below
from raydistill.recordings.raw import Counts, Raw, Signal, Trace
from raydistill.recordings.readers.gallego_guides import bands_of_all, lfp_guide, lfp_table, region_of, unit_table
from raydistill.recordings.readers.trialdata import BIN_S, BinnedTrial, rebinned, selected_trials, trial_data
from raydistill.recordings.recording import Layout, Recording, RecordingSource

MONKEYS = {
    "Chewie": ("Ch", "M1"),
    "Mihili": ("M", "M1"),
    "Han": ("H", "LeftS1Area2"),
    "Lando": ("La", "LeftS1Area2"),
}
"""Name in the files -> subject, and the electrode array that the paper uses."""
_ARRAYS = dict(MONKEYS.values())
_FILE = re.compile(rf"({'|'.join(MONKEYS)})_CO_(\d{{8}}).*\.mat", re.IGNORECASE)
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y%d%m", "%m-%d-%Y", "%m/%d/%Y", "%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y")


@dataclass(frozen=True, kw_only=True, slots=True)
class GallegoOptions:
    """The parts of these recordings that a user can choose."""

    arrays: tuple[str, ...] = ()
    """Electrode arrays to use; empty: the array that the paper uses for the subject."""
    results: tuple[str, ...] = ()
    """Use only trials with these results, such as R (rewarded); empty: all."""


def find(folder: Path) -> list[Recording]:
    """The sessions in files such as `Chewie_CO_20162110.mat` anywhere in `folder`, here MonkeyCh_20161021.

    The day is that of the field `date`, because the names of files have month and day in either order.
    """
    recordings = []
    for path in files_below(folder, _FILE.fullmatch):
        if match := _FILE.fullmatch(path.name):
            subject, array = MONKEYS[match[1].capitalize()]
            source = RecordingSource(
                layout=LAYOUT.name,
                options=GallegoOptions(),
                subject=subject,
                dataset="gallego",
                task="CO",
                region=region_of(array),
            )
            name = f"Monkey{subject}_{_recorded_on(path, match[2]):%Y%m%d}"
            recordings.append(Recording(name=name, path=path, source=source, config=LAYOUT.config))
    return recordings


def _recorded_on(path: Path, digits: str) -> date:
    """The day of recording; for a damaged file, which fails when it is opened, the day in its name."""
    try:
        with trial_data(path) as data:
            return parsed_date(data.text("date", 0))
    except DataError:
        pass
    try:
        return parsed_date(digits)
    except DataError as err:
        raise DataError(f"{path}: neither its field `date` nor its name gives the day ({err})") from None


def parsed_date(text: str) -> date:
    """A date in digits, year first or last. If both orders are possible, the month comes before the day.

    Raises:
        DataError: the text is not a date.
    """
    for form in _DATES:
        try:
            return datetime.strptime((text.split() or [""])[0], form).date()
        except ValueError:
            continue
    raise DataError(f"{text!r} is not a date; year-month-day or month-day-year is needed")


@contextmanager
def open_raw(path: Path, source: RecordingSource[GallegoOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a file on bins of 30 ms; LFP power is read trial by trial while the context is open.

    Raises:
        DataError: the file is damaged, or a field is missing or of another type or length than the others.
    """
    with trial_data(path) as data:
        parsed_date(data.text("date", 0))
        yield _raw(data, source)


def _arrays(data: StructArray, source: RecordingSource[GallegoOptions]) -> tuple[str, ...]:
    arrays = source.options.arrays or tuple(_ARRAYS[s] for s in [source.subject] if s in _ARRAYS)
    available = [name.removesuffix("_spikes") for name in data.fields if name.endswith("_spikes")]
    for array in arrays:
        if array not in available:
            raise DataError(f'there is no array "{array}"{suggest(array, available)}')
    if not arrays:
        listed = ", ".join(available) or "none"
        raise DataError(f"set `arrays` to those to use for subject {source.subject}: {listed}")
    return arrays


# The session


def _raw(data: StructArray, source: RecordingSource[GallegoOptions]) -> Raw:
    arrays = _arrays(data, source)
    trials = selected_trials(data, arrays, source.options.results)
    starts = np.cumsum([0, *(trial.n_bins for trial in trials)])
    n_bins = int(starts[-1])
    span = (0.0, n_bins * BIN_S)
    counts = np.concatenate(_same_width([_counts(data, arrays, t) for t in trials], trials, "units"))
    units, notes = unit_table(data, arrays, trials)
    return Raw(
        spikes=Counts(values=counts, channels=units),
        lfp=(_lfp(data, arrays, trials, starts),),
        behavior=(
            Trace(
                times=(np.arange(n_bins) + 0.5) * BIN_S,
                values=np.concatenate([_velocity(data, trial) for trial in trials]),
                names=("velocity_x", "velocity_y"),
                units=("cm/s", "cm/s"),
                span=span,
            ),
        ),
        trial_labels=np.repeat([trial.index for trial in trials], np.diff(starts)).astype(np.int32),
        n_bins=n_bins,
        subject=source.subject,
        region=", ".join(region_of(array) for array in arrays),
        notes=notes,
    )


def _counts(data: StructArray, arrays: tuple[str, ...], trial: BinnedTrial) -> np.ndarray:
    parts = []
    for name in (f"{array}_spikes" for array in arrays):
        counts = data.array(name, trial.index)
        if not (np.isfinite(counts).all() and np.all((counts == np.round(counts)) & (counts >= 0))):
            raise DataError(
                f"trial {trial.index + 1}: {name} holds values that are not spike counts (whole numbers from 0)"
            )
        parts.append(rebinned(counts.astype(np.int64), trial, np.sum))
    return np.hstack(parts)


def _same_width(parts: list[np.ndarray], trials: list[BinnedTrial], what: str) -> list[np.ndarray]:
    for part, trial in zip(parts, trials, strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise DataError(
                f"trial {trial.index + 1} has {part.shape[1]} {what} but trial {trials[0].index + 1} has "
                f"{parts[0].shape[1]}"
            )
    return parts


def _velocity(data: StructArray, trial: BinnedTrial) -> np.ndarray:
    velocity = data.array("vel", trial.index)
    if velocity.ndim != 2 or velocity.shape[1] != 2:
        raise DataError(f"trial {trial.index + 1}: vel has the shape {velocity.shape}; (bins, 2) is needed")
    return rebinned(velocity.astype(np.float64), trial, np.mean)


# LFP power


def _lfp(data: StructArray, arrays: tuple[str, ...], trials: list[BinnedTrial], starts: np.ndarray) -> Signal:
    guides = {array: lfp_guide(data, array, trials) for array in arrays}
    orders = {array: guide.orders for array, guide in guides.items()}
    bands = bands_of_all(guides)

    @lru_cache(maxsize=1)  # slices are shorter than trials and are read in order
    def power(number: int) -> np.ndarray:
        """(T, columns) of one trial, float32."""
        trial = trials[number]
        columns = [data.array(f"{array}_lfp", trial.index)[:, orders[array][number]] for array in arrays]
        return rebinned(np.hstack(columns), trial, np.mean).astype(np.float32)

    return Signal(
        read=partial(_read, power, starts),
        n_samples=int(starts[-1]),
        n_channels=sum(len(order[0]) for order in orders.values()),
        rate_hz=1 / BIN_S,
        start_s=BIN_S / 2,
        span=(0.0, float(starts[-1]) * BIN_S),
        bands=bands,
        channels=lfp_table(guides, bands),
    )


def _read(power: Callable[[int], np.ndarray], starts: np.ndarray, start: int, stop: int) -> np.ndarray:
    """(stop - start, columns) of samples [start, stop), which may span several trials."""
    trials = range(np.searchsorted(starts, start, "right") - 1, np.searchsorted(starts, stop))
    return np.concatenate([power(i)[max(0, start - starts[i]) : stop - starts[i]] for i in trials])


LAYOUT = Layout(
    name="gallego",
    title="Gallego-Carracedo",
    files="`Chewie_CO_20160929.mat`, `Mihili_*`, `Han_*`, `Lando_*`",
    sessions="`MonkeyCh_20160929`, ..., with the day given in the file",
    find=find,
    open=open_raw,
    options=GallegoOptions,
    # LFP power is on the clock of the bins; a segment has 100 bins. A unit that never fires carries no information.
    config=IngestConfig(bin_width_ms=30, min_rate_hz=1e-6, filters=None, splits=Splits(segment_s=3, parent_s=3)),
)

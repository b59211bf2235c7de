"""Gallego-Carracedo et al.: MATLAB 7.3 files with one struct array `trial_data`, an element a trial (spec A3).

Spikes are counts and LFP is power per bin of 30 or 10 ms: all that a session holds is on one clock of bins, whose
bin 0 begins at 0 s. Trials follow one another in the order of time; what lay between them is not in the files.
The columns of LFP power lie band by band or electrode by electrode; the guide brings them into one order: all bands
of the first electrode, local motor potential (coded as 0 to 0 Hz) first, then those of the next.

Axes: T bins of a trial, n units, m columns of LFP power.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, suggest
from raydistill.recordings.published import Found, Published
from raydistill.recordings.readers import Counts, Raw, Signal, Trace
from raydistill.recordings.readers.trialdata import BIN_S, Trial, TrialData, rebinned, taken_trials, trial_data

MONKEYS = {
    "Chewie": ("Ch", "M1"),
    "Mihili": ("M", "M1"),
    "Han": ("H", "LeftS1Area2"),
    "Lando": ("La", "LeftS1Area2"),
}
"""Name in the files -> subject, and the array that the paper takes."""
_ARRAYS = dict(MONKEYS.values())
_REGIONS = {"LeftS1Area2": "area 2"}
_FILE = re.compile(rf"({'|'.join(MONKEYS)})_CO_(\d{{8}}).*\.mat", re.IGNORECASE)
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y%d%m", "%m-%d-%Y", "%m/%d/%Y", "%d-%m-%Y", "%d/%m/%Y", "%d-%b-%Y")


def find(folder: Path) -> list[Found]:
    """The sessions in files such as `Chewie_CO_20162110.mat` anywhere in `folder`: here MonkeyCh_20161021.

    The day is that of the field `date`: in names of files, month and day come in either order.
    """
    found = []
    for path in sorted(folder.rglob("*.mat")):
        if match := _FILE.fullmatch(path.name):
            subject, array = MONKEYS[match[1].capitalize()]
            source = Published(
                layout="gallego",
                file=path.relative_to(folder).as_posix(),
                subject=subject,
                dataset="gallego",
                task="CO",
                region=_REGIONS.get(array, array),
            )
            found.append(Found(name=f"Monkey{subject}_{_recorded_on(path, match[2]):%Y%m%d}", path=path, source=source))
    return found


def _recorded_on(path: Path, digits: str) -> date:
    """A file that is damaged goes by its name, and fails when it is opened."""
    try:
        with trial_data(path) as data:
            return parsed_date(data.text("date", 0))
    except DataError:
        pass
    try:
        return parsed_date(digits)
    except DataError as err:
        raise DataError(f"{path}: neither its field `date` nor its name tells the day ({err})") from None


def parsed_date(text: str) -> date:
    """Of a date in digits, year first or last; where both are possible, the month comes before the day.

    Raises:
        DataError: it is no date.
    """
    for form in _DATES:
        try:
            return datetime.strptime((text.split() or [""])[0], form).date()
        except ValueError:
            continue
    raise DataError(f"{text!r} is no date; it is read as year-month-day or month-day-year")


@contextmanager
def opened(path: Path, source: Published) -> Iterator[Raw]:
    """Yield the `Raw` of a file on bins of 30 ms; LFP power is read trial by trial while the context is open.

    Raises:
        DataError: the file is damaged, or a field is missing or of another type or length than the others.
    """
    with trial_data(path) as data:
        parsed_date(data.text("date", 0))
        yield _raw(data, source)


def trials(path: Path, source: Published) -> list[Trial]:
    """The trials that `opened` takes, in its order; errors as there."""
    with trial_data(path) as data:
        return taken_trials(data, _arrays(data, source), source.results)


def _arrays(data: TrialData, source: Published) -> tuple[str, ...]:
    arrays = source.arrays or tuple(_ARRAYS[s] for s in [source.subject] if s in _ARRAYS)
    known = [name.removesuffix("_spikes") for name in data.fields if name.endswith("_spikes")]
    for array in arrays:
        if array not in known:
            raise DataError(f'there is no array "{array}"{suggest(array, known)}')
    if not arrays:
        raise DataError(f"`arrays` must name those to take for subject {source.subject}: {', '.join(known) or 'none'}")
    return arrays


# The session


def _raw(data: TrialData, source: Published) -> Raw:
    arrays = _arrays(data, source)
    kept = taken_trials(data, arrays, source.results)
    starts = np.cumsum([0, *(trial.n_bins for trial in kept)])
    n_bins = int(starts[-1])
    span = (0.0, n_bins * BIN_S)
    return Raw(
        spikes=Counts(values=np.concatenate(_same_width([_counts(data, arrays, t) for t in kept], kept, "units"))),
        lfp=_lfp(data, arrays, kept, starts),
        behavior=Trace(
            times=(np.arange(n_bins) + 0.5) * BIN_S,
            values=np.concatenate([_velocity(data, trial) for trial in kept]),
            names=("velocity_x", "velocity_y"),
            units=("cm/s", "cm/s"),
            span=span,
        ),
        trial_labels=np.repeat([trial.index for trial in kept], np.diff(starts)).astype(np.int32),
        n_bins=n_bins,
        subject=source.subject,
        region=", ".join(_REGIONS.get(array, array) for array in arrays),
    )


def _counts(data: TrialData, arrays: tuple[str, ...], trial: Trial) -> np.ndarray:
    parts = []
    for name in (f"{array}_spikes" for array in arrays):
        counts = data.array(name, trial.index)
        if not (np.isfinite(counts).all() and np.all((counts == np.round(counts)) & (counts >= 0))):
            raise DataError(f"trial {trial.index + 1}: {name} holds values that are no spike counts from 0 up")
        parts.append(rebinned(counts.astype(np.int64), trial, np.sum))
    return np.hstack(parts)


def _same_width(parts: list[np.ndarray], kept: list[Trial], what: str) -> list[np.ndarray]:
    for part, trial in zip(parts, kept, strict=True):
        if part.shape[1] != parts[0].shape[1]:
            raise DataError(
                f"trial {trial.index + 1} has {part.shape[1]} {what} but trial {kept[0].index + 1} has "
                f"{parts[0].shape[1]}"
            )
    return parts


def _velocity(data: TrialData, trial: Trial) -> np.ndarray:
    velocity = data.array("vel", trial.index)
    if velocity.ndim != 2 or velocity.shape[1] != 2:
        raise DataError(f"trial {trial.index + 1}: vel has the shape {velocity.shape}; (bins, 2) is needed")
    return rebinned(velocity.astype(np.float64), trial, np.mean)


# LFP power


def _lfp(data: TrialData, arrays: tuple[str, ...], kept: list[Trial], starts: np.ndarray) -> Signal:
    orders = {array: _orders(data, array, kept) for array in arrays}

    @lru_cache(maxsize=1)  # slices are shorter than trials and follow one another
    def power(number: int) -> np.ndarray:
        """(T, columns) of one trial, float32."""
        trial = kept[number]
        columns = [data.array(f"{array}_lfp", trial.index)[:, orders[array][number]] for array in arrays]
        return rebinned(np.hstack(columns), trial, np.mean).astype(np.float32)

    return Signal(
        read=partial(_read, power, starts),
        n_samples=int(starts[-1]),
        n_channels=sum(len(order[0]) for order in orders.values()),
        rate_hz=1 / BIN_S,
        start_s=BIN_S / 2,
        span=(0.0, float(starts[-1]) * BIN_S),
        bands=_bands(data, arrays, kept[0]),
    )


def _read(power, starts: np.ndarray, start: int, stop: int) -> np.ndarray:
    """(stop - start, columns) of the trials that lie there, one after the other."""
    trials = range(np.searchsorted(starts, start, "right") - 1, np.searchsorted(starts, stop))
    return np.concatenate([power(i)[max(0, start - starts[i]) : stop - starts[i]] for i in trials])


def _bands(data: TrialData, arrays: tuple[str, ...], trial: Trial) -> int:
    """Bands of each electrode; two arrays with different ones have no common patch."""
    guides = [data.array(f"{array}_lfp_guide", trial.index) for array in arrays]
    counts = {len(np.unique(guide[:, 1:], axis=0)) for guide in guides}
    if len(counts) > 1:
        raise DataError(f"the arrays {' and '.join(arrays)} have different bands; take one of them")
    return counts.pop()


def _orders(data: TrialData, array: str, kept: list[Trial]) -> list[np.ndarray]:
    """For each trial, (m,) the columns of its LFP power, electrode by electrode.

    Raises:
        DataError: a guide does not fit its columns, or not the other trials.
    """
    orders, first = [], None
    for trial in kept:
        what = f"trial {trial.index + 1}: {array}_lfp_guide"
        guide, m = data.array(f"{array}_lfp_guide", trial.index), data.shape(f"{array}_lfp", trial.index)[1]
        if guide.shape != (m, 3):
            raise DataError(f"{what} has the shape {guide.shape}, but {array}_lfp has {m} columns: ({m}, 3) is needed")
        orders.append(channel_major(guide, what))
        first = guide[orders[0]] if first is None else first
        if not np.array_equal(guide[orders[-1]], first):
            raise DataError(f"{what} names other electrodes or bands than that of trial {kept[0].index + 1}")
    return orders


def channel_major(guide: np.ndarray, what: str = "the guide") -> np.ndarray:
    """(m,) order of columns, by electrode, then by band, the local motor potential (0 to 0 Hz) first.

    Args:
        guide: (m, 3) electrode, lower and upper edge of the band in Hz, of each column.
    Raises:
        DataError: the electrodes do not all have the same bands, each once.
    """
    order = np.lexsort((guide[:, 2], guide[:, 1], guide[:, 0]))
    electrodes, counts = np.unique(guide[:, 0], return_counts=True)
    if len(set(counts)) == 1:
        bands = guide[order, 1:].reshape(len(electrodes), counts[0], 2)  # (m, 2) -> (electrodes, bands, 2)
        if np.all(bands == bands[0]) and len(np.unique(bands[0], axis=0)) == counts[0]:
            return order
    raise DataError(f"{what} does not give every one of {len(electrodes)} electrodes the same bands, each once")

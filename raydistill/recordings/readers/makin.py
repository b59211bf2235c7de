"""Random-target reaching of O'Doherty, Cardoso, Makin and Sabes (Zenodo 3854034), as published.

A session is a MATLAB 7.3 file, whose arrays HDF5 holds transposed: `t` (1, k) seconds at 250 Hz, `cursor_pos` and
`target_pos` (2, k) mm, `chan_names` (1, n) and `spikes` (u, n) references, row 0 with the threshold crossings that
belong to no sorted unit ("hash"). For 30 of the 47 sessions there is a second file, NWB 1.0.6, with the broadband
voltages on the same clock. k samples, n channels, u rows of units (docs/methods.md, Data and preprocessing).
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.recordings.planning.search import files_below
from raydistill.recordings.raw import Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.makin_channels import broadband_channels, tables
from raydistill.recordings.recording import Layout, Recording, RecordingSource

SUBJECTS = {"indy": "I", "loco": "L"}
"""Name in the files -> subject."""
_NAME = re.compile(rf"({'|'.join(SUBJECTS)})_(\d{{8}}_\d{{2}})\.mat")
_BROADBAND = "acquisition/timeseries/broadband"
_STEP_S, _STEP_TOLERANCE_S = 0.004, 1e-4
_CLOCK_TOLERANCE_S = 5e-3  # half a bin of 10 ms; the recorder estimated its time stamps, so they are not quite even
_SLICE = 1 << 13  # time stamps read at once, few enough to fit in a CPU cache


@dataclass(frozen=True, kw_only=True, slots=True)
class MakinOptions:
    """The parts of these recordings that a user can choose."""

    units: Literal["hash+sorted", "sorted"] = "hash+sorted"
    """Whether the threshold crossings of a channel that belong to no sorted unit count as a unit."""


def find(folder: Path) -> list[Recording]:
    """The sessions anywhere in `folder`, by file name; broadband is searched for in the same folder and below."""
    recordings = []
    for path in files_below(folder, _NAME.fullmatch):
        name, day = path.stem.split("_", 1)
        subject = SUBJECTS[name]
        companions = [p.relative_to(path.parent) for p in files_below(path.parent, f"{path.stem}.nwb".__eq__)]
        nearest = min(companions, key=lambda p: (len(p.parts), p), default=None)
        source = RecordingSource(
            layout=LAYOUT.name,
            options=MakinOptions(),
            companions=() if nearest is None else (nearest.as_posix(),),
            subject=subject,
            dataset="makin",
            task="RT",
        )
        recordings.append(Recording(name=f"Monkey{subject}_{day}", path=path, source=source, config=LAYOUT.config))
    return recordings


@contextmanager
def open_raw(path: Path, source: RecordingSource[MakinOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a session: cursor velocity in mm/s, LFP in volts, trials from target to target.

    The window extends from the first to the last change of the target. Unit `row * n + channel` is MATLAB's cell
    `spikes{row * n + channel + 1}`. The companion, if there is one, is the broadband file.

    Raises:
        DataError: a file is missing, damaged, or not laid out as above.
    """
    with matlab73.open_hdf5(path) as file, _file_named(path), ExitStack() as stack:
        lfp, lfp_channels = None, None
        for name in source.companions:
            companion = path.parent / name
            broadband = stack.enter_context(matlab73.open_hdf5(companion))
            with _file_named(companion):
                lfp = _broadband(broadband)
                lfp_channels = broadband_channels(broadband, lfp.n_channels)
        yield _raw(file, lfp, lfp_channels, first_row=0 if source.options.units == "hash+sorted" else 1)


@contextmanager
def _file_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _raw(file, lfp, lfp_channels, first_row) -> Raw:
    times = _clock(file)
    changes = times[_changes(_matrix(file, "target_pos", 2, len(times)))]
    velocity = np.gradient(_matrix(file, "cursor_pos", 2, len(times)), times, axis=0)
    names = _channel_names(file)
    channels = tables(names, lfp_channels)
    spikes = _spikes(file, names, times, first_row)
    channel_of_unit = [unit % len(names) for unit in spikes.ids]
    return Raw(
        spikes=replace(spikes, channels=channels.spikes.rows(channel_of_unit)),
        lfp=() if lfp is None else (replace(lfp, channels=channels.lfp),),
        behavior=(Trace(times=times, values=velocity, names=("velocity_x", "velocity_y"), units=("mm/s", "mm/s")),),
        trial_intervals=np.column_stack([changes[:-1], changes[1:]]),
        windows=((float(changes[0]), float(changes[-1])),),
        region=", ".join(dict.fromkeys(region for region in channels.spikes.region if region)),
        notes=channels.notes,
    )


def _clock(file) -> np.ndarray:
    """(k,) float64 seconds in steps of 4 ms."""
    times = _matrix(file, "t", 1)[:, 0]
    even = np.abs(np.diff(times) - _STEP_S) < _STEP_TOLERANCE_S
    if not even.all():
        at = int(np.argmin(even))
        raise DataError(f"t steps from {times[at]:.4f} to {times[at + 1]:.4f} s at sample {at + 1}, not by 4 +- 0.1 ms")
    return times


def _changes(target) -> np.ndarray:
    """Samples at which the target changes on either axis."""
    same = np.isclose(target[:-1], target[1:], rtol=0, atol=0, equal_nan=True)
    changes = np.flatnonzero(~same.all(axis=1)) + 1
    if len(changes) < 2:
        raise DataError(
            f"target_pos changes {len(changes)} times; two changes are needed, as the session lasts from the first to "
            "the last"
        )
    return changes


def _channel_names(file) -> list[str]:
    """Names such as M1 001."""
    names = []
    for channel, reference in enumerate(matlab73.cells(file, "chan_names").ravel()):
        codes = matlab73.cell(file, reference, f"chan_names {channel}")
        if codes.dtype != np.uint16 or not codes.size:
            raise DataError(f"chan_names {channel} is not text but {codes.size} {codes.dtype} values")
        names.append(matlab73.text(codes))
    return names


def _spikes(file, names, times, first_row) -> SpikeTrains:
    cells = matlab73.cells(file, "spikes")
    if cells.shape[1] != len(names):
        raise DataError(f"spikes has {cells.shape[1]} channels but chan_names has {len(names)}")
    trains = {}
    for place in range(first_row * len(names), cells.size):
        row, channel = divmod(place, len(names))
        train = _spike_times(file, cells[row, channel], f"spikes of {names[channel]}, row {row},")
        if len(train):
            trains[place] = train
    if not trains:
        raise DataError(f"spikes: no cell from row {first_row} on holds a spike")
    n = sum(map(len, trains.values()))
    n_outside = sum(int(((train < times[0]) | (train > times[-1])).sum()) for train in trains.values())
    if n_outside > 0.5 * n:  # some spikes before and after the task are normal
        span = f"{times[0]:.3f} to {times[-1]:.3f} s"
        raise DataError(f"spikes: {n_outside} of {n} are outside of t, {span}; are they on its clock?")
    return SpikeTrains(times=tuple(trains.values()), ids=tuple(trains))


def _spike_times(file, reference, what) -> np.ndarray:
    """(m,) seconds. A cell without a unit, which is empty or a malformed 2 x 2 array, has none."""
    values = matlab73.cell(file, reference, what)
    if values.shape == (2, 2) or (values.shape == (2,) and values.dtype == np.uint64):
        return np.empty(0)
    if values.dtype.kind != "f" or values.ndim != 2 or 1 not in values.shape:
        raise matlab73.unlike(what, values, "(1, m) seconds")
    values = values.ravel().astype(np.float64)
    before = np.append(-np.inf, values[:-1])
    ordered = (before <= values) & np.isfinite(values)
    if not ordered.all():
        at = int(np.argmin(ordered))
        raise DataError(f"{what} has spike {at} at {values[at]:.4f} s after one at {before[at]:.4f} s; sort them")
    return values


def _broadband(file) -> Signal:
    data = matlab73.dataset(file, f"{_BROADBAND}/data")
    rate_hz, start_s, k = _broadband_clock(matlab73.dataset(file, f"{_BROADBAND}/timestamps"))
    if data.ndim != 2 or data.dtype.kind not in "iuf" or k not in data.shape:
        raise matlab73.unlike(data.name, data, f"one number per channel for each of the {k} timestamps")
    conversion = np.ravel(data.attrs.get("conversion", ()))
    if conversion.size != 1 or conversion.dtype.kind not in "iuf" or not 0 < conversion[0] < np.inf:
        raise DataError(f"{data.name} has the conversion {conversion.tolist()}; one factor to volts is needed")
    transposed = data.shape[0] != k
    read = partial(_volts, data, transposed, np.float32(conversion[0]), f"{Path(file.filename).name}: {data.name}")
    return Signal(read=read, n_samples=k, n_channels=data.shape[not transposed], rate_hz=rate_hz, start_s=start_s)


def _volts(data, transposed, conversion, what, start, stop):
    """(stop - start, n) float32."""
    values = (
        matlab73.read(data, np.s_[:, start:stop], what).T
        if transposed
        else matlab73.read(data, np.s_[start:stop], what)
    )
    volts = values.astype(np.float32, order="C")
    volts *= conversion  # in place, as a product of mixed types takes twice as long
    return volts


def _broadband_clock(stamps) -> tuple[float, float, int]:
    """Rate in Hz over the entire recording, time of the first sample in seconds, number of samples."""
    k = stamps.size
    if stamps.ndim != 1 or stamps.dtype.kind != "f" or k < 2:
        raise matlab73.unlike(stamps.name, stamps, "(k,) seconds")
    start, stop = (float(matlab73.read(stamps, i, stamps.name)) for i in (0, k - 1))
    step = (stop - start) / (k - 1)
    even = step * np.arange(_SLICE)
    for a in range(0, k, _SLICE):
        part = matlab73.read(stamps, slice(a, a + _SLICE), stamps.name)
        off = part - even[: len(part)]
        off -= start + step * a
        np.abs(off, out=off)
        if not (off.max() <= _CLOCK_TOLERANCE_S and step > 0):  # also true if one is NaN
            at = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
            raise DataError(
                f"{stamps.name}: sample {a + at} at {part[at]:.4f} s is {off[at] * 1e3:.3g} ms off a clock of "
                f"{np.divide(1, step):.6g} Hz; they must ascend evenly to within {_CLOCK_TOLERANCE_S * 1e3:g} ms"
            )
    return 1 / step, start, k


def _matrix(file, name, rows, k=None) -> np.ndarray:
    """(k, rows) float64, as MATLAB shows it."""
    node = matlab73.dataset(file, name)
    needed = (rows, (node.size or 0) // rows if k is None else k)
    if node.dtype.kind not in "buif" or node.shape != needed:
        raise matlab73.unlike(name, node, f"{needed} real numbers")
    return matlab73.read(node, (), name).T.astype(np.float64)  # (rows, k) -> (k, rows)


LAYOUT = Layout(
    name="makin",
    title="Makin, O'Doherty",
    files="`indy_20160622_01.mat`, `loco_*.mat`; for LFP the broadband file `indy_20160622_01.nwb` in the same folder "
    "or below",
    sessions="`MonkeyI_20160622_01`, `MonkeyL_*`",
    find=find,
    open=open_raw,
    options=MakinOptions,
    config=IngestConfig(bin_width_ms=10, min_rate_hz=1.0),  # the paper leaves out units below 1 Hz
    by_protocol={"realm": {"splits": {"parent_s": 5}}},  # it draws folds over segments, and over pairs for Flint
)

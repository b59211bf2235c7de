"""Random-target reaching of O'Doherty, Cardoso, Makin and Sabes (Zenodo 3854034; spec A1), as it was published.

A session is a MATLAB 7.3 file, which h5py shows the other way round: `t` (1, k) seconds at 250 Hz, `cursor_pos` and
`target_pos` (2, k) mm, `chan_names` (1, n) and `spikes` (u, n) object references, row 0 the threshold crossings that
belong to no sorted unit ("hash"). Thirty of the 47 sessions have a companion, NWB 1.0.6, with the broadband voltages
on the same clock. k samples, n channels, u rows of units.
"""

import re
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.published import Found, Published
from raydistill.recordings.readers import Raw, Signal, SpikeTrains, Trace

_NAME = re.compile(r"(indy|loco)_(\d{8}_\d{2})\.mat")
_BROADBAND = "acquisition/timeseries/broadband"
_STEP_S, _STEP_TOLERANCE_S = 0.004, 1e-4
_CLOCK_TOLERANCE_S = 5e-3  # half a bin of 10 ms; the recorder estimated its time stamps, they are not quite even
_SLICE = 1 << 13  # time stamps read at once, few enough to stay in a cache


def find(folder: Path) -> list[Found]:
    """The sessions anywhere in `folder`, by file name; broadband lies beside a session or in a subfolder."""
    found = []
    for path in sorted(Path(folder).rglob("*.mat")):
        if not (match := _NAME.fullmatch(path.name)):
            continue
        subject, day = {"indy": "I", "loco": "L"}[match[1]], match[2]
        companions = [p.relative_to(path.parent) for p in path.parent.rglob(f"{path.stem}.nwb")]
        nearest = min(companions, key=lambda p: (len(p.parts), p), default=None)
        source = Published(
            layout="makin",
            file=path.relative_to(folder).as_posix(),
            companion=nearest and nearest.as_posix(),
            subject=subject,
            dataset="makin",
            task="RT",
        )
        found.append(Found(name=f"Monkey{subject}_{day}", path=path, source=source))
    return found


@contextmanager
def opened(path: Path, source: Published):
    """Yield the `Raw` of a session: cursor velocity in mm/s, LFP in volts, trials from target to target.

    The window goes from the first to the last change of the target. Unit `row * n + channel` is MATLAB's cell
    `spikes{row * n + channel + 1}`; `source.units` says whether row 0 counts. `source.companion` is relative to the
    folder of `path`.

    Raises:
        DataError: a file is missing, damaged, or not laid out as above.
    """
    with _named(path), _open(path) as file, ExitStack() as stack:
        lfp = None
        if source.companion is not None:
            companion = path.parent / source.companion
            broadband = stack.enter_context(_open(companion))
            with _named(companion):
                lfp = _broadband(broadband)
        yield _raw(file, lfp, first_row=0 if source.units == "hash+sorted" else 1)


@contextmanager
def _named(path):
    try:
        yield
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _open(path):
    import h5py

    if not path.is_file():
        raise DataError(f"there is no file {path}")
    try:
        return h5py.File(path, "r")
    except OSError as err:
        raise DataError(f"{path} is not a readable HDF5 file ({one_line(err)})") from err


def _raw(file, lfp, first_row) -> Raw:
    times = _clock(file)
    changes = times[_changes(_matrix(file, "target_pos", 2, len(times)))]
    velocity = np.gradient(_matrix(file, "cursor_pos", 2, len(times)), times, axis=0)
    names = _channel_names(file)
    return Raw(
        spikes=_spikes(file, names, times, first_row),
        lfp=lfp,
        behavior=Trace(times=times, values=velocity, names=("velocity_x", "velocity_y"), units=("mm/s", "mm/s")),
        trial_intervals=np.column_stack([changes[:-1], changes[1:]]),
        window=(float(changes[0]), float(changes[-1])),
        region=", ".join(dict.fromkeys(name.split(" ")[0] for name in names)),
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
    """Samples at which the target is another than before, on either axis."""
    same = np.isclose(target[:-1], target[1:], rtol=0, atol=0, equal_nan=True)
    changes = np.flatnonzero(~same.all(axis=1)) + 1
    if len(changes) < 2:
        raise DataError(f"target_pos changes {len(changes)} times; two changes are needed, as the session lies between")
    return changes


def _channel_names(file) -> list[str]:
    """Such as M1 001."""
    names = []
    for channel, reference in enumerate(_cells(file, "chan_names").ravel()):
        codes = _cell(file, reference, f"chan_names {channel}")
        if codes.dtype != np.uint16 or not codes.size:
            raise DataError(f"chan_names {channel} is no text, but {codes.size} {codes.dtype} values")
        names.append("".join(map(chr, codes.ravel())))
    return names


def _spikes(file, names, times, first_row) -> SpikeTrains:
    cells = _cells(file, "spikes")
    if cells.shape[1] != len(names):
        raise DataError(f"spikes has {cells.shape[1]} channels but chan_names has {len(names)}")
    trains = {}
    for place in range(first_row * len(names), cells.size):
        row, channel = divmod(place, len(names))
        train = _spike_times(file, cells[row, channel], f"spikes of {names[channel]}, row {row},")
        if len(train):
            trains[place] = train
    if not trains:
        raise DataError(f"spikes: from row {first_row} on no cell holds a spike")
    every = np.concatenate(list(trains.values()))
    outside = (every < times[0]) | (every > times[-1])
    if outside.mean() > 0.5:  # some stray before and after the task
        span = f"{times[0]:.3f} to {times[-1]:.3f} s"
        raise DataError(f"spikes: {outside.sum()} of {len(every)} lie outside of t, {span}; are they on its clock?")
    return SpikeTrains(times=tuple(trains.values()), ids=tuple(trains))


def _spike_times(file, reference, what) -> np.ndarray:
    """(m,) seconds; none for a cell without a unit, which holds its own size, or a malformed 2 x 2 array."""
    values = _cell(file, reference, what)
    if values.shape == (2, 2) or (values.shape == (2,) and values.dtype == np.uint64):
        return np.empty(0)
    if values.dtype.kind != "f" or values.ndim != 2 or 1 not in values.shape:
        raise _unlike(what, values, "(1, m) seconds")
    values = values.ravel().astype(np.float64)
    before = np.append(-np.inf, values[:-1])
    ordered = (before <= values) & np.isfinite(values)
    if not ordered.all():
        at = int(np.argmin(ordered))
        raise DataError(f"{what} has spike {at} at {values[at]:.4f} s after one at {before[at]:.4f} s; sort them")
    return values


def _broadband(file) -> Signal:
    data = _dataset(file, f"{_BROADBAND}/data")
    rate_hz, start_s, k = _broadband_clock(_dataset(file, f"{_BROADBAND}/timestamps"))
    if data.ndim != 2 or data.dtype.kind not in "iuf" or k not in data.shape:
        raise _unlike(data.name, data, f"one number a channel for each of the {k} timestamps")
    conversion = np.ravel(data.attrs.get("conversion", ()))
    if conversion.size != 1 or conversion.dtype.kind not in "iuf" or not 0 < conversion[0] < np.inf:
        raise DataError(f"{data.name} has the conversion {conversion.tolist()}; one factor to volts is needed")
    turned = data.shape[0] != k
    read = partial(_volts, data, turned, np.float32(conversion[0]), f"{Path(file.filename).name}: {data.name}")
    return Signal(read=read, n_samples=k, n_channels=data.shape[not turned], rate_hz=rate_hz, start_s=start_s)


def _volts(data, turned, conversion, what, start, stop):
    """(stop - start, n) float32."""
    values = _read(data, np.s_[:, start:stop], what).T if turned else _read(data, np.s_[start:stop], what)
    volts = values.astype(np.float32, order="C")
    volts *= conversion  # in place: a product of mixed types takes twice as long
    return volts


def _broadband_clock(stamps) -> tuple[float, float, int]:
    """Rate in Hz over the entire recording, time of the first sample in seconds, number of samples."""
    k = stamps.size
    if stamps.ndim != 1 or stamps.dtype.kind != "f" or k < 2:
        raise _unlike(stamps.name, stamps, "(k,) seconds")
    start, stop = (float(_read(stamps, i, stamps.name)) for i in (0, k - 1))
    step = (stop - start) / (k - 1)
    even = step * np.arange(_SLICE)
    for a in range(0, k, _SLICE):
        part = _read(stamps, slice(a, a + _SLICE), stamps.name)
        off = part - even[: len(part)]
        off -= start + step * a
        np.abs(off, out=off)
        if not (off.max() <= _CLOCK_TOLERANCE_S and step > 0):  # nor where one is NaN
            at = int(np.argmax(np.nan_to_num(off, nan=np.inf)))
            raise DataError(
                f"{stamps.name}: sample {a + at} at {part[at]:.4f} s lies {off[at] * 1e3:.3g} ms off a clock of "
                f"{np.divide(1, step):.6g} Hz; they must ascend evenly, to within {_CLOCK_TOLERANCE_S * 1e3:g} ms"
            )
    return 1 / step, start, k


def _dataset(file, name):
    import h5py

    if name not in file:
        datasets = []
        file.visit(lambda path: None if path.startswith("#") else datasets.append(path))
        raise DataError(f'there is no "{name}"{suggest(name, datasets)}')
    if not isinstance(node := _read(file, name, name), h5py.Dataset):
        raise DataError(f"{name} is a group, not a dataset")
    return node


def _matrix(file, name, rows, k=None) -> np.ndarray:
    """(k, rows) float64, as MATLAB shows it."""
    node = _dataset(file, name)
    needed = (rows, (node.size or 0) // rows if k is None else k)
    if node.dtype.kind not in "buif" or node.shape != needed:
        raise _unlike(name, node, f"{needed} real numbers")
    return _read(node, (), name).T.astype(np.float64)  # (rows, k) -> (k, rows)


def _cells(file, name) -> np.ndarray:
    """The object references of a cell array."""
    node = _dataset(file, name)
    if node.dtype.kind != "O" or node.ndim != 2:
        raise _unlike(name, node, "a cell array")
    return _read(node, (), name)


def _cell(file, reference, what) -> np.ndarray:
    """The values that a reference leads to; h5py's `file[reference][()]` takes twice as long, for hundreds of cells."""
    from h5py import h5r, h5s

    with _sound(what):
        node = h5r.dereference(reference, file.id)
        values = np.zeros(node.shape, node.dtype)
        node.read(h5s.ALL, h5s.ALL, values)
    return values


def _read(node, key, what):
    """node[key]"""
    with _sound(what):
        return node[key]


@contextmanager
def _sound(what):
    """h5py has many ways to say that a file is damaged."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"{what} is damaged ({one_line(err)})") from err


def _unlike(what, values, needed) -> DataError:
    return DataError(f"{what} has {values.dtype} values of the shape {values.shape}; needed: {needed}")

"""The struct array `trial_data` of a MATLAB 7.3 file: an element a trial, read field by field.

MATLAB 7.3 is HDF5: a field is a dataset of references, one a trial, to what MATLAB shows turned; text is a row of
character codes, and an empty array is stored as its shape. A struct array of one trial holds the values themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest

BIN_S = 0.03


@contextmanager
def trial_data(path: Path) -> Iterator["TrialData"]:
    """Yield the struct array of an open file.

    Raises:
        DataError: no HDF5 file, or none that holds `trial_data`; errors inside the context get the file's name.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as err:
        raise DataError(f"{path}: not a readable MATLAB 7.3 file ({one_line(err)})") from err
    with file:
        try:
            yield TrialData(file)
        except DataError as err:
            raise DataError(f"{path.name}: {err}") from err


class TrialData:
    """`array`, `shape`, `text` and `number` of a field of a trial, as MATLAB has them; trials count from 0."""

    def __init__(self, file):
        self.file, self.references = file, {}
        self.group = file.get("trial_data")
        if not hasattr(self.group, "keys"):
            raise DataError(f'there is no struct array "trial_data"; the file holds {", ".join(file) or "nothing"}')
        self._node("bin_size", 0)
        sizes = self.references["bin_size"]
        self.n_trials = 1 if sizes is None else len(sizes)

    @property
    def fields(self) -> list[str]:
        return list(self.group)

    def _field(self, name):
        if name not in self.group:
            raise DataError(f'trial_data has no field "{name}"{suggest(name, self.group)}')
        return self.group[name]

    def _node(self, name, trial):
        field = self._field(name)
        try:
            if name not in self.references:
                is_cell = hasattr(field, "dtype") and field.dtype.kind == "O"
                self.references[name] = field[()].ravel() if is_cell else None
            if self.references[name] is not None:
                field = self.file[self.references[name][trial]]
        except (OSError, KeyError, ValueError, IndexError, RuntimeError) as err:
            raise DataError(f"trial {trial + 1}: {name} is damaged ({one_line(err)})") from err
        if not hasattr(field, "shape"):
            raise DataError(f"trial {trial + 1}: {name} is no array but a group; sparse arrays are not read")
        return field

    def array(self, name: str, trial: int) -> np.ndarray:
        node = self._node(name, trial)
        try:
            values = node[()]
        except OSError as err:
            raise DataError(f"trial {trial + 1}: {name} is damaged ({one_line(err)})") from err
        if values.dtype.kind not in "buif":
            raise DataError(f"trial {trial + 1}: {name} holds {values.dtype} values, not real numbers")
        if node.attrs.get("MATLAB_empty", 0):
            return np.empty(tuple(int(n) for n in values))  # an empty array is stored as its shape
        return values.T

    def shape(self, name: str, trial: int) -> tuple[int, int]:
        """(rows, columns), without reading the values."""
        node = self._node(name, trial)
        shape = self.array(name, trial).shape if node.attrs.get("MATLAB_empty", 0) else node.shape[::-1]
        if len(shape) != 2:
            raise DataError(f"trial {trial + 1}: {name} has the shape {shape}; a matrix is needed")
        return shape

    def text(self, name: str, trial: int) -> str:
        return "".join(chr(int(code)) for code in self.array(name, trial).ravel(order="F"))

    def number(self, name: str, trial: int) -> float:
        """NaN where there is none."""
        return float(next(iter(self.array(name, trial).flat), np.nan))


# Trials


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One element of `trial_data`, on bins of 30 ms."""

    index: int
    """Its place in the file, from 0: its label."""
    result: str
    """R: rewarded; A: aborted; F: failed; I: incomplete."""
    n_bins: int
    per_bin: int
    """Bins of the file in one of 30 ms: 1 or 3."""
    events: dict[str, tuple[int, ...]]
    """Bins, from 0, of what the file gives as `idx_...`; without those that lie outside of the trial or are NaN."""


def taken_trials(data: TrialData, arrays: tuple[str, ...], results: tuple[str, ...]) -> list[Trial]:
    """Trials of the wanted `results` (none: all) in the order of time, without those whose velocity is lost throughout.

    Raises:
        DataError: no trial is left, or fields of one trial differ in length.
    """
    order = range(data.n_trials)
    if "trial_id" in data.fields:
        order = sorted(order, key=lambda i: data.number("trial_id", i))
    result = {i: data.text("result", i) for i in order}
    wanted = [i for i in order if not results or result[i] in results]
    if not wanted:
        listed = ", ".join(sorted(set(result.values())))
        raise DataError(f"no trial has the result {' or '.join(results)}; the file says {listed}")
    kept = [_trial(data, arrays, i, result[i]) for i in wanted if np.isfinite(data.array("vel", i)).any()]
    kept = [trial for trial in kept if trial.n_bins]
    if not kept:
        raise DataError(f"none of {len(wanted)} trials has a bin with a finite velocity")
    return kept


def _trial(data: TrialData, arrays: tuple[str, ...], i: int, result: str) -> Trial:
    factor, rows = _factor(data, i), data.shape("vel", i)[0]
    for name in (f"{array}_{kind}" for array in arrays for kind in ("spikes", "lfp")):
        if data.shape(name, i)[0] != rows:
            raise DataError(f"trial {i + 1}: {name} has {data.shape(name, i)[0]} bins but vel has {rows}")
    n_bins = rows // factor
    events = {}
    for name in (n for n in data.fields if n.startswith("idx_")):
        at = data.array(name, i).ravel()
        bins = (at[np.isfinite(at)].astype(int) - 1) // factor  # MATLAB counts from 1
        events[name.removeprefix("idx_")] = tuple(bins[(bins >= 0) & (bins < n_bins)].tolist())
    return Trial(index=i, result=result, n_bins=n_bins, per_bin=factor, events=events)


def _factor(data: TrialData, i: int) -> int:
    """Bins of the file in one of 30 ms."""
    bin_size = data.number("bin_size", i)
    for factor in (1, 3):
        if abs(bin_size * factor - BIN_S) < 1e-6:
            return factor
    raise DataError(f"trial {i + 1}: bin_size is {bin_size:g} s; 0.03 s, or 0.01 s to be rebinned, is needed")


def rebinned(values: np.ndarray, trial: Trial, how) -> np.ndarray:
    """(T, columns): `how` (a sum or a mean) over the bins of the file in each of 30 ms; the rest is left out."""
    whole = values[: trial.n_bins * trial.per_bin]
    # (T * per_bin, columns) -> (T, per_bin, columns) -> (T, columns)
    return how(whole.reshape(trial.n_bins, trial.per_bin, values.shape[1]), axis=1)

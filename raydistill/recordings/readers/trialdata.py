"""The struct array `trial_data` of Gallego-Carracedo et al.: one element per trial, binned at 30 or 10 ms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.recordings.files.matlab73 import StructArray

BIN_S = 0.03


@contextmanager
def trial_data(path: Path) -> Iterator[StructArray]:
    """Yield the struct array of a file.

    Raises:
        DataError: the file is not HDF5 or has no `trial_data`; errors inside the context are prefixed with its name.
    """
    with matlab73.open_hdf5(path) as file:
        try:
            data = StructArray(file, "trial_data", element="trial")
            data.n_elements("bin_size")
            yield data
        except DataError as err:
            raise DataError(f"{path.name}: {err}") from err


@dataclass(frozen=True, kw_only=True)
class BinnedTrial:
    """One element of `trial_data`, on bins of 30 ms."""

    index: int
    """Position in the file, from 0. It is the label of the trial."""
    n_bins: int
    per_bin: int
    """Number of bins of the file in one bin of 30 ms: 1 or 3."""


def selected_trials(data: StructArray, arrays: tuple[str, ...], results: tuple[str, ...]) -> list[BinnedTrial]:
    """The trials to use, in the order of `trial_id`. A trial whose velocity is NaN throughout is left out.

    Args:
        arrays: names of the electrode arrays whose fields must have the same length as the velocity.
        results: values of `result` to keep: R (rewarded), A (aborted), F (failed), I (incomplete); empty: all.

    Raises:
        DataError: no trial is left, or fields of one trial differ in length.
    """
    order = list(range(data.n_elements("bin_size")))
    if "trial_id" in data.fields:
        order.sort(key=lambda i: data.number("trial_id", i))
    result = {i: data.text("result", i) for i in order}
    candidates = [i for i in order if not results or result[i] in results]
    if not candidates:
        available = ", ".join(sorted(set(result.values())))
        raise DataError(f"no trial has the result {' or '.join(results)}; results in the file: {available}")
    trials = [_trial(data, arrays, i) for i in candidates if np.isfinite(data.array("vel", i)).any()]
    trials = [trial for trial in trials if trial.n_bins]
    if not trials:
        raise DataError(f"none of {len(candidates)} trials has a bin with a finite velocity")
    return trials


def _trial(data: StructArray, arrays: tuple[str, ...], i: int) -> BinnedTrial:
    per_bin, rows = _bins_per_30_ms(data, i), data.shape("vel", i)[0]
    for name in (f"{array}_{kind}" for array in arrays for kind in ("spikes", "lfp")):
        if data.shape(name, i)[0] != rows:
            raise DataError(f"trial {i + 1}: {name} has {data.shape(name, i)[0]} bins but vel has {rows}")
    return BinnedTrial(index=i, n_bins=rows // per_bin, per_bin=per_bin)


def _bins_per_30_ms(data: StructArray, i: int) -> int:
    bin_size = data.number("bin_size", i)
    for per_bin in (1, 3):
        if abs(bin_size * per_bin - BIN_S) < 1e-6:
            return per_bin
    raise DataError(f"trial {i + 1}: bin_size is {bin_size:g} s; 0.03 s, or 0.01 s to be rebinned, is needed")


def rebinned(values: np.ndarray, trial: BinnedTrial, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    """(T, columns): `reduce` (np.sum or np.mean) over the file's bins in each bin of 30 ms.

    Bins at the end that do not fill a bin of 30 ms are left out.
    """
    complete = values[: trial.n_bins * trial.per_bin]
    # (T * per_bin, columns) -> (T, per_bin, columns) -> (T, columns)
    return reduce(complete.reshape(trial.n_bins, trial.per_bin, values.shape[1]), axis=1)

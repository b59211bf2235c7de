"""Labels in files of arrays: a vector with the class of each bin of the file, or of each trial."""

from collections.abc import Mapping, Sequence

import numpy as np

from raydistill.config.manifest import Label
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Node, find
from raydistill.recordings.raw import RawLabel
from raydistill.recordings.readers.array_parts.lists import words


def labels_of_bins(
    root: Node, labels: Mapping[str, Label], trial_of_bin: np.ndarray | None, n_file_bins: int | None, ratio: int
) -> tuple[RawLabel, ...]:
    """The labels of a file whose arrays have one row per bin.

    A vector has one class per bin of the file, or one per trial number from 0 on, in ascending order of the numbers.

    Args:
        trial_of_bin: (bins,) trial number of each bin of the file, negative outside of trials; None: there are none.
        n_file_bins: number of bins of the file; None: it has no array with one row per bin.
        ratio: bins of the file per bin of the session.

    Raises:
        DataError: a vector has another length.
    """
    found = []
    for name, label in labels.items():
        values = class_texts(words(find(root, label.values), "classes"))
        in_bins = classes_of_bins(values, n_file_bins, trial_of_bin)
        if in_bins is None:
            raise _wrong_length(name, label, values, {"bins": n_file_bins, "trials": len(trial_numbers(trial_of_bin))})
        found.append(RawLabel(name=name, values=_rebinned(in_bins, ratio), outside=label.outside))
    return tuple(found)


def labels_of_trials(
    root: Node, labels: Mapping[str, Label], intervals: np.ndarray, n_trials: int, numbers: Sequence[int] | np.ndarray
) -> tuple[RawLabel, ...]:
    """The labels of trials with a start and stop.

    Args:
        intervals: (chosen, 2) seconds.
        n_trials: number of trials in the file, for each of which a vector has a class.
        numbers: (chosen,) place of each chosen trial in the file.

    Raises:
        DataError: a vector has another length.
    """
    found = []
    for name, label in labels.items():
        values = class_texts(words(find(root, label.values), "classes"))
        if len(values) != n_trials:
            raise _wrong_length(name, label, values, {"trials": n_trials})
        found.append(
            RawLabel(name=name, values=values[np.asarray(numbers)], intervals=intervals, outside=label.outside)
        )
    return tuple(found)


def class_texts(values: np.ndarray) -> np.ndarray:
    """(n,) names of classes that are given as texts or numbers; whole numbers have no decimal point, NaN is empty."""
    if values.dtype.kind in "biuf":
        return np.array(["" if np.isnan(value) else f"{value:g}" for value in values.astype(np.float64).tolist()])
    return np.array([str(value) for value in values.tolist()])


def trial_numbers(trial_of_bin: np.ndarray | None) -> np.ndarray:
    """The trial numbers from 0 on, ascending; none without trials."""
    return np.empty(0, int) if trial_of_bin is None else np.unique(trial_of_bin[trial_of_bin >= 0])


def classes_of_bins(values: np.ndarray, n_bins: int | None, trial_of_bin: np.ndarray | None) -> np.ndarray | None:
    """(bins,) class of each bin, empty outside of trials; None if there is neither one per bin nor one per trial.

    Args:
        values: class of each bin, or of each trial number from 0 on, in ascending order of the numbers.
        n_bins: number of bins; None: there are none.
        trial_of_bin: (bins,) trial number of each bin, negative outside of trials; None: there are no trials.
    """
    if len(values) == n_bins:
        return values
    numbers = trial_numbers(trial_of_bin)
    if trial_of_bin is None or len(values) != len(numbers):
        return None
    place = np.minimum(np.searchsorted(numbers, trial_of_bin), len(values) - 1)
    return np.where(trial_of_bin >= 0, values[place], "")


def _wrong_length(name: str, label: Label, values: np.ndarray, allowed: Mapping[str, int | None]) -> DataError:
    needed = " or ".join(f"one per {what.removesuffix('s')} ({n})" for what, n in allowed.items() if n)
    return DataError(
        f"labels.{name}: {label.values} has {len(values)} values; {needed or 'bins or trials'} "
        f"{'is' if needed else 'are'} needed in this file"
    )


def _rebinned(values: np.ndarray, ratio: int) -> np.ndarray:
    """(bins // ratio,) the class of each group of bins, empty where a group has several."""
    groups = values[: len(values) // ratio * ratio].reshape(-1, ratio)
    return np.where((groups == groups[:, :1]).all(axis=1), groups[:, 0], "")

"""Trials of arrays: labels per bin, starts and stops, and the choice of some of them by values per trial."""

import numpy as np

from raydistill.config.manifest import Trials, seconds_per_unit
from raydistill.errors import DataError, suggest
from raydistill.recordings.files.nodes import Node, find
from raydistill.recordings.raw import Trace
from raydistill.recordings.readers.array_parts.lists import vector, words

_LARGEST = np.iinfo(np.int32).max


def trial_labels(root: Node, section: Trials) -> np.ndarray:
    """(bins,) int32 label of each bin of the file, -1 outside of trials.

    Raises:
        DataError: labels are not whole numbers, or NaN without `outside: nan`.
    """
    assert section.labels is not None
    path = section.labels
    labels = vector(find(root, path), "trial numbers per bin")
    unknown = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), dtype=bool)
    if unknown.any() and section.outside != "nan":
        raise DataError(
            f"{path} holds NaN in {unknown.sum()} of {len(labels)} bins; if NaN means outside of trials, set "
            f"`trials: {{labels: {path}, outside: nan}}`"
        )
    numbers = np.where(unknown, -1, labels.astype(np.float64))
    if np.any(numbers != np.round(numbers)) or np.any(np.abs(numbers) > _LARGEST):
        raise DataError(f"{path} ({labels.dtype}) holds values that are not trial numbers (whole numbers)")
    labels = numbers.astype(np.int32)
    if section.outside == "zero":
        labels = np.where(labels == 0, -1, labels)
    return np.maximum(labels, -1)


def labels_where_zero(section: Trials, traces: tuple[Trace, ...]) -> np.ndarray:
    """(bins,) int32: a trial begins at each bin in which some columns of behavior are exactly 0; -1 before the first.

    Raises:
        DataError: there is no behavior with one row per bin, or no such column.
    """
    if len(traces) != 1 or traces[0].span is None:
        raise DataError("`start_where_zero` needs one behavior matrix with one row per bin")
    behavior = traces[0]
    missing = [c for c in section.start_where_zero if c not in behavior.names]
    if missing:
        raise DataError(f'`start_where_zero`: no behavior column "{missing[0]}"{suggest(missing[0], behavior.names)}')
    columns = [behavior.names.index(c) for c in section.start_where_zero]
    starts = (behavior.values[:, columns] == 0).all(axis=1)
    return np.cumsum(starts).astype(np.int32) - 1


def trial_intervals(root: Node, section: Trials) -> np.ndarray:
    """(trials, 2) start and stop in seconds.

    Raises:
        DataError: there are different numbers of them.
    """
    assert section.start_s is not None and section.stop_s is not None
    start, stop = (
        vector(find(root, path), "times of trials").astype(np.float64) for path in (section.start_s, section.stop_s)
    )
    if len(start) != len(stop):
        raise DataError(f"{section.start_s} has {len(start)} trials but {section.stop_s} has {len(stop)}")
    start -= section.one_based  # sample 1 begins at 0 s, and the last sample belongs to the trial
    return np.stack([start, stop], axis=1) * seconds_per_unit(section.time_unit, section.rate_hz)


def chosen_trials(root: Node, section: Trials | None, n: int, notes: list[str]) -> np.ndarray:
    """(n,) whether each trial has the values that `where` asks for.

    Raises:
        DataError: a vector of `where` has another length, or no trial has its values.
    """
    chosen = np.ones(n, dtype=bool)
    for path, wanted in (section.where if section else {}).items():
        values = words(find(root, path), "values per trial")
        if len(values) != n:
            raise DataError(f"{path} has {len(values)} values but there are {n} trials")
        chosen &= _matches(values, wanted, path)
    _tell_choice(section, chosen, n, notes)
    return chosen


def labels_where(root: Node, section: Trials, labels: np.ndarray, notes: list[str]) -> np.ndarray:
    """The labels with -1 for trials that `where` leaves out.

    A vector of `where` has one value per bin, or one per label from 0 on, in ascending order of the labels.

    Raises:
        DataError: it has another length, changes within a trial, or no trial has its values.
    """
    numbers, place = np.unique(labels, return_inverse=True)
    n = int((numbers >= 0).sum())
    place = place - (len(numbers) - n)  # negative outside of trials
    chosen = np.ones(n, dtype=bool)
    for path, wanted in section.where.items():
        values = words(find(root, path), "values per trial")
        if len(values) == n:
            chosen &= _matches(values, wanted, path)
            continue
        if len(values) != len(labels):
            raise DataError(
                f"{path} has {len(values)} values; one per trial ({n}) or per bin ({len(labels)}) is needed"
            )
        in_bin = _matches(values, wanted, path)[place >= 0]
        share = np.bincount(place[place >= 0], weights=in_bin, minlength=n) / np.bincount(
            place[place >= 0], minlength=n
        )
        if np.any((share > 0) & (share < 1)):
            at = numbers[len(numbers) - n + int(np.argmax((share > 0) & (share < 1)))]
            raise DataError(f"{path} changes within trial {at}; one value for all bins of a trial is needed")
        chosen &= share == 1
    _tell_choice(section, chosen, n, notes)
    return np.where((place >= 0) & np.append(chosen, False)[place], labels, -1).astype(np.int32)


def _tell_choice(section: Trials | None, chosen: np.ndarray, n: int, notes: list[str]) -> None:
    if section is None or not section.where:
        return
    if not chosen.any():
        raise DataError(f"`where` leaves none of the {n} trials")
    notes.append(f"`where` leaves out {n - int(chosen.sum())} of {n} trials")


def _matches(values: np.ndarray, wanted: tuple[bool | float | str, ...], path: str) -> np.ndarray:
    """(n,) whether each value is one of those wanted."""
    if values.dtype.kind == "U":
        matches = np.isin(values, [str(value) for value in wanted])
    else:
        texts = [value for value in wanted if isinstance(value, str)]
        if texts:
            raise DataError(f'{path} holds numbers ({_some(values)}), but `where` asks for "{texts[0]}"')
        matches = np.isin(values, np.array(wanted, dtype=np.float64))
    if len(values) and not matches.any():
        asked = ", ".join(str(value) if isinstance(value, str) else f"{value:g}" for value in wanted)
        raise DataError(f"`where`: no trial has {asked} in {path}; its values are {_some(values)}")
    return matches


def _some(values: np.ndarray) -> str:
    different = np.unique(values)
    return ", ".join(str(v) if isinstance(v, str) else f"{v:g}" for v in different[:8].tolist()) + (
        ", ..." if len(different) > 8 else ""
    )


def rebinned_labels(labels: np.ndarray, ratio: int) -> np.ndarray:
    """(bins // ratio,) the label of each group of bins, -1 where a group is not completely in one trial."""
    groups = labels[: len(labels) // ratio * ratio].reshape(-1, ratio)
    return np.where((groups == groups[:, :1]).all(axis=1), groups[:, 0], -1).astype(np.int32)

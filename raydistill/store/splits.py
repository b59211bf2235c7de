"""Cutting a session into segments and drawing them into folds (spec A5), the same for every method.

Split units (10-s parents, whole trials, or contiguous blocks) are drawn, then cut: no unit lies on two sides.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raydistill.config.recordings import Splits
from raydistill.errors import DataError

TRAIN, VALID, TEST = "train", "valid", "test"


@dataclass(frozen=True, slots=True)
class Cut:
    """One segment: bins [start, stop) of the session."""

    start: int
    stop: int
    split: str
    trial: int | None = None


def cut(name: str, n_bins: int, bin_width_ms: float, trial: np.ndarray | None, splits: Splits) -> list[Cut]:
    """The segments of a session in time order.

    Args:
        name: the session, for errors.
        n_bins: bins of the session, T.
        bin_width_ms: width of a bin.
        trial: (T,) trial label per bin, -1 outside of trials; needed for `by: trials`.
        splits: how to cut and draw.
    Raises:
        DataError: the session has fewer split units than three folds need.
    """
    if splits.by == "trials":
        units = _trials(name, trial)
        folds = _draw(name, len(units), splits, "trials")
        return [Cut(a, b, fold, int(trial[a])) for (a, b), fold in zip(units, folds, strict=True)]
    bins = lambda seconds: round(seconds * 1000 / bin_width_ms)  # noqa: E731
    parent, segment = bins(splits.parent_s), bins(splits.segment_s)
    starts = np.arange(n_bins // parent) * parent
    if splits.by == "time":
        folds = _draw(name, len(starts), splits, f"{splits.parent_s:g}-s parents")
        guard = 0
    else:
        folds = _blocks(name, len(starts), splits)
        guard = bins(splits.guard_s)
    cuts = []
    for start, fold in zip(starts, folds, strict=True):
        cuts += [Cut(int(start + a), int(start + a + segment), fold) for a in range(0, parent - segment + 1, segment)]
    return _keep_guard(cuts, guard)


def _trials(name, trial):
    """[start, stop) of each run of one label; a label that comes back later is another trial."""
    if trial is None:
        raise DataError(f"session {name}: `splits.by: trials` needs trials, and the recording names none")
    edges = np.flatnonzero(np.diff(trial)) + 1  # (runs - 1,)
    bounds = [0, *edges.tolist(), len(trial)]
    return [(a, b) for a, b in pairwise(bounds) if trial[a] >= 0]


def _draw(name, n, splits, what):
    """A fold for each of n units, drawn without replacement from `splits.seed`."""
    n_valid, n_test = fold_sizes(n, splits)
    if min(n_valid, n_test, n - n_valid - n_test) < 1:
        raise DataError(
            f"session {name}: {n} {what} are too few for train, valid and test; "
            "give a longer recording or shorter `splits.parent_s`"
        )
    order = np.random.RandomState(splits.seed).permutation(n)  # the generator the published split was drawn with
    folds = np.full(n, TRAIN, dtype=object)
    folds[order[:n_valid]] = VALID
    folds[order[n_valid : n_valid + n_test]] = TEST
    return folds.tolist()


def fold_sizes(n: int, splits: Splits) -> tuple[int, int]:
    """Units in valid and test. `released` puts one more into test and leaves valid empty below ten (spec A6, 2)."""
    n_valid, n_test = int(splits.valid * n), int(splits.test * n)
    if splits.protocol == "released":
        return n_valid, n_test + 1
    return max(1, n_valid), max(1, n_test)


def _blocks(name, n_parents, splits):
    """Folds of parents, drawn as contiguous blocks of equal length."""
    n_blocks = max(3, round(1 / min(splits.valid, splits.test)))
    if n_parents < n_blocks:
        raise DataError(
            f"session {name}: {n_parents} {splits.parent_s:g}-s parents are too few for {n_blocks} blocks; "
            "give a longer recording or shorter `splits.parent_s`"
        )
    folds = _draw(name, n_blocks, splits, "blocks")
    return [folds[i * n_blocks // n_parents] for i in range(n_parents)]


def _keep_guard(cuts, guard):
    """Drop segments that lie within `guard` bins of a border to another fold."""
    if guard == 0:
        return cuts
    borders = [b.start for a, b in pairwise(cuts) if a.split != b.split]
    return [c for c in cuts if not any(c.start - guard < border < c.stop + guard for border in borders)]

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


def cut(
    name: str, n_bins: int, bin_width_ms: float, splits: Splits, trial: np.ndarray | None, piece: np.ndarray | None
) -> list[Cut]:
    """The segments of a session in time order.

    Args:
        name: the session, for errors.
        n_bins: bins of the session, T.
        bin_width_ms: width of a bin.
        splits: how to cut and draw.
        trial: (T,) trial label per bin, -1 outside of trials; needed for `by: trials`.
        piece: (T,) label of each stretch without a gap, -1 between them; None: there is no gap.
    Raises:
        DataError: the session has fewer split units than three folds need.
    """
    bins = lambda seconds: max(1, round(seconds * 1000 / bin_width_ms))  # noqa: E731
    parent, segment = bins(splits.parent_s), bins(splits.segment_s)
    if splits.by == "trials":
        units = _trials(name, trial)
        folds = _draw(name, len(units), splits, "trials")
        chunks = [(unit, fold, _chunks(*unit, segment)) for unit, fold in zip(units, folds, strict=True)]
        return [Cut(a, b, fold, int(trial[unit[0]])) for unit, fold, parts in chunks for a, b in parts]
    units = _parents(n_bins, parent, segment, piece)
    if splits.by == "time":
        folds = _draw(name, len(units), splits, f"{splits.parent_s:g}-s parents")
    else:
        folds = _blocks(name, len(units), splits)
    cuts = [
        Cut(a, a + segment, fold)
        for (start, stop), fold in zip(units, folds, strict=True)
        for a in range(start, stop - segment + 1, segment)
    ]
    return _keep_guard(cuts, round(splits.guard_s * 1000 / bin_width_ms) if splits.by == "blocks" else 0)


def _runs(label):
    """[start, stop) of each run of one label from 0 on; a label that comes back later is another run."""
    edges = np.flatnonzero(np.diff(label)) + 1  # (runs - 1,)
    bounds = [0, *edges.tolist(), len(label)]
    return [(a, b) for a, b in pairwise(bounds) if label[a] >= 0]


def _trials(name, trial):
    if trial is None:
        raise DataError(f"session {name}: `splits.by: trials` needs trials, and the recording names none")
    return _runs(trial)


def _chunks(start, stop, longest):
    """A trial as one segment, or, where it is longer, as full ones from its start and one that ends with it."""
    if stop - start <= longest:
        return [(start, stop)]
    full = [(a, a + longest) for a in range(start, stop - longest + 1, longest)]
    rest = (stop - start) % longest
    return full + ([(stop - rest, stop)] if rest else [])


def _parents(n_bins, parent, segment, piece):
    """[start, stop) of each parent. A recording without gaps drops its tail; a piece keeps a rest of whole segments."""
    if piece is None:
        return [(a, a + parent) for a in range(0, n_bins - parent + 1, parent)]
    units = []
    for start, stop in _runs(piece):
        units += [(a, min(a + parent, stop)) for a in range(start, stop - segment + 1, parent)]
    return units


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

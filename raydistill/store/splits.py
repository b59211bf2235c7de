"""Drawing a session into folds and cutting it into segments (spec A5), the same for every method.

Split units are drawn: parents of 10 s, whole trials, or contiguous blocks of parents. Then each is cut into segments,
so no unit lies on two sides, and segments of any length share one split.
"""

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.session import Session

TRAIN, VALID, TEST = "train", "valid", "test"


@dataclass(frozen=True, slots=True)
class Unit:
    """One split unit: bins [start, stop) of the session, all in one fold."""

    start: int
    stop: int
    split: str
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """One segment: bins [start, stop) of the session."""

    start: int
    stop: int
    split: str
    trial: int | None = None


def draw(session: Session, config: IngestConfig) -> list[Unit]:
    """The split units of a session in time order, each in its fold.

    Raises:
        DataError: the session has fewer units than three folds need, or no trials where those are asked for.
    """
    splits, name = config.splits, session.name
    if splits.by == "trials":
        if session.trial is None:
            raise DataError(f"session {name}: `splits.by: trials` needs trials, and the recording names none")
        bounds = _runs(session.trial)
        folds = _folds(name, len(bounds), config, "trials")
        labels = [int(session.trial[start]) for start, _ in bounds]
    else:
        bounds = _parents(session.n_bins, session.piece, _bins(splits.parent_s, session))
        what = f"{splits.parent_s:g}-s parents"
        folds = _folds(name, len(bounds), config, what) if splits.by == "time" else _blocks(name, len(bounds), config)
        labels = [None] * len(bounds)
    return [Unit(*b, fold, label) for b, fold, label in zip(bounds, folds, labels, strict=True)]


def without_outliers(units: list[Unit], behavior: np.ndarray | None, config: IngestConfig) -> list[Unit]:
    """The units in which no behavior column's SD lies above Tukey's fence, Q3 + 1.5 (Q3 - Q1).

    The fence is fitted on train units; the published code fits it on all of them (spec A2 and A6, 17).

    Args:
        behavior: (T, K), NaN where lost; None: there is nothing to tell outliers by.
    Raises:
        DataError: a fold is left without a unit.
    """
    if config.splits.outliers == "keep" or behavior is None:
        return units
    with np.errstate(all="ignore"):
        sd = np.array([_sd(behavior[u.start : u.stop]) for u in units])  # (units, K)
        fitted = sd if config.protocol == "released" else sd[[u.split == TRAIN for u in units]]
        q1, q3 = np.nanpercentile(fitted, [25, 75], axis=0)
    kept = [u for u, values in zip(units, sd, strict=True) if not np.any(values > q3 + 1.5 * (q3 - q1))]
    if lost := {u.split for u in units} - {u.split for u in kept}:
        raise DataError(f"`splits.outliers: drop` leaves nothing to {', '.join(sorted(lost))}; keep them")
    return kept


def _sd(values):
    """(K,) SD over the bins that are there; NaN for a column without any."""
    there = np.isfinite(values)
    n = there.sum(axis=0)
    mean = np.where(there, values, 0).sum(axis=0) / n
    return np.sqrt((np.where(there, values - mean, 0) ** 2).sum(axis=0) / n)


def cut(units: list[Unit], session: Session, config: IngestConfig) -> list[Cut]:
    """The segments of the units in time order; a rest of a parent that is no whole segment is left out.

    Raises:
        DataError: a fold gets no segment.
    """
    splits = config.splits
    segment = _bins(splits.segment_s, session)
    if splits.by == "trials":
        cuts = [Cut(a, b, u.split, u.trial) for u in units for a, b in _chunks(u.start, u.stop, segment)]
    else:
        starts = [(u, a) for u in units for a in range(u.start, u.stop - segment + 1, segment)]
        cuts = [Cut(a, a + segment, u.split) for u, a in starts]
    if splits.by == "blocks":
        cuts = _keep_guard(cuts, round(splits.guard_s * 1000 / session.bin_width_ms))
    if lost := {TRAIN, VALID, TEST} - {c.split for c in cuts}:
        raise DataError(
            f"session {session.name}: no segment of {splits.segment_s:g} s is left in {' and '.join(sorted(lost))}; "
            "set shorter `splits.segment_s` or `splits.guard_s`"
        )
    return cuts


def split_to_json(units: list[Unit], bin_width_ms: float) -> dict:
    """What `split.json` holds: each unit's bins and fold, and the hash of all of them.

    The hash is the same for every segment length, and for every session that is split alike.
    """
    content = {"bin_width_ms": bin_width_ms, "units": [[u.start, u.stop, u.split] for u in units]}
    return {"hash": hashlib.sha256(json.dumps(content).encode()).hexdigest()} | content


def _bins(seconds, session):
    return max(1, round(seconds * 1000 / session.bin_width_ms))


def _runs(label):
    """[start, stop) of each run of one label from 0 on; a label that comes back later is another run."""
    edges = np.flatnonzero(np.diff(label)) + 1  # (runs - 1,)
    bounds = [0, *edges.tolist(), len(label)]
    return [(a, b) for a, b in pairwise(bounds) if label[a] >= 0]


def _chunks(start, stop, longest):
    """A trial as one segment, or, where it is longer, as full ones from its start and one that ends with it."""
    if stop - start <= longest:
        return [(start, stop)]
    full = [(a, a + longest) for a in range(start, stop - longest + 1, longest)]
    rest = (stop - start) % longest
    return full + ([(stop - rest, stop)] if rest else [])


def _parents(n_bins, piece, parent):
    """[start, stop) of each parent. A recording without gaps drops its tail; a piece keeps a rest of half a parent."""
    if piece is None:
        return [(a, a + parent) for a in range(0, n_bins - parent + 1, parent)]
    bounds = []
    for start, stop in _runs(piece):
        bounds += [(a, min(a + parent, stop)) for a in range(start, stop - (parent + 1) // 2 + 1, parent)]
    return bounds


def _folds(name, n, config, what):
    """A fold for each of n units, drawn without replacement from `splits.seed`."""
    n_valid, n_test = fold_sizes(n, config)
    if min(n_valid, n_test, n - n_valid - n_test) < 1:
        raise DataError(
            f"session {name}: {n} {what} are too few for train, valid and test; "
            "give a longer recording or shorter `splits.parent_s`"
        )
    order = np.random.RandomState(config.splits.seed).permutation(n)  # the published split's generator
    folds = np.full(n, TRAIN, dtype=object)
    folds[order[:n_valid]] = VALID
    folds[order[n_valid : n_valid + n_test]] = TEST
    return folds.tolist()


def fold_sizes(n: int, config: IngestConfig) -> tuple[int, int]:
    """Units in valid and test. `released` puts one more into test and leaves valid empty below ten (spec A6, 2)."""
    n_valid, n_test = int(config.splits.valid * n), int(config.splits.test * n)
    if config.protocol == "released":
        return n_valid, n_test + 1
    return max(1, n_valid), max(1, n_test)


def _blocks(name, n_parents, config):
    """Folds of parents, drawn as contiguous blocks of equal length."""
    splits: Splits = config.splits
    n_blocks = max(3, round(1 / min(splits.valid, splits.test)))
    if n_parents < n_blocks:
        raise DataError(
            f"session {name}: {n_parents} {splits.parent_s:g}-s parents are too few for {n_blocks} blocks; "
            "give a longer recording or shorter `splits.parent_s`"
        )
    folds = _folds(name, n_blocks, config, "blocks")
    return [folds[i * n_blocks // n_parents] for i in range(n_parents)]


def _keep_guard(cuts, guard):
    """Drop segments that lie within `guard` bins of a border to another fold."""
    if guard == 0:
        return cuts
    borders = [b.start for a, b in pairwise(cuts) if a.split != b.split]
    return [c for c in cuts if not any(c.start - guard < border < c.stop + guard for border in borders)]

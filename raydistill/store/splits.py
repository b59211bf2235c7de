"""Folds and segments of a session, the same for every method (docs/methods.md, Splits and protocols).

Spans of a session are assigned to folds at random, or in the order of time: parents of 10 s, whole trials, or
contiguous blocks of parents. Each span is then cut into segments. So no span is in two folds, and segments of any
length share one split.

Lengths in seconds are fractions of bins unless the bin width divides them: at 30 ms, a parent of 10 s has 333 1/3 bins
and a segment of 5 s has 166 2/3. Borders are therefore rounded, never lengths: parents have 333 or 334 bins, segments
166 or 167, and no bin between two borders is lost.
"""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store import realm_folds
from raydistill.store.outliers import is_regular_as_released
from raydistill.store.session import Session

TRAIN, VALID, TEST = "train", "valid", "test"
OUTLIER = "outlier"
"""Instead of a fold: a span that left before the folds were drawn (protocol `released`)."""
RELEASED, REALM = "released", "realm"
_OUTLIERS_FIRST = (RELEASED, REALM)
"""Protocols under which outliers leave before the folds are drawn."""
_ADVICE = "give a longer recording or shorter `splits.parent_s`, or assign whole trials: `splits: {by: trials}`"


@dataclass(frozen=True, slots=True)
class SplitSpan:
    """A span of time that is in one fold as a whole: bins [start, stop) of the session."""

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


def draw_folds(session: Session, config: IngestConfig) -> list[SplitSpan]:
    """The split spans of a session in time order, each with its fold.

    Under the protocols `released` and `realm`, outliers leave before the folds are drawn, and have none.

    Raises:
        DataError: the session has too few spans for three folds, or the split is by trials and it has none.
    """
    splits, name = config.splits, session.name
    if splits.by == "trials":
        if session.trial is None:
            raise DataError(f"session {name}: `splits.by: trials` needs trials, but the recording has none")
        bounds = label_runs(session.trial)
        folds = _folds(session, bounds, config, "trials", "give more trials, or split by time: `splits: {by: time}`")
        trials = [int(session.trial[start]) for start, _ in bounds]
        return [
            SplitSpan(start, stop, fold, trial)
            for (start, stop), fold, trial in zip(bounds, folds, trials, strict=True)
        ]
    bounds = _parents(session.n_bins, session.piece, _bins(splits.parent_s, session.bin_width_ms))
    folds = _folds(session, bounds, config, f"{splits.parent_s:g}-s parents", _ADVICE)
    return [SplitSpan(start, stop, fold) for (start, stop), fold in zip(bounds, folds, strict=True)]


def without_outliers(spans: list[SplitSpan], behavior: np.ndarray | None, config: IngestConfig) -> list[SplitSpan]:
    """The spans in which no behavior column has an SD above Tukey's fence, Q3 + 1.5 (Q3 - Q1), fitted on train.

    Under the protocols `released` and `realm`, `draw_folds` has found the outliers by the released rule (outliers.py).

    Args:
        behavior: (T, K), NaN where it was lost; None: no span is an outlier.

    Raises:
        DataError: a fold has no other spans.
    """
    if config.splits.outliers == "keep" or behavior is None:
        return spans
    if config.protocol in _OUTLIERS_FIRST:
        return [s for s in spans if s.split != OUTLIER]
    with np.errstate(all="ignore"):
        sd = np.array([_sd(behavior[s.start : s.stop]) for s in spans])  # (spans, K)
        q1, q3 = np.nanpercentile(sd[[s.split == TRAIN for s in spans]], [25, 75], axis=0)
    regular = [s for s, values in zip(spans, sd, strict=True) if not np.any(values > q3 + 1.5 * (q3 - q1))]
    if empty := {s.split for s in spans} - {s.split for s in regular}:
        raise DataError(
            f"`splits.outliers: drop` leaves no data in {', '.join(sorted(empty))}; set `splits.outliers: keep`"
        )
    return regular


def _sd(values: np.ndarray) -> np.ndarray:
    """(K,) SD over the bins with a value; NaN for a column without any. `values` has shape (bins, K)."""
    finite = np.isfinite(values)
    n = finite.sum(axis=0)
    mean = np.where(finite, values, 0).sum(axis=0) / n
    return np.sqrt((np.where(finite, values - mean, 0) ** 2).sum(axis=0) / n)


def cut(spans: list[SplitSpan], session: Session, config: IngestConfig) -> list[Cut]:
    """The segments of the spans in time order, without those in the guard of `blocks`.

    Raises:
        DataError: a fold has no segment.
    """
    splits = config.splits
    cuts = cut_completely(spans, session, config)
    if splits.by == "blocks":
        # Rounded up: a guard of less than a bin is one bin.
        cuts = _keep_guard(cuts, ceil(_fraction(splits.guard_s) * 1000 / _fraction(session.bin_width_ms)))
    if empty := _needed_folds(config) - {c.split for c in cuts}:
        raise DataError(
            f"session {session.name}: no segment of {splits.segment_s:g} s is left in {' and '.join(sorted(empty))}"
            f"{_of_pieces(session)}; set shorter `splits.segment_s` or `splits.guard_s`"
        )
    return cuts


def _of_pieces(session: Session) -> str:
    """How many pieces gaps leave, and how long they are, in a few words; empty if there is no gap."""
    if session.piece is None:
        return ""
    seconds = [(stop - start) * session.bin_width_ms / 1000 for start, stop in label_runs(session.piece)]
    return f": gaps (in clocks, observed intervals, `interval` or trials) leave {len(seconds)} pieces of " + (
        f"{min(seconds):.3g} to {max(seconds):.3g} s"
    )


def cut_completely(spans: list[SplitSpan], session: Session, config: IngestConfig) -> list[Cut]:
    """All segments of the spans in time order. The rest of a parent that is shorter than a segment is left out."""
    splits = config.splits
    length = _bins(splits.segment_s, session.bin_width_ms)
    if splits.by == "trials":
        return [Cut(a, b, s.split, s.trial) for s in spans for a, b in _chunks(s.start, s.stop, length)]
    per_parent = floor(_bins(splits.parent_s, session.bin_width_ms) / length)
    return [Cut(a, b, s.split) for s in spans for a, b in _segments(s.start, s.stop, length, per_parent)]


def split_to_json(spans: list[SplitSpan], bin_width_ms: float) -> dict[str, Any]:
    """Content of `split.json`: bins and fold of each span, and the hash of them all.

    The hash is the same for every segment length, and for all sessions with the same split.
    """
    content = {"bin_width_ms": bin_width_ms, "units": [[s.start, s.stop, s.split] for s in spans]}
    return {"hash": hashlib.sha256(json.dumps(content).encode()).hexdigest()} | content


def _bins(seconds: float, bin_width_ms: float) -> Fraction:
    """A length in bins, at least one, without rounding."""
    return max(Fraction(1), _fraction(seconds) * 1000 / _fraction(bin_width_ms))


def _fraction(value: float) -> Fraction:
    """The number that a float stands for: 1/3 for 0.333... in double precision, 3333/1000 for 3.333."""
    return Fraction(float(value)).limit_denominator(10**9)


def label_runs(label: np.ndarray) -> list[tuple[int, int]]:
    """[start, stop) of each run of one label, from label 0 on; a label that occurs again later is another run.

    Args:
        label: (T,) whole numbers; negative: in no run.
    """
    edges = np.flatnonzero(np.diff(label)) + 1  # (runs - 1,)
    bounds = [0, *edges.tolist(), len(label)]
    return [(a, b) for a, b in pairwise(bounds) if len(label) and label[a] >= 0]


def _segments(start: int, stop: int, length: Fraction, at_most: int) -> list[tuple[int, int]]:
    """[start, stop) of each segment of a parent; their numbers of bins differ by at most one.

    A last segment that lacks less than one bin is complete, because parents are rounded to bins. So a parent that is a
    multiple of the segment in seconds is cut into that many segments, and they fill it.
    """
    n_bins = stop - start
    n = min(ceil((n_bins + 1) / length) - 1, at_most)
    filled = min(n_bins, ceil(n * length))
    return [(start + i * filled // n, start + (i + 1) * filled // n) for i in range(n)]


def _chunks(start: int, stop: int, length: Fraction) -> list[tuple[int, int]]:
    """A trial as one segment; a longer one as full segments from its start and a shorter one at its end."""
    longest = ceil(length)  # rounded up, so that rounding leaves no segment of one bin at the end
    return [(a, min(a + longest, stop)) for a in range(start, stop, longest)]


def _parents(n_bins: int, piece: np.ndarray | None, parent: Fraction) -> list[tuple[int, int]]:
    """[start, stop) of each parent: `parent` bins, with borders rounded down, so that rounding errors do not add up.

    In a recording without gaps an incomplete last parent is dropped; in a piece it is kept from half a parent on.
    """
    if piece is None:
        n = ceil((n_bins + 1) / parent) - 1  # the last border is the last that is at most `n_bins`
        return list(pairwise(floor(k * parent) for k in range(n + 1)))
    bounds: list[tuple[int, int]] = []
    for start, stop in label_runs(piece):
        last_start = stop - start - ceil(parent / 2)
        n = ceil((last_start + 1) / parent)  # 0 or less if the piece is shorter than half a parent
        starts = [start + floor(k * parent) for k in range(n)]
        bounds += pairwise([*starts, min(start + floor(n * parent), stop)])
    return bounds


def _needed_folds(config: IngestConfig) -> set[str]:
    """The folds without which no session can be stored."""
    return {TRAIN, TEST} if config.protocol == RELEASED else {TRAIN, VALID, TEST}


def _folds(session: Session, bounds: list[tuple[int, int]], config: IngestConfig, what: str, advice: str) -> list[str]:
    """A fold for each span, OUTLIER for one that leaves before the draw."""
    drawn = np.ones(len(bounds), dtype=bool)
    if config.protocol in _OUTLIERS_FIRST and config.splits.outliers == "drop":
        drawn = is_regular_as_released(session, bounds)
    folds, n = np.full(len(bounds), OUTLIER, dtype=object), int(drawn.sum())
    by_blocks = config.splits.by == "blocks"
    folds[drawn] = _draw_blocks(session.name, n, config) if by_blocks else _draw(session.name, n, config, what, advice)
    return folds.tolist()


def _draw(name: str, n: int, config: IngestConfig, what: str, advice: str) -> list[str]:
    """A fold for each of n spans: drawn without replacement from `splits.seed`, or in the order of time."""
    n_valid, n_test = fold_sizes(n, config)
    if min(n_test, n - n_valid - n_test) < 1 or (VALID in _needed_folds(config) and n_valid < 1):
        raise DataError(f"session {name}: {n} {what} are too few for train, valid and test; {advice}")
    if config.splits.order == "chronological":
        order = np.arange(n)
    elif config.protocol == REALM:
        order = realm_folds.permuted(n, name, config.splits.seed)
    else:  # the random generator of the released code, which gives spans to valid first, then to test and train
        order = np.roll(np.random.RandomState(config.splits.seed).permutation(n), -(n_valid + n_test))
    folds = np.empty(n, dtype=object)
    folds[order] = [TRAIN] * (n - n_valid - n_test) + [VALID] * n_valid + [TEST] * n_test
    return folds.tolist()


def fold_sizes(n: int, config: IngestConfig) -> tuple[int, int]:
    """Number of spans in valid and in test, of n spans that are drawn from.

    The protocol `released` has one more in test, and none in valid for n below ten (docs/methods.md, Slips of the
    released code). Those of `realm` are its own.
    """
    if config.protocol == REALM:
        return realm_folds.fold_sizes(n)
    n_valid, n_test = int(config.splits.valid * n), int(config.splits.test * n)
    if config.protocol == RELEASED:
        return n_valid, n_test + 1
    return max(1, n_valid), max(1, n_test)


def _draw_blocks(name: str, n_parents: int, config: IngestConfig) -> list[str]:
    """A fold for each parent, drawn for contiguous blocks of equal length."""
    splits: Splits = config.splits
    n_blocks = max(3, round(1 / min(splits.valid, splits.test)))
    if n_parents < n_blocks:
        raise DataError(
            f"session {name}: {n_parents} {splits.parent_s:g}-s parents are too few for {n_blocks} blocks; {_ADVICE}"
        )
    folds = _draw(name, n_blocks, config, "blocks", _ADVICE)
    return [folds[i * n_blocks // n_parents] for i in range(n_parents)]


def _keep_guard(cuts: list[Cut], guard: int) -> list[Cut]:
    """Drop segments within `guard` bins of a border to another fold."""
    if guard == 0:
        return cuts
    borders = [b.start for a, b in pairwise(cuts) if a.split != b.split]
    return [c for c in cuts if not any(c.start - guard < border < c.stop + guard for border in borders)]

"""Recorded bins of a session that are in no segment, by reason."""

from typing import Any

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.store.catalogue import Entry
from raydistill.store.session import Session
from raydistill.store.splits import Cut, SplitSpan, cut_completely

REASONS = {
    "tails": "at ends of the recording or of pieces that are too short for a parent (`splits.parent_s`)",
    "rests": "in rests of parents that are too short for a segment (`splits.segment_s`)",
    "outside_trials": "outside trials (`splits.by: trials`)",
    "guard": "near a border between folds (`splits.guard_s`)",
    "outliers": "in outliers (`splits.outliers: drop`)",
}


def count_recorded(session: Session, config: IngestConfig) -> int:
    """Bins of the session without those between pieces, which were not recorded."""
    if session.piece is None:
        return session.n_bins
    recorded = session.piece >= 0
    if config.splits.by == "trials" and session.trial is not None:
        recorded = recorded | (session.trial >= 0)  # segments of trials do not depend on pieces
    return int(np.count_nonzero(recorded))


def count_unused(
    session: Session, config: IngestConfig, all_spans: list[SplitSpan], kept: list[SplitSpan], cuts: list[Cut]
) -> dict[str, int]:
    """Reason -> bins that are recorded but in no segment. Reasons without a bin are left out.

    Args:
        all_spans: of `draw_folds`.
        kept: the spans without outliers.
        cuts: the segments that are stored.
    """
    outside = count_recorded(session, config) - _total(all_spans)
    before_guard = _total(cut_completely(kept, session, config))
    counts = {
        "outside_trials" if config.splits.by == "trials" else "tails": outside,
        "outliers": _total(all_spans) - _total(kept),
        "rests": _total(kept) - before_guard,
        "guard": before_guard - _total(cuts),
    }
    return {reason: counts[reason] for reason in REASONS if counts.get(reason)}


def unused_share(entry: Entry) -> str:
    """Such as "320 (1.6%)", "0", or "-" if the session was stored before unused bins were counted."""
    if not entry.recorded_bins:
        return "-"
    n = sum(entry.unused.values())
    return f"{n} ({_percent(n, entry.recorded_bins)})" if n else "0"


def unused_notes(entry: Entry) -> tuple[str, ...]:
    """Which recorded bins of a session are in no segment, and why, in one line; how many are in gaps, in another."""
    notes: tuple[str, ...] = ()
    if n := sum(entry.unused.values()):
        why = ", ".join(f"{bins} {REASONS[reason]}" for reason, bins in entry.unused.items())
        notes += (f"{n} of {entry.recorded_bins} bins ({_percent(n, entry.recorded_bins)}) are in no segment: {why}",)
    if n := entry.gap_bins:
        total = n + entry.recorded_bins
        notes += (f"{n} of {total} bins ({_percent(n, total)}) are in gaps between pieces and were left out",)
    return notes


def unused_to_json(entry: Entry) -> dict[str, Any]:
    """Counts of bins in gaps, recorded, and unused (None if not counted), and `unused`, the unused bins by reason."""
    known, n = entry.recorded_bins > 0, sum(entry.unused.values())
    return {
        "recorded_bins": entry.recorded_bins if known else None,
        "gap_bins": entry.gap_bins if known else None,
        "unused_bins": n if known else None,
        "unused_percent": round(100 * n / entry.recorded_bins, 3) if known else None,
        "unused": entry.unused,
    }


def _percent(n: int, total: int) -> str:
    return f"{n / total:.1%}" if n / total >= 0.001 else "under 0.1%"


def _total(spans: list[SplitSpan] | list[Cut]) -> int:
    return sum(s.stop - s.start for s in spans)

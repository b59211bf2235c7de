"""What a session is stored as: its segments, their folds, and the normalisation that is fitted on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.store.catalogue import Entry, Normalisation
from raydistill.store.exported import Exported
from raydistill.store.session import Session
from raydistill.store.splits import TRAIN, Cut, cut, draw_folds, split_to_json, without_outliers
from raydistill.store.unused import count_recorded, count_unused


@dataclass(frozen=True, kw_only=True)
class SessionPlan:
    """The segments of a session and what their entry says about them."""

    config: IngestConfig
    cuts: list[Cut]
    normalisation: dict[str, Normalisation]
    split_file: dict[str, Any]
    """Content of split.json."""
    about: dict[str, Any]
    """Fields of the entry."""


def plan_session(session: Session, config: IngestConfig) -> SessionPlan:
    """The folds that `config` says; an exported session keeps its own segments and normalisation instead.

    Raises:
        DataError: the session cannot be split, or a channel is constant.
    """
    return _drawn(session, config) if session.exported is None else _as_exported(session, session.exported)


def _drawn(session: Session, config: IngestConfig) -> SessionPlan:
    """Folds and segments as `config` says, and the normalisation that is fitted on them."""
    all_spans = draw_folds(session, config)
    spans = without_outliers(all_spans, session.behavior, config)
    cuts = cut(spans, session, config)
    fitted = cuts if config.protocol != "corrected" else [c for c in cuts if c.split == TRAIN]
    return SessionPlan(
        config=config,
        cuts=cuts,
        normalisation={name: _statistics(session, name, fitted) for name in _signals(session)},
        split_file=split_to_json(spans, session.bin_width_ms),
        about={
            "outliers": len(all_spans) - len(spans),
            "recorded_bins": (n_recorded := count_recorded(session, config)),
            "gap_bins": session.n_bins - n_recorded,
            "unused": count_unused(session, config, all_spans, spans, cuts),
        },
    )


def _as_exported(session: Session, exported: Exported) -> SessionPlan:
    """The segments, folds and normalisation of the store that the session was exported from."""
    places = zip(exported.bounds, exported.splits, exported.trials, strict=True)
    return SessionPlan(
        config=exported.config,
        cuts=[Cut(start, stop, split, trial) for (start, stop), split, trial in places],
        normalisation={name: exported.entry.normalisation[name] for name in _signals(session)},
        split_file=exported.split_file,
        about={
            "exported_from": exported.entry.session,
            **{name: getattr(exported.entry, name) for name in ("outliers", "recorded_bins", "gap_bins", "unused")},
        },
    )


def is_changed(entry: Entry, exported: Entry) -> bool:
    """Whether a session that was exported, and is stored as a whole, has another content than then."""
    is_whole = all(getattr(entry, name) == getattr(exported, name) for name in ("n_units", "n_channels", "behavior"))
    return is_whole and entry.content != exported.content


def _signals(session: Session) -> list[str]:
    return [name for name in ("spikes", "lfp", "behavior") if getattr(session, name) is not None]


def _statistics(session: Session, name: str, cuts: list[Cut]) -> Normalisation:
    """Mean and SD of each column of spikes, lfp or behavior over the finite values of the cuts, segment by segment."""
    values = getattr(session, name)

    def segments() -> Iterator[np.ndarray]:
        return (values[c.start : c.stop].astype(np.float64) for c in cuts)  # each (T, width)

    n = sum(np.isfinite(x).sum(axis=0) for x in segments())  # (width,)
    with np.errstate(all="ignore"):
        mean = sum(np.nansum(x, axis=0) for x in segments()) / n
        std = np.sqrt(sum(np.nansum((x - mean) ** 2, axis=0) for x in segments()) / n)
    dead = np.flatnonzero(~(std > (0 if name == "lfp" else 1e-12 * np.maximum(1.0, np.abs(mean)))))
    if len(dead) and len(dead) == len(std) and name == "lfp":
        raise DataError(
            f"session {session.name}: all {len(dead)} LFP channels are constant over the train segments, so this is no "
            "LFP; leave it out with `lfp: null`, or name another variable"
        )
    if len(dead) and name == "lfp":
        raise DataError(
            f"session {session.name}: LFP channel {dead[0]} is constant over the train segments; "
            f"drop it with `drop_channels: {dead.tolist()}`"
        )
    # A constant behavior cannot be decoded, and a unit can be silent in train: both are stored unscaled.
    mean[dead], std[dead] = np.nan_to_num(mean[dead]), 1.0
    return Normalisation(mean=tuple(mean.tolist()), std=tuple(std.tolist()))

"""Repeated draws of a session's folds (`splits.repeats`): one stored session per draw.

Segments are cut, normalised and stored by fold, so every draw has files of its own. The first draw has the name of the
session; it is written last, so that a session with the wanted fingerprint has all of its draws. The others are written
from the second up, and deleted from the last down, so that an interrupt never leaves a draw behind a missing one, where
`later_draws` would not find it.
"""

import dataclasses

from raydistill.config.names import draw_name
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.store.catalogue import Entry
from raydistill.store.session import Session
from raydistill.store.session_plan import plan_session
from raydistill.store.store import Store


def write_draws(store: Store, session: Session, config: IngestConfig, fingerprint: str) -> Entry:
    """Store a session once per draw of its folds, and delete further draws of an earlier ingest; returns the first.

    Raises:
        DataError: as `Store.write`; or an exported session, which has folds already, is to have several draws.
    """
    repeats = config.splits.repeats
    if session.exported is not None and repeats > 1:
        raise DataError(
            f"session {session.name}: an exported session keeps the folds that it was exported with, so they cannot be "
            f"drawn {repeats} times; set `splits.repeats: 1`, or ingest the original recording"
        )
    draws = [_of_draw(session, config, draw) for draw in range(1, repeats + 1)]
    plans = [plan_session(*drawn) for drawn in draws]  # before any is stored, so that an error leaves none
    for (of_draw, _), plan in list(zip(draws, plans, strict=True))[1:]:
        store.write_planned(of_draw, plan, fingerprint)
    for name in reversed(later_draws(store, session.name, repeats)):
        store.delete(name)
    return store.write_planned(session, plans[0], fingerprint)


def _of_draw(session: Session, config: IngestConfig, draw: int) -> tuple[Session, IngestConfig]:
    """The session under the name of a draw, and the configuration with the seed of this draw."""
    if draw == 1:
        return session, config
    splits = dataclasses.replace(config.splits, seed=config.splits.seed + draw - 1, repeats=1)
    named = dataclasses.replace(session, name=draw_name(session.name, draw))
    return named, dataclasses.replace(config, splits=splits)


def later_draws(store: Store, session: str, after: int = 1) -> list[str]:
    """The names of the stored draws of a session with numbers above `after`, in order."""
    names: list[str] = []
    while store.holds(name := draw_name(session, after + len(names) + 1)):
        names.append(name)
    return names


def damaged_draws(store: Store, session: str, config: IngestConfig, fingerprint: str) -> list[str]:
    """What is wrong with the stored draws of a session, one line each; all of their bytes are read.

    Further draws, which an interrupted ingest left, are wrong too.
    """
    lines = []
    for draw in range(1, config.splits.repeats + 1):
        entry = store.stored(draw_name(session, draw))
        if entry is None or entry.fingerprint != fingerprint:
            lines.append(f"draw {draw} of the folds of session {session} is missing")
        else:
            lines += store.damage(entry)
    if surplus := later_draws(store, session, config.splits.repeats):
        n = "1 further draw" if len(surplus) == 1 else f"{len(surplus)} further draws"
        lines.append(f"an interrupted ingest left {n} of the folds of session {session}")
    return lines

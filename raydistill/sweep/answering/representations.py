"""The scored sequences of a sweep's methods: what alignment and the figures of latents and trajectories are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.alignment import Alignment, align
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sequences import Sequences, read_sequences
from raydistill.papers.targets import WHOLE, Panel
from raydistill.sweep.config.sweep import SweepConfig, pairs
from raydistill.sweep.planning.runs_folder import RunsFolder


@dataclass(frozen=True, kw_only=True, eq=False)
class Represented:
    """N sequences, row by row the same for every method."""

    vectors: dict[str, np.ndarray]
    """Method -> (N, D)."""
    sessions: np.ndarray
    """(N,)"""
    subjects: np.ndarray
    """(N,)"""


def represented(methods: Sequence[str], scores: Sequence[Score], runs: RunsFolder, panel: Panel = WHOLE) -> Represented:
    """What all of these methods represent, of each the model of the lowest seed.

    Raises:
        DataError: they have no sequence in common.
    """
    shown = [s for s in scores if panel.shows(s.session)]
    found = {method: _first_seeds(method, shown, runs) for method in methods}
    subjects = {s.session: s.subject for s in shown}
    vectors, sessions = {method: [] for method in methods}, []
    for session in sorted(set.intersection(*(set(each) for each in found.values()))):
        rows = {m: {n: row for row, n in enumerate(each[session].numbers.tolist())} for m, each in found.items()}
        numbers = sorted(set.intersection(*(set(of) for of in rows.values())))
        for method, each in found.items():
            vectors[method].append(each[session].vectors[[rows[method][n] for n in numbers]])
        sessions += [session] * len(numbers)
    if not sessions:
        raise DataError(f"{' and '.join(methods)} have no scored sequence in common")
    return Represented(
        vectors={method: np.concatenate(each) for method, each in vectors.items()},
        sessions=np.array(sessions),
        subjects=np.array([subjects[session] for session in sessions]),
    )


def _first_seeds(method: str, scores, runs: RunsFolder) -> dict[str, Sequences]:
    """Session -> the sequences of the method's model with the lowest seed there."""
    of = [s for s in scores if s.method == method]
    first = {s.session: s for s in sorted(of, key=lambda s: s.seed or 0, reverse=True)}
    return {session: read_sequences(runs.job_folder(s.job)) for session, s in first.items()}


def alignments(sweep: SweepConfig, scores: Sequence[Score], runs: RunsFolder) -> tuple[list[Alignment], list[str]]:
    """Every line of the sweep's `align`, and why one could not be drawn."""
    made, notes = [], []
    for queries, keys in pairs(sweep.align, "align", sign="~"):
        try:
            both = represented((queries, keys), scores, runs)
            made.append(align(queries, keys, both.vectors[queries], both.vectors[keys], both.sessions))
        except DataError as err:
            notes.append(f"{queries} ~ {keys}: {err}")
    return made, notes


def typical_session(scores: Sequence[Score], panel: Panel = WHOLE) -> str | None:
    """The session that most methods are scored on; of several, where the first method's R² is its median."""
    shown = [s for s in scores if panel.shows(s.session) and np.isfinite(s.r2)]
    if not shown:
        return None
    methods = {session: {s.method for s in shown if s.session == session} for session in {s.session for s in shown}}
    most = max(map(len, methods.values()))
    first = [s for s in shown if s.method == shown[0].method and len(methods[s.session]) == most]
    first = first or [s for s in shown if len(methods[s.session]) == most]
    return sorted(first, key=lambda s: (s.r2, s.session))[len(first) // 2].session


def decoded_behavior(session: str, scores: Sequence[Score], runs: RunsFolder) -> dict[str, tuple[Sequences, float]]:
    """Method -> what it decoded of the session with its lowest seed, and its R² there."""
    own = sorted((s for s in scores if s.session == session), key=lambda s: s.seed or 0, reverse=True)
    first = {s.method: s for s in own}
    order = dict.fromkeys(s.method for s in scores)
    return {m: (read_sequences(runs.job_folder(first[m].job)), first[m].r2) for m in order if m in first}

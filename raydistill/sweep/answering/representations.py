"""The scored segments of a sweep's methods, for the similarity of latents and the figures of latents and behavior."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.alignment import Alignment, align
from raydistill.evaluation.scored_segments import ScoredSegments, read_segments
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import WHOLE, Panel
from raydistill.sweep.config.methods import pairs
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.runs_folder import RunsFolder


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedSegments:
    """N segments that several methods represent; row n is the same segment for every method."""

    vectors: dict[str, np.ndarray]
    """Method -> (N, D) mean latents."""
    sessions: np.ndarray
    """(N,) session of each segment."""
    subjects: np.ndarray
    """(N,) subject of each segment."""


def shared_segments(
    methods: Sequence[str], scores: Sequence[Score], runs: RunsFolder, panel: Panel = WHOLE
) -> SharedSegments:
    """The segments on which all of these methods are scored, represented by each method's model of the first draw and
    the lowest seed.

    Raises:
        DataError: the methods have no scored segment in common.
    """
    of_panel = [s for s in scores if panel.shows(s.session)]
    segments = {method: _lowest_seeds(method, of_panel, runs) for method in methods}
    subjects = {s.session: s.subject for s in of_panel}
    vectors: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    sessions: list[str] = []
    for session in sorted(set.intersection(*(set(of_method) for of_method in segments.values()))):
        row_of = {
            method: {number: row for row, number in enumerate(of_method[session].numbers.tolist())}
            for method, of_method in segments.items()
        }
        numbers = sorted(set.intersection(*(set(rows) for rows in row_of.values())))
        for method, of_method in segments.items():
            vectors[method].append(of_method[session].vectors[[row_of[method][n] for n in numbers]])
        sessions += [session] * len(numbers)
    if not sessions:
        raise DataError(f"{' and '.join(methods)} have no scored segment in common")
    return SharedSegments(
        vectors={method: np.concatenate(of_sessions) for method, of_sessions in vectors.items()},
        sessions=np.array(sessions),
        subjects=np.array([subjects[session] for session in sessions]),
    )


def _lowest_seeds(method: str, scores: Sequence[Score], runs: RunsFolder) -> dict[str, ScoredSegments]:
    """Session -> the scored segments of the method's model of the first draw and lowest seed on this session."""
    of_method = [s for s in scores if s.method == method]
    lowest = {s.session: s for s in sorted(of_method, key=lambda s: (s.draw, s.seed or 0), reverse=True)}
    return {session: read_segments(runs.job_folder(s.job)) for session, s in lowest.items()}


def alignments(sweep: SweepConfig, scores: Sequence[Score], runs: RunsFolder) -> tuple[list[Alignment], list[str]]:
    """The comparison of latents for each line of `align`, and a note for each that could not be computed."""
    alignments: list[Alignment] = []
    notes = []
    for queries, keys in pairs(sweep.align, "align", sign="~"):
        try:
            shared = shared_segments((queries, keys), scores, runs)
            alignments.append(align(queries, keys, shared.vectors[queries], shared.vectors[keys], shared.sessions))
        except DataError as err:
            notes.append(f"{queries} ~ {keys}: {err}")
    return alignments, notes


def typical_session(scores: Sequence[Score], panel: Panel = WHOLE) -> str | None:
    """The session on which most methods are scored; of several, the one with the median R² of the first method.

    None if there is no finite score.
    """
    finite = [s for s in scores if panel.shows(s.session) and np.isfinite(s.value)]
    if not finite:
        return None
    methods: dict[str, set[str]] = defaultdict(set)
    for s in finite:
        methods[s.session].add(s.method)
    most = max(map(len, methods.values()))
    candidates = [s for s in finite if s.method == finite[0].method and len(methods[s.session]) == most]
    candidates = candidates or [s for s in finite if len(methods[s.session]) == most]
    return sorted(candidates, key=lambda s: (s.value, s.session))[len(candidates) // 2].session


def typical_scores(session: str, scores: Sequence[Score]) -> dict[str, Score]:
    """Method -> of its scores on one session, one whose R² is nearest to their mean; of two, that of the lower seed.

    All are of one draw of the folds, so that they have the same segments: the first that every method has.
    """
    of_method: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        if score.session == session and np.isfinite(score.value):
            of_method[score.method].append(score)
    draws = set.intersection(*({s.draw for s in found} for found in of_method.values())) if of_method else set()
    typical = {}
    for method, found in of_method.items() if draws else ():
        mean = np.mean([score.value for score in found])
        of_draw = [score for score in found if score.draw == min(draws)]
        # Rounded, because two seeds are equally far from their mean.
        typical[method] = min(of_draw, key=lambda s: (round(abs(s.value - mean), 9), s.seed or 0))
    return typical

"""The segments that methods have in common, and the typical session."""

from dataclasses import replace

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.scored_segments import ScoredSegments, write_segments
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.representations import shared_segments, typical_scores, typical_session
from raydistill.sweep.planning.runs_folder import RunsFolder


def keep(runs, job, numbers, offset=0.0):
    vectors = np.array([[n + offset, 1.0] for n in numbers], np.float32)
    nothing = np.zeros((1, 1), np.float32)
    segments = ScoredSegments(
        bin_width_ms=20.0, numbers=np.array(numbers), vectors=vectors, bins=np.ones(1), true=nothing, decoded=nothing
    )
    folder = RunsFolder(runs).job_folder(job)
    folder.mkdir(parents=True)
    write_segments(segments, folder)


def score(method, session, seed=0, r2=0.5):
    return Score(method, session, session[0], seed, r2, f"{method}-{session}-{seed}", {"vx": r2})


@pytest.fixture
def scores(tmp_path):
    """Two methods on two sessions; the student has a second seed, and one more segment."""
    made = [score("teacher", "A1"), score("teacher", "B1"), score("student", "A1", 0), score("student", "A1", 1)]
    made.append(score("student", "B1"))
    for s in made:
        keep(tmp_path, s.job, [2, 5, 7] if s.method == "student" else [5, 2], offset=10.0 * s.seed)
    return made


def test_shared_segments_are_those_of_both_methods_in_one_order(scores, tmp_path):
    both = shared_segments(("teacher", "student"), scores, RunsFolder(tmp_path))
    assert both.sessions.tolist() == ["A1", "A1", "B1", "B1"] and both.subjects.tolist() == ["A", "A", "B", "B"]
    np.testing.assert_array_equal(both.vectors["teacher"], both.vectors["student"])  # both of the lowest seed
    assert both.vectors["student"][:, 0].tolist() == [2, 5, 2, 5]


def test_shared_segments_without_any_in_common_raise_an_error(scores, tmp_path):
    with pytest.raises(DataError, match="teacher and student have no scored segment in common"):
        shared_segments(("teacher", "student"), scores, RunsFolder(tmp_path), Panel(sessions=frozenset({"C1"})))


def test_typical_session_is_the_median_of_the_first_method_where_most_methods_are_scored():
    scores = [score("teacher", f"A{i}", r2=r2) for i, r2 in enumerate((0.1, 0.9, 0.5, 0.3))]
    scores += [score("student", f"A{i}") for i in (0, 1, 2)]
    assert typical_session(scores) == "A2"
    assert typical_session(scores, Panel(sessions=frozenset({"A0"}))) == "A0"
    assert typical_session([replace(scores[0], value=float("nan"))]) is None


def test_typical_score_is_that_of_the_seed_nearest_to_the_mean_of_its_session():
    scores = [score("student", "A1", seed, r2) for seed, r2 in enumerate((0.1, 0.5, 0.42, float("nan")))]
    scores += [score("teacher", "A1", seed, r2) for seed, r2 in enumerate((0.8, 0.6))]  # equally near: the lower seed
    scores += [score("teacher", "B1", 2, 0.7)]
    found = typical_scores("A1", scores)
    assert {method: (s.seed, s.value) for method, s in found.items()} == {"student": (2, 0.42), "teacher": (0, 0.8)}


def test_typical_scores_are_of_one_draw_of_the_folds():
    scores = [replace(score("student", "A1", seed, r2), draw=2) for seed, r2 in enumerate((0.1, 0.3))]
    scores += [score("student", "A1", 0, 0.2), replace(score("teacher", "A1", 1, 0.9), draw=2)]
    found = typical_scores("A1", scores)
    assert {method: (s.draw, s.seed) for method, s in found.items()} == {"student": (2, 0), "teacher": (2, 1)}
    assert typical_scores("A1", [scores[2], scores[3]]) == {} and typical_scores("B1", scores) == {}

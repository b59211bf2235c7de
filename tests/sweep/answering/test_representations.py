"""The sequences that methods have in common, and the session that stands for all."""

from dataclasses import replace

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sequences import Sequences, write_sequences
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.representations import decoded_behavior, represented, typical_session
from raydistill.sweep.planning.runs_folder import RunsFolder


def keep(runs, job, numbers, offset=0.0):
    vectors = np.array([[n + offset, 1.0] for n in numbers], np.float32)
    nothing = np.zeros((1, 1), np.float32)
    found = Sequences(
        bin_width_ms=20.0, numbers=np.array(numbers), vectors=vectors, bins=np.ones(1), true=nothing, decoded=nothing
    )
    folder = RunsFolder(runs).job_folder(job)
    folder.mkdir(parents=True)
    write_sequences(found, folder)


def score(method, session, seed=0, r2=0.5):
    return Score(method, session, session[0], seed, r2, f"{method}-{session}-{seed}", {"vx": r2})


@pytest.fixture
def scores(tmp_path):
    """Two methods on two sessions; the student has another seed besides, and has seen one sequence more."""
    made = [score("teacher", "A1"), score("teacher", "B1"), score("student", "A1", 0), score("student", "A1", 1)]
    made.append(score("student", "B1"))
    for s in made:
        keep(tmp_path, s.job, [2, 5, 7] if s.method == "student" else [5, 2], offset=10.0 * s.seed)
    return made


def test_methods_are_represented_by_the_sequences_that_both_have_row_by_row(scores, tmp_path):
    both = represented(("teacher", "student"), scores, RunsFolder(tmp_path))
    assert both.sessions.tolist() == ["A1", "A1", "B1", "B1"] and both.subjects.tolist() == ["A", "A", "B", "B"]
    np.testing.assert_array_equal(both.vectors["teacher"], both.vectors["student"])  # of the lowest seed, in one order
    assert both.vectors["student"][:, 0].tolist() == [2, 5, 2, 5]


def test_methods_without_a_sequence_in_common_are_refused(scores, tmp_path):
    with pytest.raises(DataError, match="teacher and student have no scored sequence in common"):
        represented(("teacher", "student"), scores, RunsFolder(tmp_path), Panel(sessions=frozenset({"C1"})))


def test_typical_session_is_the_median_of_the_first_method_where_most_methods_are_scored():
    scores = [score("teacher", f"A{i}", r2=r2) for i, r2 in enumerate((0.1, 0.9, 0.5, 0.3))]
    scores += [score("student", f"A{i}") for i in (0, 1, 2)]
    assert typical_session(scores) == "A2"
    assert typical_session(scores, Panel(sessions=frozenset({"A0"}))) == "A0"
    assert typical_session([replace(scores[0], r2=float("nan"))]) is None


def test_decoded_behavior_is_that_of_the_lowest_seed_of_every_method(scores, tmp_path):
    found = decoded_behavior("A1", scores, RunsFolder(tmp_path))
    assert list(found) == ["teacher", "student"] and found["student"][0].vectors[0, 0] == 2

"""Scores that say little are named: few data, and R² far below 0."""

import pytest

from raydistill.evaluation.flags import flags_of, in_words
from raydistill.evaluation.scores import Score


def score(session, r2=0.3, n_segments=40, seconds=80.0, method="Ridge", seed=None):
    return Score(method, session, "A", seed, r2, "key", n_segments=n_segments, seconds=seconds)


@pytest.mark.parametrize(("n_segments", "seconds", "few"), [(20, 30.0, 0), (19, 300.0, 1), (200, 29.9, 1)])
def test_session_with_few_segments_or_seconds_is_flagged_once(n_segments, seconds, few):
    scores = [score("a", n_segments=n_segments, seconds=seconds, method=method) for method in ("A", "B")]
    assert [f.kind for f in flags_of(scores)] == ["few_data"] * few


def test_r2_below_minus_one_is_flagged_for_each_method_and_session_lowest_first():
    scores = [score("a", -1.5), score("b", -31.2), score("a", -2.0, seed=1), score("c", -1.0), score("d", float("nan"))]
    assert [(f.session, f.r2) for f in flags_of(scores)] == [("b", -31.2), ("a", -2.0)]
    (line,) = in_words(flags_of(scores))
    assert line == "R² below -1: Ridge in b (-31.2), Ridge in a (-2.0); such a score rules a mean, so read the median"


def test_flags_in_words_name_a_few_sessions_and_count_the_others():
    (line,) = in_words(flags_of([score(f"s{i}", n_segments=10, seconds=25.0) for i in range(7)]))
    assert "few scored data in s0 (10 segments, 25 s), s1" in line and "s3 (10 segments, 25 s) and 3 more:" in line


def test_scores_of_earlier_jobs_without_counts_are_not_flagged():
    assert flags_of([score("a", n_segments=None, seconds=None)]) == [] and in_words([]) == []

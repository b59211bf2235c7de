import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raydistill.errors import DataError
from raydistill.evaluation.comparisons import compare, compare_all
from raydistill.evaluation.scores import Score
from raydistill.evaluation.statistics import holm, wilcoxon_greater
from raydistill.papers.targets import Panel


def _with_deficit(n, lost):
    """n distinct differences, positive but for the one of rank `lost`."""
    d = np.arange(1.0, n + 1)
    if lost:
        d[lost - 1] *= -1
    return d


@pytest.mark.parametrize(
    ("n", "lost", "p", "method"),
    [
        (51, 0, 2.573e-10, "approximate"),
        (51, 1, 2.73e-10, "approximate"),
        (51, 2, 2.90e-10, "approximate"),
        (51, 3, 3.08e-10, "approximate"),
        (48, 0, 3.553e-15, "exact"),
        (17, 0, 7.6e-6, "exact"),
        (226, 0, 3.9e-39, "approximate"),
    ],
)
def test_wilcoxon_on_the_papers_sizes_gives_its_p_values(n, lost, p, method):
    found = wilcoxon_greater(_with_deficit(n, lost), np.zeros(n))
    assert found.p == pytest.approx(p, rel=5e-3)
    assert found.p_method == method
    assert found.statistic == n * (n + 1) / 2 - lost
    assert (found.n, found.n_zero, found.n_tie) == (n, 0, 0)


@given(st.integers(1, 80), st.integers(0, 1000), st.floats(-1, 1))
def test_wilcoxon_without_ties_equals_scipy(n, seed, shift):
    d = np.random.default_rng(seed).normal(shift, 1, n)
    method = "exact" if n <= 50 else "asymptotic"
    theirs = stats.wilcoxon(d, alternative="greater", method=method)
    ours = wilcoxon_greater(d, np.zeros(n))
    assert ours.statistic == theirs.statistic
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert 0 < ours.p <= 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=10))
def test_wilcoxon_with_ties_and_zeros_equals_the_count_over_all_signs(differences):
    d = np.array(differences, dtype=float)
    found = wilcoxon_greater(d, np.zeros(len(d)))
    ranks = stats.rankdata(np.abs(d[d != 0]))
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    assert found.p == pytest.approx(np.mean(np.array(sums) >= found.statistic - 1e-9))
    assert found.p_method == "exact" and found.n_zero == differences.count(0)


def test_wilcoxon_with_ties_beyond_fifty_equals_scipy():
    d = np.random.default_rng(0).integers(-3, 6, size=90).astype(float)
    found = wilcoxon_greater(d, np.zeros(90))
    theirs = stats.wilcoxon(d, alternative="greater", method="asymptotic")
    assert (found.statistic, found.p_method) == (theirs.statistic, "approximate")
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.n_tie == np.count_nonzero(d) and found.n_zero == np.sum(d == 0)


def test_wilcoxon_with_one_tie_stays_exact():
    d = np.arange(1.0, 49.0)
    d[1] = d[0]
    assert wilcoxon_greater(d, np.zeros(48)).p == 2.0**-48


def test_wilcoxon_of_equal_scores_gives_one():
    found = wilcoxon_greater([0.4, 0.5], [0.4, 0.5])
    assert (found.p, found.p_method, found.n_zero, found.statistic) == (1.0, "exact", 2, 0.0)


def test_wilcoxon_takes_differences_of_rounding_as_ties():
    found = wilcoxon_greater([0.7, 0.8, 0.5], [0.6, 0.7, 0.5 + 1e-16])
    assert (found.n_tie, found.n_zero) == (2, 1)


def test_wilcoxon_effect_size_spans_minus_one_to_one():
    ones, zeros = np.arange(1.0, 9.0), np.zeros(8)
    assert wilcoxon_greater(ones, zeros).effect_size == 1
    assert wilcoxon_greater(zeros, ones).effect_size == -1


def test_holm_on_a_known_family_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, float("nan"), 0.6]) == pytest.approx([1.0, float("nan"), 1.0], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_order_and_never_lowers_a_p_value(ps):
    corrected = holm(ps)
    assert all(p <= q <= min(1.0, len(ps) * p) + 1e-12 for p, q in zip(ps, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(ps)] == sorted(corrected)


def _scores(method, values, seeds=(0, 1, 2)):
    """Scores of sessions s0, s1, ... by rows and of seeds by columns; None where there is no score."""
    return [
        Score(method, f"s{i}", "A", seed, value, "job")
        for i, row in enumerate(values)
        for seed, value in zip(seeds, row, strict=True)
        if value is not None
    ]


def test_compare_pairs_by_session_and_seed():
    rng = np.random.default_rng(0)
    worse = rng.uniform(0.2, 0.4, (17, 3))
    better = worse + np.linspace(0.1, 0.3, 51).reshape(17, 3)
    scores = _scores("new", better) + _scores("old", worse)
    found = compare("new", "old", scores[::-1])
    assert (found.test.n, found.wins, found.losses, found.missing) == (51, 51, 0, ())
    assert found.test.p == pytest.approx(2.573e-10, rel=1e-3)
    assert found.session_level.n == 17 and found.session_level.p == pytest.approx(2.0**-17)
    assert found.mean_difference == pytest.approx(0.2)
    assert 0.1 < found.ci_low < 0.2 < found.ci_high < 0.3
    back = compare("old", "new", scores)
    assert back.mean_difference == pytest.approx(-0.2) and back.test.p > 0.999


def test_compare_with_scores_missing_names_them():
    scores = _scores("new", [[0.5, 0.6], [0.7, None]], (0, 1)) + _scores(
        "old", [[0.4, float("nan")], [0.3, 0.2]], (0, 1)
    )
    found = compare("new", "old", scores)
    assert [p[:2] for p in found.pairs] == [("s0", 0), ("s1", 0)]
    assert set(found.missing) == {("old", "s0", 1), ("new", "s1", 1)}


def test_compare_over_draws_of_the_folds_pairs_their_means():
    scores = [
        Score(method, "s0", "s", seed, r2, "", draw=draw)
        for method, of_method in {
            "new": [(0, 1, 0.5), (0, 2, 0.7), (1, 1, 0.4), (1, 2, 0.2)],
            "old": [(0, 1, 0.1), (0, 2, 0.5), (1, 1, 0.3)],
        }.items()
        for seed, draw, r2 in of_method
    ]
    comparison = compare("new", "old", scores)
    assert comparison.pairs == (("s0", 0, pytest.approx(0.6), pytest.approx(0.3)), ("s0", 1, 0.4, 0.3))
    assert comparison.missing == (("old", "s0", 1),) and comparison.test.n == 2
    assert comparison.session_level.n == 1 and comparison.mean_difference == pytest.approx(0.2)


def test_compare_with_a_baseline_pairs_it_with_every_seed():
    found = compare(
        "new", "ridge", _scores("new", [[0.5, 0.6], [0.7, 0.8]], (0, 1)) + _scores("ridge", [[0.4], [0.3]], (None,))
    )
    assert [p[3] for p in found.pairs] == [0.4, 0.4, 0.3, 0.3] and found.test.n == 4


def test_compare_of_a_fit_with_a_baseline_pairs_them_by_session_because_neither_has_seeds():
    found = compare("fit", "ridge", _scores("fit", [[0.5], [0.7]], (None,)) + _scores("ridge", [[0.4], [0.3]], (None,)))
    assert found.pairs == (("s0", None, 0.5, 0.4), ("s1", None, 0.7, 0.3)) and found.missing == ()
    assert found.test.n == found.session_level.n == 2 and found.mean_difference == pytest.approx(0.25)


def test_compare_of_methods_without_a_common_pair_has_no_p_value():
    found = compare("new", "old", _scores("new", [[0.5]], (0,)))
    assert found.test.n == 0 and np.isnan(found.test.p) and found.test.p_method == "none"
    assert found.missing == (("old", "s0", 0),)


def test_compare_with_two_scores_of_one_job_is_refused():
    with pytest.raises(DataError, match="two scores for session s0, seed 0"):
        compare("new", "old", _scores("new", [[0.5]], (0,)) * 2)


def test_compare_all_corrects_over_the_comparisons():
    rng = np.random.default_rng(1)
    scores = [
        s for m, shift in (("a", 0.2), ("b", 0.1), ("c", 0)) for s in _scores(m, rng.normal(shift, 0.1, (10, 1)), (0,))
    ]
    found = compare_all([Panel(pairs=(("a", "c"), ("b", "c"), ("a", "missing")))], scores)
    assert [c.p_holm for c in found[:2]] == pytest.approx(holm([c.test.p for c in found[:2]]))
    assert np.isnan(found[2].p_holm)

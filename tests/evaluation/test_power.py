"""What a number of sessions can show."""

import numpy as np
import pytest

from raydistill.evaluation.power import sessions_needed, smallest_p
from raydistill.evaluation.statistics import null_tail, wilcoxon_greater


@pytest.mark.parametrize("n", [1, 3, 4, 5, 12])
def test_smallest_p_is_that_of_a_gain_in_every_session(n):
    assert smallest_p(n) == wilcoxon_greater(np.arange(1, n + 1), np.zeros(n)).p == pytest.approx(null_tail(n)[-1])


def test_null_tail_is_the_p_of_the_signed_rank_test():
    d = np.array([3.0, -1.0, 2.5, 0.5, -0.2, 4.0])
    test = wilcoxon_greater(d, np.zeros(6))
    assert null_tail(6)[round(test.statistic)] == pytest.approx(test.p)


def test_sure_gain_needs_five_sessions():
    assert sessions_needed([0.1, 0.1001, 0.0999, 0.1]) == 5


def test_gain_of_half_its_spread_needs_as_many_sessions_as_theory_says():
    """A t-test needs about 26 (one-sided, d = 0.5, 80 %); the signed-rank test is 0.955 times as efficient."""
    gains = np.array([-1.0, 1.0, 0.0]) / np.std([-1.0, 1.0, 0.0], ddof=1) + 0.5
    assert gains.mean() == pytest.approx(0.5) and 25 <= sessions_needed(gains) <= 31


@pytest.mark.parametrize("gains", [[0.1, 0.2], [-0.1, -0.2, -0.05], [-1.0, 1.0, 0.001]])
def test_number_of_sessions_is_unknown_for_few_sessions_no_gain_or_a_tiny_one(gains):
    assert sessions_needed(gains) is None

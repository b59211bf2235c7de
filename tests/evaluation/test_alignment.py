"""Retrieval and CKA: the identities that they must hold, chance, and the formulas written out in full."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation import alignment
from raydistill.evaluation.alignment import align, linear_cka, retrieval


@pytest.fixture
def chance():
    return np.random.default_rng(0)


def test_retrieval_of_the_same_vectors_is_perfect(chance):
    x = chance.normal(size=(50, 8))
    found = retrieval(x, 3 * x)  # by cosine: lengths do not matter
    assert (found.top1, found.top5, found.mean_rank) == (1, 1, 1)
    assert (found.chance_top1, found.chance_top5, found.chance_mean_rank) == pytest.approx((0.02, 0.1, 25.5))


def test_retrieval_of_unrelated_vectors_is_at_chance(chance):
    found = retrieval(chance.normal(size=(2000, 8)), chance.normal(size=(2000, 8)))
    assert found.mean_rank == pytest.approx(found.chance_mean_rank, rel=0.05)
    assert found.top5 < 5 * found.chance_top5


def test_retrieval_counts_equal_keys_at_their_mean_rank():
    keys = np.array([[1.0, 0], [1, 0], [0, 1]])
    found = retrieval(keys, keys)
    assert found.mean_rank == pytest.approx((1.5 + 1.5 + 1) / 3) and found.top1 == pytest.approx(1 / 3)


def test_retrieval_within_groups_ranks_the_keys_of_the_own_group_alone():
    keys = np.array([[1.0, 0], [0, 1], [1, 0.01], [0.01, 1]])
    queries = keys[[2, 3, 0, 1]]  # each is nearest to a key of the other group
    assert retrieval(queries, keys).mean_rank == 2
    within = retrieval(queries, keys, np.array(["a", "a", "b", "b"]))
    assert within.mean_rank == 1 and within.chance_mean_rank == 1.5


def test_retrieval_in_blocks_is_the_same(chance, monkeypatch):
    queries, keys = chance.normal(size=(2, 100, 4))
    whole = retrieval(queries, keys)
    monkeypatch.setattr(alignment, "BLOCK_NUMBERS", 700)
    assert retrieval(queries, keys) == whole


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((3, 2), np.nan)])
def test_retrieval_of_vectors_without_direction_is_refused(bad):
    with pytest.raises(DataError, match="some of the keys are zero"):
        retrieval(np.ones((3, 2)), bad)


def test_cka_is_one_for_the_same_up_to_rotation_shift_and_scale(chance):
    x = chance.normal(size=(300, 6))
    rotation, _ = np.linalg.qr(chance.normal(size=(6, 6)))
    found = linear_cka(x, 10 * x @ rotation + 5)
    assert found.cka == pytest.approx(1, abs=1e-12) and found.debiased == pytest.approx(1, abs=1e-12)


def test_cka_of_unrelated_gaussians_is_as_large_as_they_are_wide(chance):
    n, d = 3013, 256  # of the paper's Table 1
    found = linear_cka(chance.normal(size=(n, d)), chance.normal(size=(n, d)))
    assert found.cka == pytest.approx(d / (n + d), abs=0.002)
    assert found.random == pytest.approx(d / (n + d), abs=0.002)
    assert abs(found.debiased) < 0.005


def test_cka_of_noise_does_not_depend_on_the_queries(chance):
    x = chance.normal(size=(200, 6))
    same, other = linear_cka(x, x), linear_cka(chance.normal(size=(200, 6)), x)
    assert same.random == other.random < 0.1 and same.cka == pytest.approx(1)


def test_printed_cka_falls_with_the_fourth_power_of_scale(chance):
    x, y = chance.normal(size=(2, 100, 5))
    plain, scaled = linear_cka(x, y), linear_cka(10 * x, y)
    assert scaled.printed == pytest.approx(plain.printed * 1e-2, rel=1e-9)  # one side: 10^2 above, 10^4 below
    both = linear_cka(10 * x, 10 * x)
    assert both.printed == pytest.approx(linear_cka(x, x).printed * 1e-4, rel=1e-9)
    assert scaled.cka == pytest.approx(plain.cka, rel=1e-9)


def test_cka_in_blocks_equals_its_definition_over_gram_matrices(chance, monkeypatch):
    monkeypatch.setattr(alignment, "ROWS", 17)
    n = 60
    x, y = chance.normal(size=(n, 5)) + 3, chance.normal(size=(n, 7))
    y[:, :5] += x
    centred = [each - each.mean(axis=0) for each in (x, y)]
    gram_x, gram_y = (each @ each.T for each in centred)
    inner = lambda a, b: np.trace(a @ b)  # noqa: E731
    expected = inner(gram_x, gram_y) / np.sqrt(inner(gram_x, gram_x) * inner(gram_y, gram_y))
    found = linear_cka(x, y)
    assert found.cka == pytest.approx(expected, rel=1e-12)

    def hsic(a, b):  # Song et al. 2012, Eq. 5, on the raw Gram matrices
        a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        ones = np.ones(n)
        spread = (ones @ a @ ones) * (ones @ b @ ones) / ((n - 1) * (n - 2))
        return (np.trace(a @ b) + spread - 2 / (n - 2) * (ones @ a @ b @ ones)) / (n * (n - 3))

    raw_x, raw_y = x @ x.T, y @ y.T
    expected = hsic(raw_x, raw_y) / np.sqrt(hsic(raw_x, raw_x) * hsic(raw_y, raw_y))
    assert found.debiased == pytest.approx(expected, rel=1e-9)


def test_cka_of_a_representation_that_never_varies_is_refused():
    with pytest.raises(DataError, match="the same for all segments"):
        linear_cka(np.ones((10, 3)), np.arange(30.0).reshape(10, 3))


def test_alignment_tells_sessions_apart(chance):
    x = chance.normal(size=(40, 6))
    found = align("A", "B", x, x, np.repeat(["s", "t"], 20))
    assert (found.sessions, found.overall.mean_rank, found.within.chance_mean_rank) == (2, 1, 10.5)
    assert set(found.to_json()) == {"queries", "keys", "sessions", "overall", "within", "cka"}

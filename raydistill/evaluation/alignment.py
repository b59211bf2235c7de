"""How alike two models represent the same sequences: retrieval of each other's (spec D2) and linear CKA (spec D3).

Axes: N sequences, one vector each (the mean of its latents over time); D and E features of the two models.
Everything goes in blocks of rows: memory grows with N, never with N x N.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from raydistill.errors import DataError

BLOCK_NUMBERS = 1 << 25  # of one block of similarities: 128 MB in float32
ROWS = 8192  # taken to float64 at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """How well a query finds its own sequence among the keys of the other model, by cosine."""

    n: int
    top1: float
    """Share of queries whose own key is the nearest; ties count at their mean rank."""
    top5: float
    mean_rank: float
    """1: all find their own."""
    chance_top1: float
    chance_top5: float
    chance_mean_rank: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cka:
    """Linear CKA of two representations of the same sequences."""

    cka: float
    """Of centred columns (Kornblith et al. 2019): 1 for the same up to rotation, shift and scale. Of independent
    Gaussian features it is about D / (N + D), not 0."""
    debiased: float
    """With the unbiased estimate of HSIC (Song et al. 2012): about 0 for independent features, whatever N is."""
    printed: float
    """By the formula as the paper prints it (Eq. 2), whose norms are squared: neither 1 for the same nor free of
    scale. For comparison only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Two methods on the sequences that both represent."""

    queries: str
    keys: str
    sessions: int
    overall: Retrieval
    """Among the sequences of all sessions, of which those of other sessions are easy to tell apart."""
    within: Retrieval
    """Among those of the query's own session."""
    cka: Cka

    def to_json(self) -> dict:
        return asdict(self)


def retrieval(queries, keys, groups=None) -> Retrieval:
    """Rank, for each query (N, D), its own key among the keys (N, D).

    Args:
        groups: (N,) session of each; given, a query ranks the keys of its own group alone.
    Raises:
        DataError: fewer than two sequences, widths that differ, a vector that is zero or not finite.
    """
    queries, keys = _unit_rows(queries, "queries"), _unit_rows(keys, "keys")
    if queries.shape != keys.shape:
        raise DataError(f"retrieval compares vectors of one width and number, got {queries.shape} and {keys.shape}")
    n = len(queries)
    if n < 2:
        raise DataError(f"retrieval needs two sequences or more, got {n}")
    if groups is None:
        ranks, sizes = _ranks(queries, keys), np.full(n, n)
    else:
        ranks, sizes = np.empty(n), np.empty(n, dtype=int)
        for group in np.unique(groups):
            own = np.flatnonzero(np.asarray(groups) == group)
            ranks[own], sizes[own] = _ranks(queries[own], keys[own]), len(own)
    return Retrieval(
        n=n,
        top1=float(np.mean(ranks <= 1)),
        top5=float(np.mean(ranks <= 5)),
        mean_rank=float(ranks.mean()),
        chance_top1=float(np.mean(1 / sizes)),
        chance_top5=float(np.mean(np.minimum(5 / sizes, 1))),
        chance_mean_rank=float(np.mean((sizes + 1) / 2)),
    )


def _ranks(queries, keys):
    """(N,) 1 + the number of keys nearer than the own one, those as near counted half."""
    n, block = len(queries), max(1, BLOCK_NUMBERS // len(queries))
    ranks = np.empty(n)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        alike = queries[rows] @ keys.T  # (block, D) @ (D, N) -> (block, N)
        own = alike[np.arange(len(alike)), np.arange(n)[rows]][:, None]  # from the same product: compared exactly
        ranks[rows] = 1 + (alike > own).sum(axis=1) + ((alike == own).sum(axis=1) - 1) / 2
    return ranks


def _unit_rows(x, name):
    x = np.asarray(x, dtype=np.float32)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if not np.isfinite(norm).all() or not norm.all():
        raise DataError(f"retrieval by cosine needs finite vectors with a length, and some of the {name} have none")
    return x / norm


def linear_cka(x, y) -> Cka:
    """CKA of x (N, D) and y (N, E), row by row the same sequence.

    Raises:
        DataError: fewer than four sequences, or one of the two never varies.
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or len(x) < 4:
        raise DataError(f"CKA needs the same four sequences or more of both models, got {len(x)} and {len(y)}")
    moments = _Moments(x, y)
    xx, yy, xy = moments.squared_norms()
    if not xx or not yy:
        raise DataError("CKA is not defined where a representation is the same for all sequences")
    hsic_xx, hsic_yy, hsic_xy = moments.unbiased_hsic()
    return Cka(
        cka=xy / np.sqrt(xx * yy),
        # An unbiased estimate may be negative, of a representation that hardly varies too.
        debiased=hsic_xy / np.sqrt(hsic_xx * hsic_yy) if hsic_xx > 0 and hsic_yy > 0 else float("nan"),
        printed=xy / (xx * yy),
    )


class _Moments:
    """The sums over sequences that every form of CKA is made of, in float64, and no Gram matrix of N x N.

    With x and y centred, K = x x' and L = y y' are the Gram matrices: tr(K L) = |x'y|^2, and all that their diagonals
    add is known from the squared lengths of the rows.
    """

    def __init__(self, x, y):
        self.n = len(x)
        self.xx = self.yy = self.xy = 0.0
        lengths = []
        for a, b in zip(_centred(x), _centred(y), strict=True):
            self.xx, self.yy, self.xy = self.xx + a.T @ a, self.yy + b.T @ b, self.xy + a.T @ b
            lengths.append(((a**2).sum(axis=1), (b**2).sum(axis=1)))
        self.k, self.l = (np.concatenate(each) for each in zip(*lengths, strict=True))  # (N,) diagonals of K and L

    def squared_norms(self) -> tuple[float, float, float]:
        """|x'x|, |y'y| (Frobenius) and |x'y| squared: CKA is the last over the root of the others' product."""
        return tuple(float((m**2).sum()) for m in (self.xx, self.yy, self.xy))

    def unbiased_hsic(self) -> tuple[float, float, float]:
        """Of x with itself, y with itself, x with y (Song et al. 2012, Eq. 5)."""
        xx, yy, xy = self.squared_norms()
        return (
            _unbiased_hsic(self.n, xx, self.k, self.k),
            _unbiased_hsic(self.n, yy, self.l, self.l),
            _unbiased_hsic(self.n, xy, self.k, self.l),
        )


def _unbiased_hsic(n: int, norm: float, k, other) -> float:
    """From tr(K L) = `norm` and the diagonals of K and L; as rows of the centred K and L sum to zero, a row without its
    diagonal sums to minus that."""
    trace = norm - k @ other
    ones = k.sum() * other.sum() / ((n - 1) * (n - 2))
    return float((trace + ones - 2 / (n - 2) * (k @ other)) / (n * (n - 3)))


def _centred(x) -> Iterator[np.ndarray]:
    """x (N, D) less its mean, some rows at a time, in float64."""
    blocks = [x[i : i + ROWS] for i in range(0, len(x), ROWS)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(x)
    return (block.astype(np.float64) - mean for block in blocks)


def align(queries: str, keys: str, a, b, sessions) -> Alignment:
    """Everything at once, of the vectors a (N, D) and b (N, D) of two methods and the session (N,) of each."""
    return Alignment(
        queries=queries,
        keys=keys,
        sessions=len(np.unique(sessions)),
        overall=retrieval(a, b),
        within=retrieval(a, b, sessions),
        cka=linear_cka(a, b),
    )

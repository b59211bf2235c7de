"""How similarly two models represent the same segments: retrieval across models, and linear CKA.

See docs/methods.md, Representations. Rows are processed in blocks, so memory grows with N and never with N x N.

Axes: N segments, each one vector (the mean of its latents over time); D and E features of the two models.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from raydistill.errors import DataError

BLOCK_NUMBERS = 1 << 25  # similarities computed at once: 128 MB in float32
ROWS = 8192  # rows converted to float64 at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """How often the nearest key (vector of one model) to a query (vector of another model) is the same segment."""

    n: int
    """Queries."""
    top1: float
    """Share of queries whose matching key is the nearest; tied keys share their mean rank."""
    top5: float
    """Share of queries whose matching key is among the five nearest."""
    mean_rank: float
    """Mean rank of the matching key; 1 if it is the nearest for every query."""
    chance_top1: float
    chance_top5: float
    chance_mean_rank: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cka:
    """Linear CKA of two representations of the same segments."""

    cka: float
    """Of centred columns (Kornblith et al. 2019): 1 for representations that are equal up to rotation, shift and scale.
    Independent Gaussian features have about D / (N + D), not 0."""
    debiased: float
    """With the unbiased estimate of HSIC (Song et al. 2012): about 0 for independent features of any N."""
    random: float
    """CKA of the second representation with Gaussian noise of the first one's size: what no similarity at all gives."""
    printed: float
    """By the formula as it is printed (paper, Eq. 2). Its norms are squared, so it depends on scale and is not 1 for
    equal representations; for comparison only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Two methods, compared on the segments that both represent."""

    queries: str
    """Method whose vectors are the queries."""
    keys: str
    sessions: int
    """Number of sessions that the segments come from."""
    overall: Retrieval
    """Among the segments of all sessions; segments of other sessions are easy to tell apart."""
    within: Retrieval
    """Among the segments of the query's own session."""
    cka: Cka

    def to_json(self) -> dict:
        """What `raydistill results --json` prints for a line of `align`."""
        return asdict(self)


def retrieval(queries, keys, groups=None) -> Retrieval:
    """Rank the matching key of each query (N, D), which has the same row, among the keys (N, D).

    Args:
        groups: (N,) session of each segment; if given, a key is ranked among the keys of its session only.
    Raises:
        DataError: there are fewer than two segments, the shapes differ, or a vector is zero or not finite.
    """
    queries, keys = _unit_rows(queries, "queries"), _unit_rows(keys, "keys")
    if queries.shape != keys.shape:
        raise DataError(f"retrieval needs queries and keys of the same shape, got {queries.shape} and {keys.shape}")
    n = len(queries)
    if n < 2:
        raise DataError(f"retrieval needs at least two segments, got {n}")
    if groups is None:
        ranks, sizes = _ranks(queries, keys), np.full(n, n)
    else:
        ranks, sizes = np.empty(n), np.empty(n, dtype=int)
        for group in np.unique(groups):
            rows = np.flatnonzero(np.asarray(groups) == group)
            ranks[rows], sizes[rows] = _ranks(queries[rows], keys[rows]), len(rows)
    return Retrieval(
        n=n,
        top1=float(np.mean(ranks <= 1)),
        top5=float(np.mean(ranks <= 5)),
        mean_rank=float(ranks.mean()),
        chance_top1=float(np.mean(1 / sizes)),
        chance_top5=float(np.mean(np.minimum(5 / sizes, 1))),
        chance_mean_rank=float(np.mean((sizes + 1) / 2)),
    )


def _ranks(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N,) 1 + the number of keys that are nearer than the matching key, with tied keys counted half."""
    n, block = len(queries), max(1, BLOCK_NUMBERS // len(queries))
    ranks = np.empty(n)
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        cosines = queries[rows] @ keys.T  # (block, D) @ (D, N) -> (block, N)
        # The cosine to the matching key is taken from the same product, so that ties are equal bit for bit.
        matching = cosines[np.arange(len(cosines)), np.arange(n)[rows]][:, None]  # (block, 1)
        ranks[rows] = 1 + (cosines > matching).sum(axis=1) + ((cosines == matching).sum(axis=1) - 1) / 2
    return ranks


def _unit_rows(x, name: str) -> np.ndarray:
    """x (N, D) with rows of length 1, float32."""
    x = np.asarray(x, dtype=np.float32)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if not np.isfinite(norm).all() or not norm.all():
        raise DataError(
            f"retrieval by cosine needs finite vectors other than zero, but some of the {name} are zero or not finite"
        )
    return x / norm


def linear_cka(x, y) -> Cka:
    """CKA of x (N, D) and y (N, E), whose rows are the same segments.

    Raises:
        DataError: there are fewer than four segments, or x or y is constant.
    """
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or len(x) < 4:
        raise DataError(f"CKA needs the same segments of both models, at least four, got {len(x)} and {len(y)}")
    moments = _Moments(x, y)
    xx, yy, xy = moments.squared_norms()
    if not xx or not yy:
        raise DataError("CKA is not defined if a representation is the same for all segments")
    hsic_xx, hsic_yy, hsic_xy = moments.unbiased_hsic()
    return Cka(
        cka=xy / np.sqrt(xx * yy),
        # An unbiased estimate may be negative, for instance if a representation hardly varies.
        debiased=hsic_xy / np.sqrt(hsic_xx * hsic_yy) if hsic_xx > 0 and hsic_yy > 0 else float("nan"),
        random=_cka_of_noise(x.shape, y),
        printed=xy / (xx * yy),
    )


def _cka_of_noise(shape: tuple[int, ...], y: np.ndarray) -> float:
    noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    xx, yy, xy = _Moments(noise, y).squared_norms()
    return float(xy / np.sqrt(xx * yy))


class _Moments:
    """The sums over segments that every form of CKA needs, in float64, without a Gram matrix of N x N.

    With x and y centred, K = x x' and L = y y' are the Gram matrices: tr(K L) = |x'y|^2, and their diagonals are the
    squared lengths of the rows.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.n = len(x)
        self.xx = self.yy = self.xy = np.zeros(())
        lengths = []
        for a, b in zip(_centred(x), _centred(y), strict=True):
            self.xx, self.yy, self.xy = self.xx + a.T @ a, self.yy + b.T @ b, self.xy + a.T @ b
            lengths.append(((a**2).sum(axis=1), (b**2).sum(axis=1)))
        self.k, self.l = (np.concatenate(blocks) for blocks in zip(*lengths, strict=True))  # (N,) diagonals of K and L

    def squared_norms(self) -> tuple[float, float, float]:
        """Squared Frobenius norms of x'x, y'y and x'y; CKA is the third over the root of the product of the others."""
        xx, yy, xy = (float((m**2).sum()) for m in (self.xx, self.yy, self.xy))
        return xx, yy, xy

    def unbiased_hsic(self) -> tuple[float, float, float]:
        """HSIC of x with itself, y with itself, and x with y (Song et al. 2012, Eq. 5)."""
        xx, yy, xy = self.squared_norms()
        return (
            _unbiased_hsic(self.n, xx, self.k, self.k),
            _unbiased_hsic(self.n, yy, self.l, self.l),
            _unbiased_hsic(self.n, xy, self.k, self.l),
        )


def _unbiased_hsic(n: int, norm: float, k: np.ndarray, other: np.ndarray) -> float:
    """HSIC from tr(K L) = `norm` and the diagonals (N,) of K and L.

    Rows of the centred K and L sum to zero, so a row without its diagonal element sums to minus that element.
    """
    trace = norm - k @ other
    ones = k.sum() * other.sum() / ((n - 1) * (n - 2))
    return float((trace + ones - 2 / (n - 2) * (k @ other)) / (n * (n - 3)))


def _centred(x: np.ndarray) -> Iterator[np.ndarray]:
    """x (N, D) minus its mean, in float64 blocks of rows."""
    blocks = [x[i : i + ROWS] for i in range(0, len(x), ROWS)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(x)
    return (block.astype(np.float64) - mean for block in blocks)


def align(queries: str, keys: str, a, b, sessions) -> Alignment:
    """All measures for two methods.

    Args:
        queries, keys: names of the methods.
        a, b: vectors (N, D) of the segments, of `queries` and of `keys`.
        sessions: (N,) session of each segment.
    """
    return Alignment(
        queries=queries,
        keys=keys,
        sessions=len(np.unique(sessions)),
        overall=retrieval(a, b),
        within=retrieval(a, b, sessions),
        cka=linear_cka(a, b),
    )

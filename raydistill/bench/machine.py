"""The peak performance of this machine."""

import time
from collections.abc import Callable

import numpy as np


def copy_gb_per_s(megabytes: int = 256, repeats: int = 5) -> float:
    """Rate of copying memory that is far larger than the caches: bytes read and written, best of the repeats."""
    source = np.ones(megabytes << 17)
    target = np.zeros_like(source)
    return 2 * source.nbytes / 1e9 / _best_s(lambda: np.copyto(target, source), repeats)


def matmul_gflops(n: int = 1024, repeats: int = 5) -> float:
    """Rate of a float32 product of n x n matrices on numpy's threads, best of the repeats."""
    a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
    out = np.empty_like(a)
    return 2 * n**3 / 1e9 / _best_s(lambda: np.matmul(a, a, out=out), repeats)


def _best_s(work: Callable[[], object], repeats: int) -> float:
    def seconds():
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(seconds() for _ in range(repeats))

"""What this machine can do at best, and how much memory this process takes (Linux)."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def copy_gb_per_s(megabytes: int = 256, repeats: int = 5) -> float:
    """Of a copy of memory far larger than the caches: bytes read and bytes written, at the best of the repeats."""
    source = np.ones(megabytes << 17)
    target = np.zeros_like(source)
    return 2 * source.nbytes / 1e9 / _best_s(lambda: np.copyto(target, source), repeats)


def matmul_gflops(n: int = 1024, repeats: int = 5) -> float:
    """Of a float32 product of n x n matrices on numpy's threads, at the best of the repeats."""
    a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
    out = np.empty_like(a)
    return 2 * n**3 / 1e9 / _best_s(lambda: np.matmul(a, a, out=out), repeats)


def _best_s(work: Callable[[], object], repeats: int) -> float:
    def seconds():
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(seconds() for _ in range(repeats))


def resident_mb() -> float:
    """Memory that this process holds now."""
    return _status_mb("VmRSS")


def peak_mb() -> float:
    """The most memory that this process ever held; unlike `getrusage`, without what its parent held before it."""
    return _status_mb("VmHWM")


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))

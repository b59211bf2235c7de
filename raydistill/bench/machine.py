"""The peak performance of this machine, and how much memory this process uses."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def resident_mb() -> float:
    """Memory that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def peak_mb() -> float:
    """The most memory that this process has held.

    On Linux this is read from /proc, because `getrusage` there includes what the parent held when it forked.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(
            int(line.split()[1]) * 1024 / 1e6 for line in status.read_text().splitlines() if line.startswith("VmHWM:")
        )
    import resource  # not on Windows

    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 1e6

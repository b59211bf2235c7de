"""How much memory this process uses."""

import sys
from pathlib import Path


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

"""The number of CPU cores that this process may use."""

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Number of CPU cores that this process may use, at least 1.

    A process may be bound to some cores of the machine (`taskset`, Slurm), and a container may have a share of their
    time (`docker run --cpus`).
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(_own_cgroup(), _CGROUPS)
    return max(1, min(bound, math.ceil(quota)) if quota is not None else bound)


def cpu_quota(own: dict[str, str], mounted: Path) -> float | None:
    """Cores' worth of CPU time that a control group of Linux, or one above it, allows; None: no limit.

    Args:
        own: controller ("" for version 2) -> path of the process's group, as in /proc/self/cgroup.
        mounted: where the groups are mounted.
    """
    quotas = []
    if "" in own:
        for folder in _upwards(mounted, own[""]):
            limit, _, period = _read(folder / "cpu.max").partition(" ")
            quotas.append(_cores(limit, period))
    if "cpu" in own:
        for controller in ("cpu", "cpu,cpuacct"):
            for folder in _upwards(mounted / controller, own["cpu"]):
                quotas.append(_cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")))
    return min((quota for quota in quotas if quota is not None), default=None)


def _own_cgroup() -> dict[str, str]:
    """Controller -> the group of this process; {} on a system without control groups."""
    lines = [line.split(":", 2) for line in _read(Path("/proc/self/cgroup")).splitlines()]
    return {controller: group for _, controllers, group in lines for controller in controllers.split(",")}


def _upwards(mounted: Path, group: str) -> list[Path]:
    """The folder of a group and those above it. In a container, the group's own path may not be mounted."""
    folder = mounted / group.strip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(mounted))]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _cores(limit: str, period: str) -> float | None:
    """The limit of version 1 is -1, and that of version 2 is "max", if there is none."""
    return int(limit) / int(period) if limit.isdigit() and period.isdigit() and int(limit) and int(period) else None

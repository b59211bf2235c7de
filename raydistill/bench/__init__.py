"""Benchmarks: what the parts of raydistill cost on this machine, compared with the machine's peak."""

import dataclasses
import platform
from dataclasses import dataclass
from importlib.metadata import version

from raydistill import __version__


@dataclass(frozen=True, kw_only=True)
class Report:
    """Result of a benchmark; `raydistill bench WHAT --json` prints it."""

    what: str
    """Name of the benchmark."""
    device: str
    threads: int
    precision: str
    figures: dict[str, float]
    """Name, ending with the unit if there is one -> value."""
    versions: dict[str, str]

    def to_json(self) -> dict:
        """The fields as JSON data."""
        return dataclasses.asdict(self)


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of raydistill and of the packages on which a benchmark's figures depend."""
    base = {"python": platform.python_version(), "raydistill": __version__}
    return base | {name: version(name) for name in packages}

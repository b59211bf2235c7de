"""What the parts of raydistill cost on this machine, beside what the machine could do at best."""

import dataclasses
import platform
from dataclasses import dataclass
from importlib.metadata import version

from raydistill import __version__


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a benchmark found; `raydistill bench WHAT --json` prints it."""

    what: str
    device: str
    threads: int
    precision: str
    figures: dict[str, float]
    """Each name ends with its unit, where it has one."""
    versions: dict[str, str]

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def versions(*packages: str) -> dict[str, str]:
    """Of Python, of raydistill and of the packages that a benchmark's figures depend on."""
    own = {"python": platform.python_version(), "raydistill": __version__}
    return own | {name: version(name) for name in packages}

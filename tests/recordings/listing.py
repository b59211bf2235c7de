"""The variables of a file, as tests compare them."""

from pathlib import Path

from raydistill.recordings.files.nodes import Variable, listed
from raydistill.recordings.files.opening import open_file


def variables(path: Path) -> list[Variable]:
    """The variables of a file with those inside its groups and structs, without their values."""
    with open_file(path) as root:
        return listed(root)

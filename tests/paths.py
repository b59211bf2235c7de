"""Where things lie that the tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SWEEPS = ROOT / "sweeps"
EXAMPLES = ROOT / "examples"
SCREENSHOTS = ROOT / "build" / "screenshots"

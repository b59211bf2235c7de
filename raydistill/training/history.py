"""The history of a training, one line per epoch: losses in history.jsonl, durations in timing.jsonl.

Losses depend on the job alone; durations depend on the machine too.
"""

import json
from pathlib import Path

from raydistill.files import write_atomically
from raydistill.ownership import check_owner

HISTORY, TIMING = "history.jsonl", "timing.jsonl"
LATEST_S = 4e9
"""A time in unix seconds, in the year 2096, after which a file is not believed."""


def read_history(folder: Path) -> list[dict]:
    """Losses and durations of each epoch that both files contain; what follows a damaged line is left out.

    While a training writes the files, one of them may have one epoch more than the other.
    """
    losses = _lines(folder / HISTORY)
    durations = {line["epoch"]: line for line in _lines(folder / TIMING)}
    return [durations[line["epoch"]] | line for line in losses if line["epoch"] in durations]


def last_time(folder: Path) -> float | None:
    """When the last epoch of a training ended, in unix seconds; None if this is not known."""
    try:
        *_, last = (folder / TIMING).read_text().splitlines()
        time = json.loads(last)["time"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return float(time) if isinstance(time, int | float) and 0 <= time < LATEST_S else None


def cut_history(folder: Path, epochs: int) -> None:
    """Keep only the first `epochs` epochs: those after the checkpoint will be run again."""
    check_owner(folder)
    for path in (folder / HISTORY, folder / TIMING):
        remaining = [line for line in _lines(path) if line["epoch"] < epochs]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in remaining).encode())


def append_history(folder: Path, losses: dict, durations: dict) -> None:
    """Append the lines of an epoch to both files."""
    check_owner(folder)
    for path, line in ((folder / TIMING, durations), (folder / HISTORY, losses)):
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")


def _lines(path: Path) -> list[dict]:
    """The lines before the first that is damaged, each with a whole number as `epoch`."""
    lines: list[dict] = []
    try:
        texts = path.read_text().splitlines() if path.is_file() else []
        for text in texts:
            line = json.loads(text)
            if not isinstance(line, dict) or not isinstance(line.get("epoch"), int):
                break
            lines.append(line)
    except (OSError, ValueError, RecursionError):
        pass
    return lines

"""A line an epoch: what was learned in history.jsonl, which is a function of the job alone, and what it took in
timing.jsonl. Never more epochs than checkpoints and epochs really run can vouch for.
"""

import json
from pathlib import Path

from raydistill.files import write_atomically

HISTORY, TIMING = "history.jsonl", "timing.jsonl"


def read_history(folder: Path) -> list[dict]:
    """What was learned in each epoch, with what it took; a torn last line is left out.

    While a training writes or cuts them, one file may be an epoch ahead of the other: that epoch is left out, too.
    """
    learned = _lines(folder / HISTORY)
    took = {line["epoch"]: line for line in _lines(folder / TIMING)}
    return [took[line["epoch"]] | line for line in learned if line["epoch"] in took]


def cut_history(folder: Path, epochs: int) -> None:
    """Forget the epochs that no checkpoint covers: they are about to be run again."""
    for path in (folder / HISTORY, folder / TIMING):
        kept = [line for line in _lines(path) if line["epoch"] < epochs]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def append_history(folder: Path, learned: dict, took: dict) -> None:
    for path, line in ((folder / TIMING, took), (folder / HISTORY, learned)):
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")


def _lines(path: Path) -> list[dict]:
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines

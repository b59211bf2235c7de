"""history.jsonl: a line an epoch, never more epochs than checkpoints and epochs really run can vouch for."""

import json
from pathlib import Path

from raydistill.store.files import write_atomically


def read_history(path: Path) -> list[dict]:
    """The whole lines; a torn last line is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def cut_history(path: Path, epochs: int) -> None:
    """Forget the epochs that no checkpoint covers: they are about to be run again."""
    kept = [line for line in read_history(path) if line["epoch"] < epochs]
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def append_history(path: Path, line: dict) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")

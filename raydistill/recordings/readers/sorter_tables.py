"""The small text files of a spike sorter's folder: labels of clusters (.tsv) and parameters (params.py)."""

import csv
import re
from pathlib import Path

from raydistill.errors import DataError, one_line

TABLES = ("cluster_info.tsv", "cluster_KSLabel.tsv", "cluster_groups.csv", "cluster_group.tsv")
"""Tables with one row per cluster. A later one replaces what an earlier one says: people curate `cluster_group.tsv`."""
_ID_COLUMNS = ("cluster_id", "id")
_RATE = re.compile(r"^\s*sample_rate\s*=\s*(\S+?)\s*(?:#.*)?$", re.MULTILINE)

Labels = dict[str, dict[int, str]]


def read_labels(folder: Path) -> Labels:
    """Column -> cluster -> text, of all tables of a folder. Empty cells are left out.

    Raises:
        DataError: a table cannot be read or has no column of cluster numbers.
    """
    labels: Labels = {}
    for name in (name for name in TABLES if (folder / name).is_file()):
        for row in _rows(folder / name):
            number = next((row[key] for key in _ID_COLUMNS if row.get(key)), None)
            if number is None or not number.strip().isdigit():
                raise DataError(f"{name}: a row has no number in its column `cluster_id`, but {number!r}")
            for column, text in row.items():
                if column not in _ID_COLUMNS and isinstance(text, str) and text.strip():
                    labels.setdefault(str(column), {})[int(number)] = text.strip()
    return labels


def _rows(path: Path) -> list[dict]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"{path.name}: cannot be read as a table ({one_line(err)})") from None


def read_rate(folder: Path) -> float | None:
    """`sample_rate` of params.py, which is read as text and never executed; None: there is none.

    Raises:
        DataError: it is not a number above 0.
    """
    path = folder / "params.py"
    if not path.is_file():
        return None
    found = _RATE.search(path.read_text(encoding="utf-8", errors="replace"))
    if found is None:
        return None
    try:
        rate_hz = float(found[1].replace("_", ""))
    except ValueError:
        rate_hz = 0.0
    if not 0 < rate_hz < float("inf"):
        raise DataError(f"params.py: `sample_rate` must be a number above 0, but is {found[1]}")
    return rate_hz

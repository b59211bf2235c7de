"""The result of a search: as JSON, as a file that a sweep can include, and as text for the terminal."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from raydistill.config.load import override
from raydistill.config.yaml_files import dump_yaml
from raydistill.sweep.config.reading import read_sweep
from raydistill.sweep.config.search import SearchConfig, Value


@dataclass(frozen=True, kw_only=True)
class TriedValues:
    """Values of the searched job, and its scores with these values."""

    values: dict[str, Value]
    valid_r2: float
    """Mean R² on the validation folds, over the job's sessions and seeds."""
    test_r2: float
    """Mean R² on the test folds."""
    parameters: int
    """Number of parameters of the largest model."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The result of a search."""

    trials: int
    """Number of trials that are complete or were stopped early."""
    pruned: int
    """Number of trials that were stopped early."""
    failed: int
    default: TriedValues
    """The values of the sweep."""
    best: TriedValues
    importances: dict[str, float]
    """Name of a value -> its importance for validation R², as a share of 1; may be empty."""
    file: Path
    """The file with the best values, which a sweep can include."""

    def to_json(self) -> dict:
        """The content of the result as JSON data."""
        return dataclasses.asdict(self) | {"file": str(self.file)}


def as_yaml(search: SearchConfig, path: Path, result: SearchResult) -> str:
    """The job with its best values as YAML text, which a sweep can include.

    Args:
        path: of the search file.
    """
    tree = read_sweep(path.parent / search.sweep)["jobs"][search.job]
    for name, value in result.best.values.items():
        override(tree, f"{name}={json.dumps(value)}")
    return (
        f"# {search.job} of {search.sweep} with the best values of {search.name} ({result.trials} trials):\n"
        f"# validation R² {result.best.valid_r2:.4f}, compared with {result.default.valid_r2:.4f} with the values "
        "of the sweep.\n" + dump_yaml({"jobs": {search.job: json.loads(json.dumps(tree))}})
    )


def short(value: Value) -> str:
    """The value as text, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def last_name(path: str) -> str:
    """The last part of a path, such as learning_rate of training.learning_rate."""
    return path.rpartition(".")[2]


def render(result: SearchResult, console) -> None:
    """Print the best and the default values, their scores, the importances and the name of the file."""
    from rich.table import Table

    table = Table("", box=None, pad_edge=False)
    for name in (*result.best.values, "validation R²", "test R²", "parameters"):
        table.add_column(last_name(name), justify="right", overflow="fold")
    for title, tried in (("default", result.default), ("best", result.best)):
        scores = (f"{tried.valid_r2:.3f}", f"{tried.test_r2:.3f}", f"{tried.parameters:,}")
        table.add_row(title, *map(short, tried.values.values()), *scores)
    console.print(table)
    console.print(f"\n{result.trials} trials, {result.pruned} of them stopped early, {result.failed} failed")
    if result.importances:
        shares = ", ".join(f"{last_name(name)} {share:.0%}" for name, share in result.importances.items())
        console.print(f"importance for validation R²: {shares}")
    console.print(f"best values, as a file to include: {result.file}")

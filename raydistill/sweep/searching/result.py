"""The result of a search: as JSON, as a file that a sweep can include, and as text for the terminal."""

import copy
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from raydistill.config.load import override
from raydistill.config.yaml_files import dump_yaml
from raydistill.sweep.config.search import Search
from raydistill.sweep.config.space import Value, Values

MAX_LINES = 5
"""Causes and reasons that are printed; the others are in results.json."""


@dataclass(frozen=True, kw_only=True)
class TriedValues:
    """Values of the searched job, and its scores with these values."""

    values: Values
    valid_r2: float
    """Mean R² on the validation folds, over the job's sessions and seeds."""
    test_r2: float | None
    """Mean R² on the test folds; None: unknown, because the jobs are not in the runs folder any more."""
    parameters: int
    """Number of parameters of the largest model."""


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A point of the Pareto front: no other point is better in one objective and as good in the other."""

    values: Values
    valid_r2: float
    parameters: int


@dataclass(frozen=True, kw_only=True)
class UnscoredValues:
    """A point that failed in this run, and the cause; or invalid values, and the reason."""

    values: Values
    cause: str


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The result of a search."""

    trials: int
    """Number of different points that ran to their last epoch or were stopped early."""
    stopped: int
    """Number of points that were stopped early."""
    repeated: int
    """Number of suggestions that were answered with the result of a known point."""
    taken_over: int
    """Number of trials of earlier studies of the search that have the same jobs."""
    exhausted: bool
    """Whether the search ended because every point of its space has been tried."""
    failed: tuple[UnscoredValues, ...]
    invalid: tuple[UnscoredValues, ...]
    """Points whose values contradict each other; they were pruned."""
    default: TriedValues | None
    """The values of the sweep; None if they failed."""
    best: TriedValues
    """The values with the highest validation R², and of several the one with the fewest parameters."""
    front: tuple[FrontPoint, ...]
    """With several objectives, the Pareto front, from the fewest parameters to the most; otherwise empty."""
    importances: dict[str, float]
    """Name of a value -> its importance for validation R², as a share of 1; may be empty."""
    file: Path
    """The file with the best values, which a sweep can include."""

    def to_json(self) -> dict:
        """The content of the result as JSON data."""
        return dataclasses.asdict(self) | {"file": str(self.file)}


def as_yaml(search: Search, result: SearchResult) -> str:
    """The job with its best values as YAML text, which a sweep can include."""
    tree, config = copy.deepcopy(search.job_in_file), search.config
    if isinstance(tree.get("objective"), str):
        tree["objective"] = {"name": tree["objective"]}
    for name, value in result.best.values.items():
        override(tree, f"{name}={json.dumps(value)}")
    default = f"{result.default.valid_r2:.4f}" if result.default else "no score, because they failed,"
    return (
        f"# {config.job} of {config.sweep} with the best values of {search.name} ({result.trials} trials):\n"
        f"# validation R² {result.best.valid_r2:.4f}, compared with {default} with the values of the sweep.\n"
        + dump_yaml({"jobs": {config.job: json.loads(json.dumps(tree))}})
    )


def short(value: Value) -> str:
    """The value as text, a number with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def last_name(path: str) -> str:
    """The last part of a path, such as learning_rate of training.learning_rate."""
    return path.rpartition(".")[2]


def in_words(values: Values) -> str:
    """The values in one line."""
    return ", ".join(f"{last_name(name)} {short(value)}" for name, value in values.items())


def render(result: SearchResult, console) -> None:
    """Print the best and the default values, their scores, the counts, the importances and the name of the file."""
    from rich.table import Table

    tried = [("default", result.default), ("best", result.best)]
    rows = [(title, values) for title, values in tried if values is not None]
    names = list(dict.fromkeys(name for _, row in rows for name in row.values))
    table = Table("", box=None, pad_edge=False)
    for name in (*names, "validation R²", "test R²", "parameters"):
        table.add_column(last_name(name), justify="right", overflow="fold")
    for title, row in rows:
        test_r2 = "–" if row.test_r2 is None else f"{row.test_r2:.3f}"
        values = (short(row.values[name]) if name in row.values else "" for name in names)
        table.add_row(title, *values, f"{row.valid_r2:.3f}", test_r2, f"{row.parameters:,}")
    console.print(table)
    for line in ("", *_lines(result)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(result: SearchResult) -> list[str]:
    lines = [
        f"{result.trials + len(result.failed)} different points tried: {result.trials - result.stopped} complete, "
        f"{result.stopped} stopped early, {len(result.failed)} failed; "
        f"{len(result.invalid)} pruned because their values are invalid; {result.repeated} repeated "
        f"suggestion{'s' if result.repeated != 1 else ''}"
    ]
    if result.exhausted:
        lines.append("the space is exhausted: every point has been tried")
    if result.taken_over:
        lines.append(f"{result.taken_over} of the points were taken over from earlier studies of this search")
    for title, points in (("failed", result.failed), ("pruned", result.invalid)):
        lines += [f"{title}  {in_words(point.values)}: {point.cause}" for point in points[:MAX_LINES]]
        if len(points) > MAX_LINES:
            lines.append(f"{title}  and {len(points) - MAX_LINES} more, see results.json")
    if result.front:
        lines.append("Pareto front (fewer parameters, higher validation R²):")
        lines += [f"  {p.parameters:>12,}  {p.valid_r2: .3f}  {in_words(p.values)}" for p in result.front]
    if result.importances:
        shares = ", ".join(f"{last_name(name)} {share:.0%}" for name, share in result.importances.items())
        lines.append(f"importance for validation R²: {shares}")
    return [*lines, f"best values, as a file to include: {result.file}"]

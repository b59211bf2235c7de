"""Figures of a hyperparameter search: the values and the score of each trial, and the importance of each value."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import COLORS, GREY, ONE_COLUMN, TWO_COLUMNS, parameter_axis, save, styled

SearchTrial = tuple[Mapping[str, object], float, bool]
"""Values, validation R², and whether the trial was completed, that is not stopped early."""


@styled
def parallel_coordinates(
    trials: Sequence[SearchTrial], path: Path, log: Collection[str] = (), narrow: bool = False
) -> dict[str, Path]:
    """One line per trial through its values, coloured by validation R²; trials stopped early are thin and grey.

    Args:
        path: without extension; here and below.
        log: the values that the search samples on a logarithmic scale, which have such an axis.
        narrow: as wide as a phone: the axes lie below each other.
    """
    names = list(dict.fromkeys(name for values, _, _ in trials for name in values))
    axes = [*names, "valid_r2"]
    rows = [[*(values[name] for name in names), valid_r2] for values, valid_r2, _ in trials]
    scales = [_Scale(column, name in log) for name, column in zip(axes, zip(*rows, strict=True), strict=True)]
    heights = [[scale(value) for scale, value in zip(scales, row, strict=True)] for row in rows]

    if narrow:
        figure = Figure(figsize=(ONE_COLUMN, 0.9 + 0.5 * len(axes)))
    else:
        figure = Figure(figsize=(min(TWO_COLUMNS, max(ONE_COLUMN, 1.1 * len(axes))), 2.4))
    ax = figure.subplots()
    completed = np.array([ended for _, _, ended in trials])
    places = np.arange(len(axes))
    lines = [np.column_stack([line, places] if narrow else [places, line]) for line in heights]
    stopped = [line for line, ended in zip(lines, completed, strict=True) if not ended]
    ax.add_collection(LineCollection(stopped, colors=GREY, lw=0.5, alpha=0.6))
    if completed.any():
        coloured = LineCollection([line for line, ended in zip(lines, completed, strict=True) if ended], cmap="viridis")
        coloured.set_linewidth(1.2)
        coloured.set_array(np.array([valid_r2 for _, valid_r2, _ in trials])[completed])
        ax.add_collection(coloured)
        figure.colorbar(
            coloured,
            ax=ax,
            label="validation R²",
            location="bottom" if narrow else "right",
            aspect=30 if narrow else 20,
        )
    _place_axes(ax, [name.rpartition(".")[2] for name in axes], scales, narrow)
    table = [[*row, ended] for row, (_, _, ended) in zip(rows, trials, strict=True)]
    return save(figure, path, [*axes, "completed"], table, narrow)


def _place_axes(ax: Axes, names: Sequence[str], scales: Sequence["_Scale"], narrow: bool) -> None:
    """One line per value with its name and ticks; from left to right, or, if narrow, from top to bottom."""
    along, ends = (-0.1, len(names) - 0.9), (-0.05, 1.05)
    labels = [f"{name}\n(log)" if scale.log else name for name, scale in zip(names, scales, strict=True)]
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if narrow:
        ax.set(xlim=ends, ylim=(along[1], along[0] - 0.3), xticks=[])
        ax.set_yticks(range(len(names)), labels)
    else:
        ax.set(xlim=along, ylim=ends, yticks=[])
        ax.set_xticks(range(len(names)), labels)
    for place, scale in enumerate(scales):
        (ax.axhline if narrow else ax.axvline)(place, color="black", lw=0.5, zorder=0)
        for value, height in scale.ticks():
            at = (height, place - 0.08) if narrow else (place + 0.03, height)
            behind = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}
            side = "left" if not narrow or height < 0.1 else "right" if height > 0.9 else "center"
            ax.text(*at, value, ha=side, va="bottom" if narrow else "center", bbox=behind)


class _Scale:
    """Maps the values of one axis to heights from 0 to 1.

    Numbers are placed linearly, or logarithmically if the search samples them so or they span more than a factor of 20;
    other values are placed at equal distances in the order of their first occurrence.
    """

    def __init__(self, values: Sequence, log: bool = False) -> None:
        self.kinds: list[str] | None = None
        self.log = False
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            self.kinds = list(dict.fromkeys(map(str, values)))
            return
        low, high = min(values), max(values)
        self.log = low > 0 and (log or high / low > 20)
        self.low, self.high = self._put(low), self._put(high)

    def _put(self, value: float) -> float:
        return float(np.log10(value)) if self.log else float(value)

    def __call__(self, value) -> float:
        if self.kinds is not None:
            return self.kinds.index(str(value)) / max(1, len(self.kinds) - 1)
        return (self._put(value) - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def ticks(self) -> list[tuple[str, float]]:
        """(label, height) of each kind, or of the lowest and the highest value and powers of ten between them."""
        if self.kinds is not None:
            return [(kind, self(kind)) for kind in self.kinds]
        ends = [10**x if self.log else x for x in (self.low, self.high)]
        powers = range(int(np.ceil(self.low)), int(np.floor(self.high)) + 1) if self.log else ()
        between = [10.0**power for power in powers if 0.15 < self(10.0**power) < 0.85]
        return [(f"{value:.3g}", self(value)) for value in dict.fromkeys((ends[0], *between, ends[1]))]


@styled
def importance_bars(shares: Mapping[str, float], path: Path) -> dict[str, Path]:
    """Importance of each value of the search space for validation R²; importances add up to 1."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = Figure(figsize=(ONE_COLUMN, 0.5 + 0.22 * len(ordered)))
    ax = figure.subplots()
    names, widths = [name.rpartition(".")[2] for name, _ in ordered], [share for _, share in ordered]
    ax.barh(names, widths, color=COLORS[0], height=0.6)
    ax.set_xlabel("importance for validation R²")
    return save(figure, path, ["value", "share"], [[name, share] for name, share in reversed(ordered)])


@styled
def pareto_front(
    points: Sequence[tuple[int, float]], front: Sequence[tuple[int, float]], path: Path
) -> dict[str, Path]:
    """Validation R² over the number of parameters, with the Pareto front: no point has fewer and scores higher.

    Args:
        points: (parameters, validation R²) of every complete trial.
        front: those on the front, from the fewest parameters to the most.
    """
    figure = Figure(figsize=(ONE_COLUMN, 2.2))
    ax = figure.subplots()
    (all_parameters, all_scores), (parameters, scores) = zip(*points, strict=True), zip(*front, strict=True)
    ax.scatter(all_parameters, all_scores, color=GREY, s=8)
    ax.plot(parameters, scores, color=COLORS[0], marker="o", ms=3, lw=1.2, drawstyle="steps-post")
    parameter_axis(ax, all_parameters)
    ax.set_ylabel("validation R²")
    table = [[*point, point in front] for point in points]
    return save(figure, path, ["parameters", "valid_r2", "on_front"], table)

"""Decoding R² against the size of the model."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import ONE_COLUMN, legend_columns, look, marker, save, styled
from raydistill.evaluation.results import Results, method_table


@styled
def sizes(results: Results, parameters: Mapping[str, int], path: Path) -> dict[str, Path]:
    """Mean R² of each method over sessions, with the SD over sessions, against the number of parameters.

    Args:
        parameters: method -> number of parameters of its largest model.
        path: without extension.
    """
    rows = [row for row in method_table(results) if row.method in parameters]
    figure = Figure(figsize=(ONE_COLUMN, 2.6))
    ax = figure.subplots()
    for m, row in enumerate(rows):
        mark = look(m)
        ax.errorbar(parameters[row.method], row.mean, row.sd, ecolor=mark["color"], elinewidth=0.7, fmt="none")
        ax.scatter(parameters[row.method], row.mean, s=18, linewidths=0, zorder=3, **mark)
    ax.set_xscale("log")
    ax.minorticks_off()
    ticks = _apart(sorted(set(parameters[row.method] for row in rows)))
    ax.set_xticks(ticks, [_millions(n) for n in ticks])
    ax.set_xlabel("parameters of the model")
    ax.set_ylabel("decoding R²")
    handles = [marker(m, row.method) for m, row in enumerate(rows)]
    figure.legend(handles=handles, loc="outside upper center", ncols=legend_columns(handles, ONE_COLUMN))
    table = [(row.method, parameters[row.method], row.mean, row.sd, row.n) for row in rows]
    return save(figure, path, ("method", "parameters", "mean_r2", "sd_over_sessions", "n"), table)


def _apart(values: list[int]) -> list[int]:
    """The sorted values without those too close to the previous one for their labels to fit."""
    labelled = values[:1]
    for value in values[1:]:
        if value > 1.25 * labelled[-1]:
            labelled.append(value)
    return labelled


def _millions(n: int) -> str:
    return f"{n / 1e6:.3g} M" if n >= 1e6 else f"{n / 1e3:.3g} k"

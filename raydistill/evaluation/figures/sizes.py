"""Decoding R² against the size of the model."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import ONE_COLUMN, legend_columns, look, marker, parameter_axis, save, styled
from raydistill.evaluation.results import Results, method_table


@styled
def sizes(results: Results, parameters: Mapping[str, int], path: Path, narrow: bool = False) -> dict[str, Path]:
    """Mean R² of each method over sessions, with the SD over sessions, against the number of parameters.

    Args:
        parameters: method -> number of parameters of its largest model.
        path: without extension.
        narrow: as wide as a phone, which this figure always is.
    """
    rows = [row for row in method_table(results) if row.method in parameters]
    figure = Figure(figsize=(ONE_COLUMN, 2.6))
    ax = figure.subplots()
    for m, row in enumerate(rows):
        mark = look(m)
        ax.errorbar(parameters[row.method], row.mean, row.sd, ecolor=mark["color"], elinewidth=0.7, fmt="none")
        ax.scatter(parameters[row.method], row.mean, s=18, linewidths=0, zorder=3, **mark)
    parameter_axis(ax, [parameters[row.method] for row in rows])
    ax.set_ylabel(f"decoding {results.measure.symbol}")
    handles = [marker(row.method, look(m)) for m, row in enumerate(rows)]
    figure.legend(handles=handles, loc="outside upper center", ncols=legend_columns(handles, ONE_COLUMN))
    table = [(row.method, parameters[row.method], row.mean, row.sd, row.n) for row in rows]
    return save(
        figure, path, ("method", "parameters", f"mean_{results.measure.key}", "sd_over_sessions", "n"), table, narrow
    )

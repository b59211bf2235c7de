"""The pages by which people enter MLflow's UI: /sweeps/NAME leads to the table of runs of a sweep.

On a phone MLflow's own table shows no numbers without scrolling, so there the page itself shows those of the methods.
"""

import contextlib
import html
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from raydistill.tracking.views import METHODS, address, tag_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import HTMLResponse

PATH = "/sweeps/"
_PHONE = 700
"""Below this width in pixels, the page stays."""
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8888; white-space: nowrap }}
tr > :first-child {{ text-align: left; position: sticky; left: 0; background: Canvas }}
tr > :first-child {{ white-space: normal; min-width: 7em }}
</style>
<script>
// MLflow opens its assistant for language models at the first visit, over the table.
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');
if (innerWidth >= {phone}) location.replace({target});
</script>
<h1>{title}</h1><div>{table}</div><p><a href="{link}">Table of runs in MLflow</a></p></html>"""


def add_landing_pages(app: "FastAPI") -> None:
    """Serve /sweeps/NAME, which leads to what MLflow has of a sweep when it is opened."""
    from fastapi.responses import HTMLResponse
    from fastapi.routing import APIRoute

    def landing(name: str) -> HTMLResponse:
        return _landing(name)

    app.router.routes.insert(0, APIRoute(PATH + "{name:path}", landing, methods=["GET"], response_class=HTMLResponse))


def sweeps_of(database: Path) -> list[str]:
    """The names of the sweeps and searches in a database of MLflow, that which ran last first.

    A name that a terminal cannot print, which no sweep has, is left out.

    Raises:
        sqlite3.Error: the file is not a database or cannot be read.
    """
    query = """
        SELECT name FROM experiments JOIN experiment_tags USING (experiment_id)
        WHERE lifecycle_stage = 'active' AND key = 'raydistill'
        ORDER BY (
            SELECT max(coalesce(end_time, start_time)) FROM runs
            WHERE runs.experiment_id = experiments.experiment_id AND runs.lifecycle_stage = 'active'
        ) DESC, experiment_id DESC
    """
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiment_tags'").fetchone():
            return []
        return [str(name) for (name,) in connection.execute(query) if str(name).isprintable()]


def landing_address(root: str, name: str) -> str:
    """The address of the page of a sweep."""
    return f"{root}{PATH}{quote(name, safe='')}"


def _landing(name: str) -> "HTMLResponse":
    from fastapi.responses import HTMLResponse
    from mlflow.server.handlers import _get_tracking_store

    store = _get_tracking_store()
    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        return HTMLResponse(f"<!doctype html>There is no sweep {html.escape(name)} here.", status_code=404)
    target = address(experiment.experiment_id, experiment.tags)
    page = _PAGE.format(
        title=html.escape(name),
        phone=_PHONE,
        table=_table(store, experiment.experiment_id, experiment.tags),
        target=json.dumps(target),
        link=html.escape(target, quote=True),
    )
    return HTMLResponse(page)


def _table(store: Any, experiment: str, tags: Mapping[str, str]) -> str:
    """The table of methods, with the runs and columns of its view, in HTML."""
    if tag_of(METHODS) not in tags:
        return "The methods have no scores yet."
    view = json.loads(json.loads(tags[tag_of(METHODS)])["state"])
    names = [column.removeprefix("metrics.")[1:-1] for column in view["selectedColumns"]]
    lines = ["<tr><th></th>" + "".join(f"<th>{html.escape(name)}</th>" for name in names) + "</tr>"]
    for run in store.search_runs([experiment], view["searchFilter"], 1, 1000, [f"{view['orderByKey']} DESC"]):
        link = f'<a href="/#/experiments/{experiment}/runs/{run.info.run_id}">{html.escape(run.info.run_name)}</a>'
        values = [run.data.metrics.get(name) for name in names]
        cells = "".join(f"<td>{'' if value is None else _shortened(value)}</td>" for value in values)
        lines.append(f"<tr><td>{link}</td>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _shortened(value: float) -> str:
    """Three decimals; more for a small number, as p may be."""
    return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.1g}"

"""The end of a sweep: figures and documents in the runs folder and in MLflow, and a note that they are made."""

import json
from pathlib import Path

from raydistill.config.fingerprint import canonical
from raydistill.evaluation.results import Results, method_table
from raydistill.files import write_json
from raydistill.store.store import Store
from raydistill.sweep.answering.collect import collect, sweep_fingerprint
from raydistill.sweep.answering.cost import Cost
from raydistill.sweep.answering.draw import draw
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.plan import Plan, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import missing_recordings, store_uri
from raydistill.tracking.tracker import Tracker, is_tracked


def conclude(
    sweep: SweepConfig, planned: Plan, runs: RunsFolder, results: Results, tracker: Tracker, cost: Cost | None
) -> None:
    """Draw the figures, tell MLflow, and note it, so that the same sweep has nothing left to do.

    Args:
        cost: of the jobs that were run just now, if any were.
    """
    folder = runs.sweep_folder(sweep.name)
    folder.mkdir(parents=True, exist_ok=True)
    documents = {"sweep_results.json": results.to_json()}
    write_json(folder / "results.json", results.to_json())
    if cost:
        documents["cost.json"] = cost.to_json()
        write_json(folder / "cost.json", cost.to_json())
    tracker.finish(
        table=_table(results),
        documents=documents,
        figures=draw(sweep, planned, runs, results, folder),
        metrics=_summary(results),
        status="FAILED" if results.failed else "FINISHED",
    )
    write_json(_note(sweep, runs), _answer(sweep, planned))


def concluded(sweep: SweepConfig, runs: RunsFolder) -> Results | None:
    """The results of a sweep that has nothing left to do; None where it has."""
    note = _note(sweep, runs)
    if missing_recordings(sweep, runs) or not note.exists() or not is_tracked(runs.path):
        return None
    found = plan(sweep, Store(store_uri(sweep, runs)).entries(), runs)
    if found.todo or json.loads(note.read_text()) != _answer(sweep, found):
        return None
    return collect(sweep, found, runs)


def _note(sweep: SweepConfig, runs: RunsFolder) -> Path:
    return runs.sweep_folder(sweep.name) / "concluded.json"


def _answer(sweep: SweepConfig, planned: Plan) -> dict:
    """What figures, tables and MLflow were last made from."""
    return {
        "jobs": sweep_fingerprint(planned),
        "methods": canonical(sweep.methods),
        "panels": canonical(planned.panels),
        "align": canonical(sweep.align),
    }


def _table(results: Results) -> dict[str, list]:
    """The scores as columns, baselines below the methods."""
    rows = (*results.scores, *results.baselines)
    return {name: [getattr(s, name) for s in rows] for name in ("method", "session", "subject", "seed", "r2", "job")}


def _summary(results: Results) -> dict[str, float]:
    """Mean R² of every method and the p of every comparison, as metrics of the sweep's own run."""
    means = {f"mean_r2/{row.method}": row.mean for row in method_table(results)}
    of = lambda c: f"{c.figure}/" if c.figure else ""  # noqa: E731
    return means | {f"p/{of(c)}{c.better} over {c.worse}": c.test.p for c in results.comparisons}

"""The end of a sweep: its figures and documents in the runs folder and in MLflow, and a mark that they are complete."""

import dataclasses
from pathlib import Path

from raydistill.config.fingerprint import canonical
from raydistill.evaluation.published import published_csv
from raydistill.evaluation.results import Results
from raydistill.files import read_mapping, sha256_of, write_atomically, write_json
from raydistill.sweep.answering.collect import notes_on_jobs, sweep_fingerprint
from raydistill.sweep.answering.cost import Cost
from raydistill.sweep.answering.draw import draw
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracking import COST, log_results
from raydistill.sweep.planning.plan import Plan
from raydistill.tracking.tracker import Receipt, Tracker


def conclude(sweep: OpenSweep, plan: Plan, results: Results, tracker: Tracker, cost: Cost | None) -> None:
    """Write the results and figures, log them to MLflow, and record that the same sweep has nothing left to do.

    Args:
        cost: of the jobs that were just run; None if none were run.
    """
    sweep.folder.mkdir(parents=True, exist_ok=True)
    documents = {"sweep_results.json": results.to_json()}
    write_json(sweep.folder / "results.json", results.to_json())
    if printed := published_csv(results.published):
        write_atomically(sweep.folder / "paper.csv", printed.encode())
    if cost:
        documents[COST] = cost.to_json()
        write_json(sweep.folder / COST, cost.to_json())
    figures = draw(sweep.config, plan, sweep.runs, results, sweep.folder)
    receipt = log_results(sweep, plan, results, tracker, documents, figures)
    identity = _identity(sweep, plan) | {"results": sha256_of(sweep.folder / "results.json")}
    tracked = dataclasses.asdict(receipt) if receipt else None
    write_json(_note(sweep), {"concluded": identity, "tracked": tracked})


def concluded(sweep: OpenSweep) -> Results | None:
    """The results of a sweep, if all of its jobs are done, its results written and MLflow has them; otherwise None."""
    note, results_file = read_mapping(_note(sweep)), sweep.folder / "results.json"
    if sweep.lacks_recordings or note is None or not results_file.is_file():
        return None
    if (receipt := Receipt.from_json(note.get("tracked"))) is None or not receipt.is_valid(sweep.runs.path):
        return None
    plan = sweep.plan()
    if plan.todo or note.get("concluded") != _identity(sweep, plan) | {"results": sha256_of(results_file)}:
        return None
    return sweep.collect(plan)


def _note(sweep: OpenSweep) -> Path:
    return sweep.folder / "concluded.json"


def _identity(sweep: OpenSweep, plan: Plan) -> dict:
    """Everything that figures, tables and MLflow runs depend on."""
    return {
        "jobs": sweep_fingerprint(plan),
        "methods": canonical(sweep.config.methods),
        "panels": canonical(plan.panels),
        "align": canonical(sweep.config.align),
        "notes": notes_on_jobs(plan, sweep.runs),
    }

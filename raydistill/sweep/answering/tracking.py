"""Logging a sweep to MLflow: while it runs, and by `raydistill track` from what the runs folder has."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from raydistill.errors import RaydistillError
from raydistill.evaluation.results import Results
from raydistill.files import read_mapping
from raydistill.sweep.answering.draw import draw
from raydistill.sweep.answering.method_cards import method_cards
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records, columns_of, note_of
from raydistill.sweep.planning.job import DONE, FAILED
from raydistill.sweep.planning.notes import read_notes
from raydistill.sweep.planning.plan import Plan
from raydistill.tracking.tracker import Receipt, Tracker
from raydistill.training.history import HISTORY

COST = "cost.json"
"""In the folder of a sweep: what its jobs took."""


def open_tracker(sweep: OpenSweep, records: Records, say: Callable[[str], None]) -> Tracker:
    """The tracker of a sweep, whose run is opened.

    Args:
        say: prints a line.
    """
    tracker = Tracker(sweep.runs.path, sweep.name, say)
    params: dict[str, object] = {"preset": sweep.config.preset, "seeds": sweep.config.seeds, "store": sweep.store}
    if sweep.config.tuning:
        params["trials of each method"] = sweep.config.tuning.trials
    note = read_notes(sweep.runs).of_sweep(sweep.name)
    tracker.parent(
        records.fingerprint, params, {"protocol": sweep.protocol} | note.to_tags(), columns_of(sweep.config.label)
    )
    return tracker


def log_finished(plan: Plan, records: Records, tracker: Tracker) -> None:
    """Log the jobs that are done already, from a sweep that was killed or from another sweep."""
    for p in plan.planned:
        if p.state == DONE:
            tracker.job(records.job(p.job, None))


def log_results(
    sweep: OpenSweep,
    plan: Plan,
    results: Results,
    tracker: Tracker,
    documents: Mapping[str, dict],
    figures: Sequence[Path],
    status: Literal["KILLED", "RUNNING"] | None = None,
) -> Receipt | None:
    """Log the results of a sweep and wait for MLflow; returns None if it lacks something.

    Args:
        documents: file name -> content, logged as JSON.
        status: of a sweep that has not ended; None: it has.
    """
    return tracker.finish(
        table=_table(results),
        documents=documents,
        figures=figures,
        metrics={},
        status=status or ("FAILED" if results.failed else "FINISHED"),
        methods=Records(sweep).methods(results, method_cards(plan, results, sweep.entries, sweep.runs)),
        note=note_of(results, figures),
    )


def log_as_it_is(sweep: OpenSweep, say: Callable[[str], None]) -> tuple[Plan, Receipt | None]:
    """Log everything that the runs folder has of a sweep, which may be running; nothing is written to that folder.

    What MLflow has already is left as it is, so this may be repeated at any time.

    Returns:
        The plan, with the states of the jobs, and None in place of the receipt if MLflow lacks something, which was
        reported.
    Raises:
        RaydistillError: no job of the sweep has ended.
    """
    plan = sweep.plan()
    if not any(p.state in (DONE, FAILED) for p in plan.planned):
        raise RaydistillError(
            f"no job of the sweep {sweep.name} has ended in {sweep.runs}; run `raydistill sweep` first"
        )
    records, running = Records(sweep), sweep.runs.is_in_use()
    results = sweep.collect(plan)
    tracker = open_tracker(sweep, records, say)
    with tracker.interrupted_by_errors(), TemporaryDirectory(prefix="raydistill-track-") as folder:
        log_finished(plan, records, tracker)
        for p in plan.planned:
            if p.state == FAILED:
                tracker.failed(records.job(p.job, {}), p.reason)
            elif p.state != DONE and (sweep.runs.job_folder(p.job.key) / HISTORY).exists():
                tracker.running(records.job(p.job, {}))
        figures = draw(sweep.config, plan, sweep.runs, results, Path(folder))
        status: Literal["KILLED", "RUNNING"] = "RUNNING" if running else "KILLED"
        documents = {"sweep_results.json": results.to_json()}
        if cost := read_mapping(sweep.folder / COST):
            documents[COST] = cost
        return plan, log_results(sweep, plan, results, tracker, documents, figures, status if results.missing else None)


def _table(results: Results) -> dict[str, list]:
    """The scores as columns, baselines below the methods."""
    rows = (*results.scores, *results.baselines)
    columns = {name: [getattr(s, name) for s in rows] for name in ("method", "session", "subject", "seed")}
    return columns | {results.measure.key: [s.value for s in rows], "job": [s.job for s in rows]}

"""`raydistill report`: collects the content of a sweep's page, and writes the page."""

import json
import math
import shlex
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from raydistill.config.fingerprint import fingerprint
from raydistill.config.load import override
from raydistill.config.yaml_files import dump_yaml
from raydistill.errors import RaydistillError
from raydistill.evaluation.report import JobCost, ReportContext, html, picture
from raydistill.files import read_mapping, write_atomically
from raydistill.papers.table import PAPERS
from raydistill.store.catalogue import Entry
from raydistill.sweep.answering.collect import sweep_fingerprint
from raydistill.sweep.answering.commands import command, nothing_scored
from raydistill.sweep.answering.cost import duration
from raydistill.sweep.answering.draw import caption, draw
from raydistill.sweep.answering.meanings import meanings
from raydistill.sweep.answering.method_cards import method_cards
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import read_sweep
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.code import makers_of
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.training.history import last_time


def write_report(opened: OpenSweep, path: Path, out: Path) -> None:
    """Write the page of a sweep, with all results so far, to `out`; nothing is written into the runs folder.

    Args:
        path: the sweep file, as the user named it.
    Raises:
        RaydistillError: no job of the sweep is done.
    """
    with tempfile.TemporaryDirectory() as scratch:
        page = _page(opened, path, out, Path(scratch))
    write_atomically(out, page.encode())


def _page(opened: OpenSweep, path: Path, out: Path, scratch: Path) -> str:
    """The page as HTML. `scratch`: an empty folder for its figures."""
    sweep, runs, overrides = opened.config, opened.runs, opened.overrides
    entries, planned = opened.entries, opened.plan()
    results = opened.collect(planned)
    if not results.scores and not results.baselines and not results.failed:
        raise RaydistillError(nothing_scored(opened.name, path, runs.place, overrides, planned))
    narrow = scratch / "narrow"
    drawn = [file for file in draw(sweep, planned, runs, results, scratch, narrow) if file.suffix == ".svg"]
    header, used = header_of(path), _used_sessions(planned, entries)
    recorded = {e.recorded: e for e in used}
    context = ReportContext(
        name=opened.name,
        question=header.get("Question", ""),
        answers=header.get("Answers", ""),
        pictures=[
            picture(f, narrow, caption(f.stem, results.measure.symbol), data_file(f, opened.folder)) for f in drawn
        ],
        sessions=len(recorded),
        subjects=len({e.subject for e in used}),
        hours=sum(e.n_bins * e.bin_width_ms for e in recorded.values()) / 3.6e6,
        data_fingerprint=fingerprint({e.session: e.content for e in used}),
        fingerprint=sweep_fingerprint(planned),
        job_names={p.job.key: p.job.name for p in planned.planned},
        costs=_costs(planned, runs, sweep),
        last_run=_last_run(opened.folder),
        commands="\n".join(
            [
                command("sweep", path, runs.place, overrides),
                command("report", path, runs.place, overrides, "--out", str(out)),
            ]
        ),
        runs=shlex.quote(str(runs)),
        written=_written(planned, runs),
        paper=PAPERS[sweep.paper].citation,
        meanings=meanings(planned, results),
        cards=list(method_cards(planned, results, entries, runs).values()),
        versions=versions_of([p.job.key for p in planned.planned if p.state == DONE], runs),
        sweep=_configuration(path, overrides),
    )
    return html(results, context)


def _written(planned: Plan, runs: RunsFolder) -> str:
    """When the page was written, and when the last training behind it ended."""
    trained = [runs.job_folder(p.job.key) for p in planned.planned if p.state == DONE and p.job.trains]
    ended = max((time for folder in trained if (time := last_time(folder)) is not None), default=None)
    today = datetime.now(UTC).date().isoformat()
    return (
        today if ended is None else f"{today}; the last training ended on {datetime.fromtimestamp(ended, UTC).date()}"
    )


def data_file(figure: Path, folder: Path) -> str:
    """The file with the numbers of a figure in the folder of the results; "" if this figure is not drawn there yet."""
    data, kept = figure.with_suffix(".csv"), folder / f"{figure.stem}.csv"
    return str(kept) if kept.is_file() and data.is_file() and kept.read_bytes() == data.read_bytes() else ""


def header_of(path: Path) -> dict[str, str]:
    """The comment lines at the top of a sweep or search file (Question, Cost, Answers), by their first word."""
    lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    parts = (line.partition(": ") for line in lines)
    return {name: text for name, _, text in parts if name in ("Question", "Cost", "Answers")}


def _configuration(path: Path, overrides: tuple[str, ...]) -> str:
    """The sweep file as YAML without comments, with included files and overrides applied."""
    tree = read_sweep(path)
    for text in overrides:
        override(tree, text)
    return dump_yaml(json.loads(json.dumps(tree)))


def _used_sessions(planned: Plan, entries: list[Entry]) -> list[Entry]:
    """The sessions that the jobs read, in each draw of their folds."""
    names = {session for job in planned.jobs for session in job.spec.sessions}
    return [e for e in entries if e.session in names]


def _costs(planned: Plan, runs: RunsFolder, sweep: SweepConfig) -> list[JobCost]:
    """The cost of each entry of the sweep file, from the cores and GPUs that were reserved for its finished jobs."""
    costs = defaultdict(list)
    for p in planned.planned:
        if p.state == DONE:
            costs[p.job.line].append(_cost(p.job, runs.metrics(p.job.key), sweep))
    return [
        JobCost(
            name=name,
            jobs=len(jobs),
            seconds=sum(seconds for seconds, _, _ in jobs),
            core_hours=sum(seconds * cores for seconds, cores, _ in jobs) / 3600,
            gpu_hours=sum(seconds * gpus for seconds, _, gpus in jobs) / 3600,
        )
        for name, jobs in costs.items()
    ]


def _cost(job: Job, metrics: dict, sweep: SweepConfig) -> tuple[float, float, float]:
    """Seconds of a job, and the cores and GPUs that were reserved for it."""
    on_gpu, seconds = metrics.get("device") == "cuda", metrics.get("seconds", 0.0)
    if job.is_pretraining:
        workers = metrics.get("workers", 1)  # a search trains a pretraining in one process
        return seconds, workers, workers * on_gpu
    return seconds, sweep.cpus_per_job, sweep.gpu_per_job * on_gpu


def _last_run(folder: Path) -> str:
    """Duration of the last run as text; empty if it is unknown."""
    wall_s = (read_mapping(folder / "cost.json") or {}).get("wall_s")
    return duration(wall_s) if isinstance(wall_s, int | float) and math.isfinite(wall_s) else ""


def versions_of(keys: Iterable[str], runs: RunsFolder) -> dict[str, str]:
    """Software or hardware -> all versions that these finished jobs ran with."""
    keys, versions = list(keys), defaultdict(set)
    for key in keys:
        provenance = runs.job_json(key).get("provenance")
        for name, value in provenance.items() if isinstance(provenance, dict) else ():
            if value is not None:
                versions[name].add(str(value))
    made_by = [f"{count} jobs by {code}" for code, count in makers_of(keys, runs).items()]
    return {name: ", ".join(sorted(values)) for name, values in versions.items()} | {"made by": "; ".join(made_by)}

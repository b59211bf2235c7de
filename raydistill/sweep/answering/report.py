"""What a sweep's page is made from, gathered from the runs folder."""

import json
import shlex
from collections import defaultdict
from pathlib import Path

from raydistill.config.fingerprint import fingerprint
from raydistill.config.load import dump_yaml
from raydistill.errors import RaydistillError
from raydistill.evaluation.report import Background, Line, Picture, html
from raydistill.files import write_atomically
from raydistill.store.catalogue import Entry
from raydistill.sweep.answering.collect import sweep_fingerprint
from raydistill.sweep.answering.cost import duration
from raydistill.sweep.answering.draw import CAPTIONS, draw
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.sweep import SweepConfig, read_sweep
from raydistill.sweep.planning.job import DONE
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder


def write_report(sweep: SweepConfig, path: Path, overrides: tuple[str, ...], runs: RunsFolder, out: Path) -> None:
    """One page of all that the sweep has found so far.

    Args:
        path: of the sweep file, as the user gave it, with its `overrides`.
    Raises:
        RaydistillError: nothing is done yet.
    """
    opened = OpenSweep(sweep, runs)
    entries, planned = opened.entries, opened.plan()
    results = opened.collect(planned)
    if not results.scores and not results.baselines and not results.failed:
        raise RaydistillError(f"no job of {sweep.name} is done in {runs}; run `raydistill sweep {path}` first")
    folder = runs.sweep_folder(sweep.name)
    drawn = [file for file in draw(sweep, planned, runs, results, folder) if file.suffix == ".svg"]
    said, used = _header(path), _used(planned, entries)
    about = Background(
        name=sweep.name,
        question=said.get("Question", ""),
        answers=said.get("Answers", ""),
        pictures=[Picture(svg=f, caption=CAPTIONS[f.stem], data=str(f.with_suffix(".csv"))) for f in drawn],
        sessions=len(used),
        subjects=len({e.subject for e in used}),
        hours=sum(e.n_bins * e.bin_width_ms for e in used) / 3.6e6,
        data_fingerprint=fingerprint({e.session: e.content for e in used}),
        fingerprint=sweep_fingerprint(planned),
        job_names={p.job.key: p.job.name for p in planned.planned},
        lines=_lines(planned, runs, sweep),
        last_run=_last_run(folder),
        commands=_commands(path, overrides, runs, out),
        versions=_versions(planned, runs),
        sweep=dump_yaml(json.loads(json.dumps(read_sweep(path)))),
    )
    write_atomically(out, html(results, about).encode())


def _header(path: Path) -> dict[str, str]:
    """The comment lines that begin a sweep file: Question, Cost, Answers."""
    lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    said = (line.partition(": ") for line in lines)
    return {name: text for name, _, text in said if name in ("Question", "Cost", "Answers")}


def _used(planned: Plan, entries: list[Entry]) -> list[Entry]:
    """The sessions that any job reads."""
    names = {session for job in planned.jobs for session in job.spec.sessions}
    return [e for e in entries if e.session in names]


def _lines(planned: Plan, runs: RunsFolder, sweep: SweepConfig) -> list[Line]:
    """What every line of the sweep file has taken, by the places that its jobs held."""
    found = defaultdict(list)
    for p in planned.planned:
        if p.state == DONE:
            found[p.job.line].append(_took(p.job, runs.metrics(p.job.key), sweep))
    return [
        Line(
            name=name,
            jobs=len(jobs),
            seconds=sum(seconds for seconds, _, _ in jobs),
            core_hours=sum(seconds * cores for seconds, cores, _ in jobs) / 3600,
            gpu_hours=sum(seconds * gpus for seconds, _, gpus in jobs) / 3600,
        )
        for name, jobs in found.items()
    ]


def _took(job, metrics: dict, sweep: SweepConfig) -> tuple[float, float, float]:
    """Seconds of a job, and the cores and GPUs that it held."""
    on_gpu = metrics["device"] == "cuda"
    if job.is_pretraining:
        return metrics["seconds"], metrics["workers"], metrics["workers"] * on_gpu
    return metrics["seconds"], sweep.cpus_per_job, sweep.gpu_per_job * on_gpu


def _last_run(folder: Path) -> str:
    """How long it took, or nothing."""
    file = folder / "cost.json"
    return duration(json.loads(file.read_text())["wall_s"]) if file.exists() else ""


def _commands(path: Path, overrides: tuple[str, ...], runs: RunsFolder, out: Path) -> str:
    given = f"{path} --runs {runs}" + "".join(f" --set {shlex.quote(text)}" for text in overrides)
    return f"raydistill sweep {given}\nraydistill report {given} --out {out}"


def _versions(planned: Plan, runs: RunsFolder) -> dict[str, str]:
    """With what the jobs were made, all that occurs."""
    found = defaultdict(set)
    for p in planned.planned:
        if p.state == DONE:
            made = runs.job_json(p.job.key)["provenance"]
            for name, value in made.items():
                if value is not None:
                    found[name].add(str(value))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}

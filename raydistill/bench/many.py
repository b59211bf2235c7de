"""What commands that read take with thousands of sessions: a real store of small sessions, and finished jobs on each.

The jobs are not run: their folders hold what a finished job holds, with made-up scores.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from raydistill.bench.corpus import write_sessions
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.evaluation.scored_segments import ScoredSegments, write_segments
from raydistill.files import write_json
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.report import write_report
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.driver import run_sweep
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.provenance import provenance

T = TypeVar("T")
SESSIONS_PER_SUBJECT = 100
_COLUMNS, _BINS = ("velocity_x", "velocity_y"), 1500  # bins of 20 ms
_CONFIG = IngestConfig(bin_width_ms=20, filters=None, splits=Splits(segment_s=1, parent_s=2))
_SWEEP = """
name: many
store: store
preset: tiny
seeds: [0]
behavior: [velocity_x, velocity_y]
sessions: {all: {modality: lfp}}
jobs:
  ss_lfp: {train: lfp, each: all}
  ss_spikes: {train: spikes, each: all}
methods: {SS-LFP: ss_lfp, SS-Spike: ss_spikes}
baselines: []
compare: [SS-Spike > SS-LFP]
"""


def measure_many(sessions: int, say: Callable[[str], None] = lambda text: None) -> dict[str, float]:
    """Seconds of each command over a store of so many sessions, with two finished jobs on each.

    Each figure is there twice: the time that passed, and as `..._cpu_s` the time on a core, which other processes on
    the machine hardly change. `many_listing_s`: `sessions`. `many_skip_s`: the look of `ingest` at sessions that are
    stored already. `many_plan_s`, `many_results_s`, `many_page_s`: `plan`, `results` and `report`. `many_tell_s`: the
    first `sweep` with nothing to run, which logs all jobs to MLflow. `many_again_s`: the same command again.
    """
    with TemporaryDirectory(prefix="raydistill-bench-") as root:
        folder, figures = Path(root), {"many_sessions": float(sessions)}

        def timed(name: str, step: Callable[[], T]) -> T:
            started, cpu_started = time.monotonic(), time.process_time()
            outcome = step()
            figures[f"many_{name}_s"] = time.monotonic() - started
            figures[f"many_{name}_cpu_s"] = time.process_time() - cpu_started
            return outcome

        say(f"a store of {sessions} sessions")
        store = Store(str(folder / "store"))
        write_sessions(store, _random_sessions(sessions), _CONFIG)
        entries = timed("listing", store.entries)
        damaged = timed("skip", lambda: [store.damage(store.entry(e.session)) for e in entries])
        assert not any(damaged), "a file of a store that was just written is damaged"
        file = folder / "many.yaml"
        file.write_text(_SWEEP)

        def opened() -> OpenSweep:
            return OpenSweep(load_sweep(file), RunsFolder(folder / "runs"))

        say(f"{2 * sessions} finished jobs")
        _write_jobs(opened())
        timed("plan", lambda: opened().plan())
        timed("results", lambda: (sweep := opened()).collect(sweep.plan()).to_json())
        timed("page", lambda: write_report(opened(), file, folder / "page.html"))
        for name in ("tell", "again"):
            say("the sweep, with nothing to run")
            with SweepProgress(RunsFolder(folder / "runs")) as progress:
                timed(name, lambda: run_sweep(opened(), progress, RunOptions(device="cpu")))
    return figures


def _random_sessions(sessions: int) -> Iterator[Session]:
    """Random sessions of half a minute: four units, two channels, two columns of behavior."""
    random = np.random.default_rng(0)
    for number in range(sessions):
        yield Session(
            name=f"many{number:05d}",
            subject=f"S{number // SESSIONS_PER_SUBJECT:03d}",
            bin_width_ms=_CONFIG.bin_width_ms,
            spikes=random.poisson(0.2, (_BINS, 4)).astype(np.uint8),
            lfp=random.standard_normal((_BINS, 2), np.float32),
            behavior=random.standard_normal((_BINS, 2), np.float32),
            behavior_names=_COLUMNS,
            behavior_units=("", ""),
        )


def _write_jobs(sweep: OpenSweep) -> None:
    """The folders of all jobs, as if they had been run."""
    random, details = np.random.default_rng(0), {"store": sweep.store, "provenance": provenance()}
    for job in sweep.plan().jobs:
        folder = sweep.runs.open_job(job, details)
        r2 = float(random.uniform(0, 0.5)) + 0.1 * (job.line == "ss_spikes")
        scores = {"r2": r2, "valid_r2": r2, "r2_per_axis": dict.fromkeys(_COLUMNS, r2)}
        write_segments(_segments(random), folder)
        write_json(folder / "metrics.json", scores | {"epoch": 20, "seconds": 1.0, "device": "cpu"})
        mark_complete(folder)


def _segments(random: np.random.Generator) -> ScoredSegments:
    behavior = random.standard_normal((100, 2), np.float32)  # (bins, columns)
    return ScoredSegments(
        bin_width_ms=_CONFIG.bin_width_ms,
        numbers=np.arange(2),
        vectors=random.standard_normal((2, 8), np.float32),
        bins=np.full(2, 50),
        true=behavior,
        decoded=behavior,
    )

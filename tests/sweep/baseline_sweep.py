"""A small store and a sweep over it whose baselines run in a second, for tests that need real results."""

from pathlib import Path

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.store.draws import write_draws
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job

SWEEP = """# Question: does the page show what ran?
name: small
preset: tiny
seeds: [0]
include: shared.yaml
sessions: {every: {modality: lfp}}
jobs: {ss_lfp: {train: lfp, each: every}}
methods: {SS-LFP: ss_lfp}
"""


def write_sweep(folder: Path, *lines: str, repeats: int = 1) -> Path:
    """Write a store of two sessions, one of them without LFP, and a sweep over it; returns the sweep file."""
    store, random = Store(str(folder / "store")), np.random.default_rng(0)
    config = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2, repeats=repeats))
    for name, lfp in (("a_1", random.normal(size=(2000, 5))), ("b_1", None)):
        session = Session.from_arrays(
            name,
            subject=name[0],
            bin_width_ms=20.0,
            spikes=random.poisson(0.5, (2000, 7)),
            lfp=lfp,
            behavior=random.normal(1, 4, (2000, 2)),
            behavior_names=("vx", "vy"),
            behavior_units=("cm/s", "cm/s"),
        )
        write_draws(store, session, config, name[0] * 64)
    store.publish()
    (folder / "shared.yaml").write_text("training: {epochs: 3}\n")
    path = folder / "sweep.yaml"
    path.write_text(SWEEP + f"store: {folder / 'store'}\n" + "".join(f"{line}\n" for line in lines))
    return path


def run_baselines(path: Path, overrides: tuple[str, ...] = ()):
    """Run the baselines of a sweep; returns the sweep, its plan before the run and its runs folder."""
    sweep, runs = load_sweep(path, overrides), RunsFolder(path.parent / "runs")
    planned = plan(sweep, Store(sweep.store).entries(), runs)
    for job in planned.jobs:
        if job.kind == "baseline":
            run_session_job(job, JobContext(runs, sweep.store))
    return sweep, planned, runs

"""Sweeps run in part: to the first failure, for some hours, for one method."""

import io
import shutil

import pytest
from rich.console import Console

from raydistill.errors import RaydistillError
from raydistill.store.store import Store
from raydistill.sweep.config.sweep import load_sweep
from raydistill.sweep.planning.plan import Choice, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import store_uri
from raydistill.sweep.running.driver import How, run_alone, run_sweep
from raydistill.sweep.running.progress import Progress

HOPELESS = ("jobs.teacher.training.learning_rate=1e12", "training.epochs=3")
SHORTER = ("jobs.ss_lfp.training.epochs=3",)


@pytest.fixture
def copy(finished_sweep, tmp_path, local_ray):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    return tmp_path / "copy"


def run(folder, overrides, **how):
    """Results, and what progress told."""
    runs, out = RunsFolder(folder / "runs"), io.StringIO()
    with Progress(runs, Console(file=out, width=300)) as progress:
        return run_sweep(load_sweep(folder / "sweep.yaml", overrides), runs, progress, How(**how)), out.getvalue()


def states(folder, overrides):
    sweep, runs = load_sweep(folder / "sweep.yaml", overrides), RunsFolder(folder / "runs")
    planned = plan(sweep, Store(store_uri(sweep, runs)).entries(), runs).planned
    return {p.job.name: p.state for p in planned}


def test_sweep_that_is_to_fail_fast_begins_nothing_after_the_first_failure(copy):
    results, told = run(copy, HOPELESS, fail_fast=True)
    assert results.failed and "lower `learning_rate`" in told
    found = states(copy, HOPELESS)
    assert {found[f"ss_lfp/S{i}_02/seed0"] for i in (1, 2)} == {"missing"}


def test_sweep_whose_hours_are_over_stops_and_goes_on_later(copy):
    with pytest.raises(KeyboardInterrupt, match="the 0 hours of --max-hours are over"):
        run(copy, SHORTER, choice=Choice(("SS-LFP",)), max_hours=0.0)
    run(copy, SHORTER, choice=Choice(("SS-LFP",)))
    assert set(states(copy, SHORTER).values()) == {"done"}


def test_only_the_chosen_sessions_are_run(copy):
    run(copy, SHORTER, choice=Choice(sessions="S1_*"))
    found = states(copy, SHORTER)
    assert (found["ss_lfp/S1_02/seed0"], found["ss_lfp/S2_02/seed0"]) == ("done", "missing")


def test_deleted_job_is_made_again_and_what_started_from_it_is_kept(copy, finished_sweep):
    sweep, runs = load_sweep(copy / "sweep.yaml"), RunsFolder(copy / "runs")
    planned = lambda: plan(sweep, Store(store_uri(sweep, runs)).entries(), runs)  # noqa: E731
    keys = {job.name: job.key for job in planned().jobs}
    deleted, student = (runs.job_folder(keys[f"{name}/S1_02/seed0"]) for name in ("teacher", "distilled"))
    made = (student / "_SUCCESS").stat().st_mtime_ns
    shutil.rmtree(deleted)
    reasons = {p.job.name: p.reason for p in planned().todo}
    assert reasons["teacher/S1_02/seed0"] == "not run yet" and len(reasons) == 2
    assert reasons["distilled/S1_02/seed0"].startswith("depends on teacher/S1_02/seed0, which will be rerun")

    run(copy, ())
    assert not planned().todo and (student / "_SUCCESS").stat().st_mtime_ns == made
    weights = (deleted / "model.safetensors").relative_to(copy)
    assert (copy / weights).read_bytes() == (finished_sweep / weights).read_bytes()


def test_job_whose_source_is_gone_cannot_be_run_alone(copy):
    sweep, runs = load_sweep(copy / "sweep.yaml"), RunsFolder(copy / "runs")
    jobs = {p.job.name: p.job for p in plan(sweep, Store(store_uri(sweep, runs)).entries(), runs).planned}
    shutil.rmtree(runs.job_folder(jobs["teacher/S1_02/seed0"].key))
    with pytest.raises(RaydistillError, match=r"distilled/S1_02/seed0 starts from job .* which is not done"):
        run_alone(runs, jobs["distilled/S1_02/seed0"].key, How())

"""Sweeps that are run in part: to the first failure, for some hours, for one method; and how often they are planned."""

import io
import os
import platform
import shutil
import time

import pytest
from rich.console import Console

from raydistill.cli import main
from raydistill.errors import RaydistillError
from raydistill.models.files import load_model
from raydistill.sweep.answering.card import provenance_of
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.selection import Selection
from raydistill.sweep.running.deadline import Deadline
from raydistill.sweep.running.driver import run_single_job, run_sweep
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.tuning import plan as planning

HOPELESS = ("jobs.teacher.training.learning_rate=1e12", "training.epochs=3")
SHORTER = ("jobs.ss_lfp.training.epochs=3",)


@pytest.fixture
def copy(finished_sweep, tmp_path, local_ray):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    return tmp_path / "copy"


def opened(folder, overrides=()):
    return OpenSweep(load_sweep(folder / "sweep.yaml", overrides), RunsFolder(folder / "runs"))


def run(folder, overrides, **options):
    """The results, and everything that was printed."""
    sweep, out = opened(folder, overrides), io.StringIO()
    with SweepProgress(sweep.runs, Console(file=out, width=300)) as progress:
        return run_sweep(sweep, progress, RunOptions(**options)), out.getvalue()


def states(folder, overrides):
    return {p.job.name: p.state for p in opened(folder, overrides).plan().planned}


def test_sweep_with_fail_fast_starts_nothing_after_the_first_failure(copy):
    results, printed = run(copy, HOPELESS, fail_fast=True)
    assert results.failed and "lower `learning_rate`" in printed
    found = states(copy, HOPELESS)
    assert {found[f"ss_lfp/S{i}_02/seed0"] for i in (1, 2)} == {"missing"}


def test_sweep_stopped_by_its_time_limit_continues_later(copy):
    with pytest.raises(KeyboardInterrupt, match=r"the limit of 0 hours \(--max-hours\) is reached"):
        run(copy, SHORTER, selection=Selection(("SS-LFP",)), deadline=Deadline.after(0.0))
    run(copy, SHORTER, selection=Selection(("SS-LFP",)))
    assert set(states(copy, SHORTER).values()) == {"done"}


def test_trainings_stopped_by_the_time_limit_end_with_the_same_weights(copy, finished_sweep, tmp_path):
    longer = ("jobs.ms_spike.training.epochs=40", "jobs.teacher.training.epochs=40", "training.patience=1000")
    part, stopped_at = Selection(("MS-Spike",), "S1_*"), set()
    whole = tmp_path / "whole"
    shutil.copytree(finished_sweep, whole)
    start = time.monotonic()
    run(whole, longer, selection=part)
    limit_s = (time.monotonic() - start) / 3  # longer each time that no training had begun
    for _ in range(20):
        try:
            run(copy, longer, selection=part, deadline=Deadline.after(None if stopped_at else limit_s / 3600))
            break
        except KeyboardInterrupt as limit:
            assert "(--max-hours) is reached" in str(limit)
            plan = opened(copy, longer).plan()
            stopped_at |= {(p.job.name, p.reason) for p in plan.todo if p.reason.startswith("continues after")}
            limit_s *= 1.15
    assert stopped_at

    for planned in opened(whole, longer).plan().planned:
        if planned.job.trains and planned.state == "done":
            for file in ("model.safetensors", "history.jsonl"):
                job = f"runs/jobs/{planned.job.key}/{file}"
                assert (copy / job).read_bytes() == (whole / job).read_bytes(), (planned.job.name, file)


def test_sweep_whose_records_cannot_be_written_runs_to_its_end_and_says_so_once(copy):
    rates = copy / "runs" / "rates.json"
    rates.unlink()
    rates.mkdir()  # a file cannot replace it
    results, printed = run(copy, SHORTER, selection=Selection(("SS-LFP",)))
    assert not results.failed and set(states(copy, SHORTER).values()) == {"done"}
    assert printed.count("cannot write") == 1 and "cannot write rates.json ([Errno 21]" in printed
    assert printed.count("done    ss_lfp/") == 2


def test_sweep_that_cannot_record_a_failure_ends_with_an_error(copy):
    keys = {job.name: job.key for job in opened(copy, HOPELESS).plan().jobs}
    for session in ("S1_02", "S2_02"):
        job = copy / "runs" / "jobs" / keys[f"teacher/{session}/seed0"]
        (job / f".failure.json.{os.getpid()}.tmp").mkdir(parents=True)  # a file cannot be written under this name
    with pytest.raises(RaydistillError, match=r"2 records could not be written \(a job's failure.json: .*Errno 21"):
        run(copy, HOPELESS, selection=Selection(("MS-Spike",)))


def test_pretraining_records_the_machine_of_its_workers_and_not_that_of_the_driver(copy, monkeypatch):
    shorter, here = ("jobs.ms_spike.training.epochs=1", "jobs.teacher.training.epochs=1"), platform.machine()
    monkeypatch.setattr(platform, "machine", lambda: "another")
    run(copy, shorter, selection=Selection(("MS-Spike",), "S1_*"))
    sweep = opened(copy, shorter)
    made = [p.job for p in sweep.plan().planned if p.state == "done" and p.job.line in ("ms_spike", "teacher")]
    assert {job.line for job in made} == {"ms_spike", "teacher"}
    for job in made:
        recorded = load_model(sweep.runs.job_folder(job.key)).spec.provenance, provenance_of(job, sweep.runs)
        assert [about["machine"] for about in recorded] == [here, here], job.name
        assert all({"python", "system", "threads", "bf16", "torch", "code"} <= about.keys() for about in recorded)


def test_only_the_selected_sessions_are_run(copy):
    run(copy, SHORTER, selection=Selection(sessions="S1_*"))
    found = states(copy, SHORTER)
    assert (found["ss_lfp/S1_02/seed0"], found["ss_lfp/S2_02/seed0"]) == ("done", "missing")


def test_deleted_job_is_rerun_and_the_job_that_started_from_it_is_kept(copy, finished_sweep):
    sweep = opened(copy)
    keys = {job.name: job.key for job in sweep.plan().jobs}
    deleted, student = (sweep.runs.job_folder(keys[f"{name}/S1_02/seed0"]) for name in ("teacher", "distilled"))
    marked_at = (student / "_SUCCESS").stat().st_mtime_ns
    shutil.rmtree(deleted)
    reasons = {p.job.name: p.reason for p in sweep.plan().todo}
    assert reasons["teacher/S1_02/seed0"] == "not run yet" and len(reasons) == 2
    reason = "depends on teacher/S1_02/seed0, which will be rerun; kept if its weights are unchanged"
    assert reasons["distilled/S1_02/seed0"] == reason

    run(copy, ())
    assert not sweep.plan().todo and (student / "_SUCCESS").stat().st_mtime_ns == marked_at
    weights = (deleted / "model.safetensors").relative_to(copy)
    assert (copy / weights).read_bytes() == (finished_sweep / weights).read_bytes()


def test_single_job_whose_source_is_missing_is_refused(copy):
    sweep = opened(copy)
    keys = {job.name: job.key for job in sweep.plan().jobs}
    shutil.rmtree(sweep.runs.job_folder(keys["teacher/S1_02/seed0"]))
    with pytest.raises(RaydistillError, match=r"distilled/S1_02/seed0 starts from job .* which is not done"):
        run_single_job(sweep.runs, keys["distilled/S1_02/seed0"], RunOptions(), print)


def test_sweep_command_expands_its_jobs_once_whether_or_not_any_are_left_to_run(copy, monkeypatch):
    expansions, expand = [], planning.expand
    monkeypatch.setattr(planning, "expand", lambda *given: expansions.append(1) or expand(*given))
    monkeypatch.chdir(copy)
    command = ["sweep", "sweep.yaml", "--set", SHORTER[0]]
    for _ in ("with two jobs to run", "with none"):
        expansions.clear()
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert (ended.value.code, len(expansions)) == (0, 1)
    assert set(states(copy, SHORTER).values()) == {"done"}

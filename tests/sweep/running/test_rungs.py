"""The scores of a training at the rungs of a search."""

import json
import shutil

import pytest

from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, advance_job, run_session_job
from raydistill.sweep.running.rungs import RUNGS, valid_r2_at
from tests.sweep.baseline_sweep import write_sweep


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A job of three epochs, and its store."""
    path = write_sweep(tmp_path_factory.mktemp("rungs"))
    sweep = load_sweep(path, ["model.dropout=0.1"])
    jobs = plan(sweep, Store(sweep.store).entries(), RunsFolder(path.parent / "runs")).jobs
    return next(job for job in jobs if job.trains), sweep.store


@pytest.fixture
def trained(planned, tmp_path):
    """The job, and where it runs."""
    job, store = planned
    return job, JobContext(RunsFolder(tmp_path / "runs"), store)


def test_scores_at_rungs_are_those_of_a_training_that_stops_there(trained, tmp_path):
    job, context = trained
    scores = [valid_r2_at(job, context, epoch, ()) for epoch in (1, 2)]
    final = advance_job(job, context, 3)
    for epoch, score in zip((1, 2), scores, strict=True):
        alone = JobContext(RunsFolder(tmp_path / f"until_{epoch}"), context.store)
        assert advance_job(job, alone, epoch)["valid_r2"] == score
    whole = JobContext(RunsFolder(tmp_path / "whole"), context.store)
    run_session_job(job, whole)
    assert whole.runs.metrics(job.key)["valid_r2"] == final["valid_r2"]
    assert scores[0] != final["valid_r2"]


def test_finished_job_has_the_scores_of_the_rungs_that_it_was_paused_at_and_no_others(trained):
    job, context = trained
    score = valid_r2_at(job, context, 1, ())
    final = advance_job(job, context, 3)
    assert valid_r2_at(job, context, 1, ()) == score != final["valid_r2"]
    assert valid_r2_at(job, context, 2, ()) is None
    assert valid_r2_at(job, context, 3, ()) == final["valid_r2"]
    assert context.runs.is_done(job.key)


def test_job_that_a_sweep_ran_has_no_score_at_an_earlier_epoch(trained):
    job, context = trained
    run_session_job(job, context)
    assert valid_r2_at(job, context, 1, ()) is None
    assert not (context.runs.job_folder(job.key) / RUNGS).exists()


def test_training_that_was_killed_after_a_rung_reports_the_score_of_the_rung(trained):
    job, context = trained
    score = valid_r2_at(job, context, 1, ())
    later = valid_r2_at(job, context, 2, ())
    assert later != score == valid_r2_at(job, context, 1, ())
    (context.runs.job_folder(job.key) / RUNGS).write_text("{damaged")
    assert valid_r2_at(job, context, 1, ()) is None  # its checkpoint is of epoch 2
    assert valid_r2_at(job, context, 2, ()) == later


def test_scores_are_kept_for_the_behavior_that_they_decode(trained):
    job, context = trained
    valid_r2_at(job, context, 1, ("vx",))
    folder = context.runs.job_folder(job.key)
    assert json.loads((folder / RUNGS).read_text())[0]["columns"] == ["vx"]
    shutil.rmtree(folder / "checkpoints")
    assert valid_r2_at(job, context, 1, ("vx",)) == valid_r2_at(job, context, 1, ("vy",))  # a job on one session

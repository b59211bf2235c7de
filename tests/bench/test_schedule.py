"""Simulated schedules of small graphs whose best makespan is known, and those of the paper's sweeps."""

import pytest

from raydistill.bench.catalogue import catalogue_jobs
from raydistill.bench.schedule import measured_seconds, paper_seconds, simulate
from raydistill.errors import ConfigError
from tests.paths import SWEEPS
from tests.sweep.jobs import make_job


@pytest.fixture(scope="module")
def jobs():
    return catalogue_jobs(SWEEPS, minutes=10)


def test_four_jobs_share_a_gpu():
    jobs = [make_job(str(number)) for number in range(8)]
    schedule = simulate(jobs, {job.key: 10.0 for job in jobs}, gpus=1)
    assert (schedule.makespan, schedule.bound) == (20.0, 20.0)


def test_pretraining_on_fewer_gpus_than_it_may_use_takes_longer():
    job = make_job("ms", session=None, workers=(1, 4))
    assert [simulate([job], {"ms": 10.0}, gpus).makespan for gpus in (1, 2, 4, 8)] == [40.0, 20.0, 10.0, 10.0]


def test_jobs_run_during_a_pretraining_and_after_it():
    jobs = [make_job("ms", session=None), make_job("student", "ms"), *(make_job(str(n)) for n in range(8))]
    seconds = {job.key: 10.0 for job in jobs} | {"ms": 20.0}
    schedule = simulate(jobs, seconds, gpus=2)
    assert (schedule.makespan, schedule.bound) == (30.0, 30.0)


def test_pretraining_that_becomes_ready_is_not_kept_waiting_by_jobs():
    short = [make_job(f"short{number}") for number in range(8)]
    jobs = [make_job("teacher"), *short, make_job("ms", "teacher", session=None)]
    seconds = {job.key: 10.0 for job in jobs} | {"teacher": 1.0, "ms": 30.0}
    assert simulate(jobs, seconds, gpus=1).makespan <= 1 + 10 + 30 + 20


@pytest.mark.parametrize("seconds_of", [measured_seconds, lambda jobs: paper_seconds(jobs, 10)])
@pytest.mark.parametrize("gpus, share", [(1, 0.99), (8, 0.95), (32, 0.95), (128, 0.85), (256, 0.85)])
def test_sweeps_of_the_paper_take_hardly_longer_than_the_lower_bound(jobs, seconds_of, gpus, share):
    schedule = simulate(jobs, seconds_of(jobs), gpus)
    assert share <= schedule.bound / schedule.makespan <= 1 + 1e-9


def test_sweeps_of_the_paper_have_thousands_of_jobs(jobs):
    assert len(jobs) == len({job.key for job in jobs}) > 2305


def test_folder_without_the_sweeps_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no sweep there includes include/paper\.yaml"):
        catalogue_jobs(tmp_path, minutes=10)

"""What a sweep asks for is compared with what Ray has: refused with the line of the file, or waited for with a word."""

import pytest

from raydistill.cluster.room import Machine, Room
from raydistill.errors import ConfigError
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import lines_named, load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.room import check_room
from tests.commands import SWEEP

GROWING = Room((Machine(0),), (Machine(4, 1, most=2),))


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Check the jobs of the small sweep with these overrides, on these nodes or on the local Ray of the tests."""

    def check(*overrides, device="cpu", there_is=None, only=None):
        file = tmp_path / "sweep.yaml"
        file.write_text(SWEEP)
        config = load_sweep(file, overrides)
        jobs = OpenSweep(config, RunsFolder(tmp_path / "runs")).plan().jobs
        if there_is is not None:
            monkeypatch.setattr("raydistill.sweep.running.room.room", lambda: there_is)
            monkeypatch.setattr("raydistill.sweep.running.room.is_local", lambda: False)
        with lines_named(file, overrides):
            check_room(config, jobs, device)

    return check


def line_of(text):
    return next(number for number, line in enumerate(SWEEP.splitlines(), 1) if text in line)


def test_sweep_that_fits_the_local_ray_passes(local_ray, checked):
    checked()
    checked("cpus_per_job=5", "jobs.ms_spike.workers=5")


def test_more_cpus_per_job_than_cores_are_refused_with_the_value(local_ray, checked):
    with pytest.raises(ConfigError, match=r"^--set: cpus_per_job: `cpus_per_job: 6`.*lower `cpus_per_job`"):
        checked("cpus_per_job=6")


def test_more_workers_than_cores_are_refused_with_the_override_or_the_line(local_ray, checked, monkeypatch):
    message = r"jobs.ms_spike.workers: `workers: 6`.*set `workers: \[1, 6\]`"
    with pytest.raises(ConfigError, match=f"^--set: {message}"):
        checked("jobs.ms_spike.workers=6")
    monkeypatch.setattr("tests.sweep.running.test_room.SWEEP", SWEEP.replace("workers: 2", "workers: 6"))
    with pytest.raises(ConfigError, match=rf"sweep.yaml:{line_of('ms_spike: {')}: {message}"):
        checked()
    checked("jobs.ms_spike.workers=[1, 6]")


def test_cuda_without_a_gpu_is_refused(local_ray, checked):
    with pytest.raises(ConfigError, match=r"`--device cuda`: Ray has no GPU .*give --device cpu"):
        checked(device="cuda")


def test_two_workers_on_one_gpu_are_refused_and_one_or_two_are_not(checked):
    one_gpu = Room((Machine(17, 1),))
    with pytest.raises(ConfigError, match=r"`workers: 2`.*needs 1 CPU and 1 GPU .*but Ray has 17 CPUs and 1 GPUs"):
        checked(device="cuda", there_is=one_gpu)
    checked("jobs.ms_spike.workers=[1, 2]", device="cuda", there_is=one_gpu)


def test_cluster_that_can_grow_is_asked_for_no_more_than_it_can_have(checked):
    checked(device="cuda", there_is=GROWING)
    with pytest.raises(ConfigError, match=r"`workers: 3`.*can start 2 x \(4 CPUs and 1 GPUs\)"):
        checked("jobs.ms_spike.workers=3", device="cuda", there_is=GROWING)
    with pytest.raises(ConfigError, match=r"`cpus_per_job: 5`"):
        checked("cpus_per_job=5", device="cuda", there_is=GROWING)


def test_cluster_without_cpus_is_not_told_to_ask_for_less_than_one(checked):
    head = Room((Machine(0),))
    with pytest.raises(ConfigError, match=r"0 CPUs and 0 GPUs; add a node with CPUs to the cluster$"):
        checked(there_is=head)
    with pytest.raises(ConfigError, match="lower `cpus_per_job`"):
        checked("cpus_per_job=2", there_is=head)

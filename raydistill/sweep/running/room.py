"""Comparing what the jobs of a sweep ask for with what Ray has, because Ray would wait for the rest without a word."""

from collections.abc import Iterable

from raydistill.cluster import cores, is_local
from raydistill.cluster.room import Need, Room, room
from raydistill.errors import ConfigError
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job import Job
from raydistill.training.distributed import most_workers, need_of_worker


def check_room(config: SweepConfig, jobs: Iterable[Job], device: str) -> None:
    """Check that each of these jobs fits the Ray that this process is connected to, or what it can grow to.

    Args:
        device: cpu or cuda.
    Raises:
        ConfigError: one does not fit; its `at` is the value in the sweep file.
    """
    jobs, there_is = list(jobs), room()
    if on_sessions := [job for job in jobs if not job.is_pretraining]:
        check_room_of_trials(config, device_needed(on_sessions, device), there_is)
    for job in jobs:
        if job.is_pretraining:
            _check_pretraining(job, device, there_is)


def check_room_of_trials(config: SweepConfig, device: str, there_is: Room | None = None) -> None:
    """`check_room` of jobs that run in one process each."""
    there_is, local = there_is or room(), is_local()
    need, spare = need_of_session_job(config, device), int(local)  # a local Ray has one CPU more than there are
    if there_is.grown(need) and not (local and need.cpus > max(node.cpus for node in there_is.nodes) - spare):
        return
    if device == "cuda" and not there_is.grown(Need(0, need.gpus)):
        raise ConfigError(_no_gpu(there_is), at=("gpu_per_job",))
    has = f"this machine has {_cores()}" if local else f"Ray has {there_is}"
    lower = "lower `cpus_per_job`, for example by --set cpus_per_job=1"
    raise ConfigError(
        f"`cpus_per_job: {config.cpus_per_job}`: no job could ever start, because one needs {need}, but {has}; "
        + (lower if config.cpus_per_job > 1 else "add a node with CPUs to the cluster"),
        at=("cpus_per_job",),
    )


def _check_pretraining(job: Job, device: str, there_is: Room) -> None:
    fewest, at, use_gpu = job.workers[0], ("jobs", job.line, "workers"), device == "cuda"
    if use_gpu and not there_is.grown(Need(0, 1)):
        raise ConfigError(_no_gpu(there_is), at=at)
    possible = most_workers(there_is, use_gpu)
    if possible >= fewest:
        return
    gpus = there_is.now(Need(0, 1)) if use_gpu else 0
    has = f"this machine has {_cores()} and {gpus} GPUs" if is_local() else f"Ray has {there_is}"
    raise ConfigError(
        f"`workers: {fewest}`: {job.name} could never start, because each worker needs {need_of_worker(use_gpu)} "
        f"of its own, and one CPU must be left for reading, but {has}; set `workers: [1, {fewest}]` for as many as "
        "there is room for (any number gives the same result up to rounding)",
        at=at,
    )


def device_needed(jobs: Iterable[Job], device: str) -> str:
    """cpu if none of these jobs computes on a GPU, although others of their sweep may."""
    return device if any(job.uses_gpu for job in jobs) else "cpu"


def need_of_session_job(config: SweepConfig, device: str) -> Need:
    """What a job on one session occupies. cluster.yaml keeps the nodes of the pool `pretraining` for pretrainings."""
    return Need(config.cpus_per_job, config.gpu_per_job if device == "cuda" else 0, not_in="pretraining")


def _cores() -> str:
    return f"{cores()} core{'s' * (cores() > 1)}"


def _no_gpu(there_is: Room) -> str:
    return f"`--device cuda`: Ray has no GPU ({there_is}); give --device cpu, or --address of a cluster with GPUs"

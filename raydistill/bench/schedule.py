"""`bench schedule`: how long a sweep of thousands of jobs takes on 1 to 256 GPUs, by simulation with its own queue.

No job runs. The run times are those of docs/measurements.md, and `simulate` deals jobs as a sweep does.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from raydistill.bench import Report, versions
from raydistill.bench.catalogue import SEGMENT_S, TRAIN_SHARE, catalogue_jobs
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.spec import TrainingSpec
from raydistill.sweep.running.queue import Queue, longest_paths

GPUS = tuple(2**power for power in range(9))
PER_GPU = 4
"""Jobs on one session that share a GPU (`gpu_per_job: 0.25`)."""

_MEASURED_S = {
    ("distill", "lfp"): 1.9,
    ("control", "lfp"): 1.9,
    ("finetune", "spikes"): 1.75,
    ("finetune", "lfp"): 1.7,
    ("train", "lfp"): 1.8,
    ("train", "multimodal"): 1.8,
    ("evaluate", None): 0.14,
    ("baseline", None): 0.08,
}
"""(kind, modality) -> mean seconds of a job on one session of half a minute (docs/measurements.md)."""
_PRETRAINING_S, _PRETRAINING_S_PER_SESSION = 20.0, 0.38
"""Of the same table: a line through its three pretrainings, on 226, 34 and 14 sessions, within 7 s of each."""
_STEP_S = {8: 0.072, 32: 0.081, 64: 0.093}
"""Segments on a GPU -> seconds of a training step, `paper` preset in bf16 on an H100 (docs/measurements.md)."""
_DECODING_S_PER_MINUTE = 0.24
"""Of a session, for a job that trains nothing: the measured 0.14 s for 36 s of recording."""


@dataclass(frozen=True)
class SimulatedRun:
    """What a simulated sweep takes, in seconds."""

    makespan: float
    bound: float
    """No order of the jobs takes less: the longer of the critical path and the work divided by the GPUs."""


def bench_schedule(
    *, sweeps: str = "sweeps", minutes: float = 10.0, say: Callable[[str], None] = lambda text: None
) -> Report:
    """Simulate all sweeps of the paper together, once with measured seconds of small jobs and once at full size.

    `small_...`: sessions of half a minute, preset `tiny`, seconds of CPU jobs as measured. `paper_...`: preset `paper`
    with all of its epochs, sessions of `minutes`, on GPUs that take as long for a step as an H100 does; four jobs that
    share a GPU are taken to be as fast as one alone. `..._share_of_bound`: the lower bound divided by the makespan.

    Args:
        sweeps: folder of the sweep files.
        minutes: length of a session.
    """
    jobs = catalogue_jobs(Path(sweeps), minutes)
    say(f"{len(jobs)} jobs of the paper's sweeps")
    figures: dict[str, float] = {"jobs": len(jobs)}
    for name, seconds in (("small", measured_seconds(jobs)), ("paper", paper_seconds(jobs, minutes))):
        figures[f"{name}_gpu_hours"] = sum(_share(job, job.workers[1]) * seconds[job.key] for job in jobs) / 3600
        for gpus in GPUS:
            schedule = simulate(jobs, seconds, gpus)
            figures[f"{name}_{gpus}_gpus_hours"] = schedule.makespan / 3600
            figures[f"{name}_{gpus}_gpus_share_of_bound"] = schedule.bound / schedule.makespan
    return Report(
        what="schedule", device="simulated", threads=1, precision="fp32", figures=figures, versions=versions("ray")
    )


def measured_seconds(jobs: Sequence[Job]) -> dict[str, float]:
    """Key -> seconds, as was measured for jobs of this kind."""
    return {job.key: _measured_s(job) for job in jobs}


def paper_seconds(jobs: Sequence[Job], minutes: float) -> dict[str, float]:
    """Key -> seconds on as many GPUs as the job may use, from the measured time of a training step."""
    return {job.key: _training_s(job, minutes) for job in jobs}


def _measured_s(job: Job) -> float:
    if job.is_pretraining:
        return _PRETRAINING_S + _PRETRAINING_S_PER_SESSION * len(job.spec.sessions)
    return _MEASURED_S[job.kind, job.spec.model.modality if isinstance(job.spec, TrainingSpec) else None]


def _training_s(job: Job, minutes: float) -> float:
    if not isinstance(job.spec, TrainingSpec) or job.spec.training is None:
        return _DECODING_S_PER_MINUTE * minutes
    segments = len(job.spec.sessions) * int(minutes * 60 / SEGMENT_S * TRAIN_SHARE)
    recipe = job.spec.training
    on_one_gpu = recipe.batch / job.workers[1]
    step_s = next((seconds for batch, seconds in sorted(_STEP_S.items()) if batch >= on_one_gpu), max(_STEP_S.values()))
    return recipe.epochs * ceil(segments / recipe.batch) * step_s


def simulate(jobs: Sequence[Job], seconds: Mapping[str, float], gpus: int) -> SimulatedRun:
    """Run jobs in simulated time, in the order of the sweep's queue.

    A pretraining has its GPUs for itself and takes in proportion longer on fewer than it may use; `PER_GPU` jobs on one
    session share a GPU (baselines too, which a sweep runs on CPUs). A pretraining that is ready is not kept waiting by
    jobs that could start before it: they wait until it has its GPUs.

    Args:
        jobs: each after the jobs that it depends on.
        seconds: key -> run time, of a pretraining on the most workers that it may use.
        gpus: each with room for one worker of a pretraining.
    """
    seconds = {job.key: seconds[job.key] * job.workers[1] / _width(job, gpus) for job in jobs}
    queue = Queue(jobs, set(), seconds=seconds)
    free, now, running = [PER_GPU] * gpus, 0.0, list[tuple[float, str, list[int]]]()
    while queue.waiting or running:
        while started := _start(queue, free, gpus):
            job, places = started
            heapq.heappush(running, (now + seconds[job.key], job.key, places))
        now, key, places = heapq.heappop(running)
        queue.succeed(key)
        for place in places:
            free[place] += 1
    work = sum(_share(job, _width(job, gpus)) * seconds[job.key] for job in jobs)
    return SimulatedRun(makespan=now, bound=max(max(longest_paths(jobs, seconds).values()), work / gpus))


def _start(queue: Queue, free: list[int], gpus: int) -> tuple[Job, list[int]] | None:
    """Start the next job that has room, in the free quarters of GPUs; returns it and the GPU of each quarter."""
    empty = [gpu for gpu, quarters in enumerate(free) if quarters == PER_GPU]
    if waiting := queue.peek(pretraining=True):
        if len(empty) < _width(waiting, gpus):
            return None
        queue.next(pretraining=True)
        return waiting, _take(free, empty[: _width(waiting, gpus)] * PER_GPU)
    # The fullest GPU that has room, so that others stay empty.
    with_room = [gpu for gpu, quarters in enumerate(free) if quarters]
    job = queue.next() if with_room else None
    return (job, _take(free, [min(with_room, key=lambda gpu: free[gpu])])) if job else None


def _take(free: list[int], places: list[int]) -> list[int]:
    for place in places:
        free[place] -= 1
    return places


def _width(job: Job, gpus: int) -> int:
    """Workers of a pretraining; 1 of another job."""
    return min(job.workers[1], gpus)


def _share(job: Job, workers: int) -> float:
    """GPUs that a job occupies."""
    return workers if job.is_pretraining else 1 / PER_GPU

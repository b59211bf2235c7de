"""How long jobs will take: by the rates measured in this runs folder or, before any was, by counting."""

import json
from collections.abc import Mapping
from pathlib import Path

from raydistill.files import write_json
from raydistill.sweep.planning.job import Job

# Of one CPU core: 1.3e10 measured at a width of 64, 3.7e10 at 256. Small matrices do not fill it.
ASSUMED_FLOPS_PER_S, HALF_OF_THEM_AT_WIDTH = 6e10, 230
ASSUMED_S_PER_BIN = 1e-4  # of a job that trains nothing
RATES = "rates.json"


def work(job: Job, bins: Mapping[str, int]) -> float:
    """Multiplications of the encoder: 6 a weight and bin, over all epochs; of a job that trains nothing, its bins.

    Args:
        bins: of each session.
    """
    total = sum(bins[name] for name in job.spec["sessions"])
    if "training" not in job.spec:
        return float(total)
    width, layers = job.spec["model"]["width"], job.spec["model"]["layers"]
    weights = layers * (4 + 3 * job.spec["model"]["mlp_ratio"]) * width**2
    return 6.0 * weights * total * job.spec["training"]["epochs"] / job.workers[1]


def pace(job: Job, rates: Mapping[str, Mapping[str, float]]) -> float:
    """Seconds a unit of work."""
    if measured := rates.get(_kind(job)):
        return measured["seconds"] / measured["work"]
    if "training" not in job.spec:
        return ASSUMED_S_PER_BIN
    width = job.spec["model"]["width"]
    return (width + HALF_OF_THEM_AT_WIDTH) / width / ASSUMED_FLOPS_PER_S


def known_rates(runs: Path) -> dict[str, dict[str, float]]:
    """Kind of job -> the work and the seconds of all that were done in this folder."""
    try:
        return json.loads((runs / RATES).read_text())
    except (OSError, ValueError):
        return {}


def learn(runs: Path, job: Job, done: float, seconds: float) -> None:
    """Take a job that is done into the rates."""
    rates = known_rates(runs)
    before = rates.get(_kind(job), {"work": 0.0, "seconds": 0.0})
    rates[_kind(job)] = {"work": before["work"] + done, "seconds": before["seconds"] + seconds}
    write_json(runs / RATES, rates)


def _kind(job: Job) -> str:
    """Jobs that go at one pace."""
    if job.kind == "baseline":
        return job.spec["baseline"]
    if job.kind == "evaluate":
        return "evaluate"
    return f"{'pretrain' if job.is_pretraining else job.kind} {job.spec['modality']} {job.spec['model']['backbone']}"

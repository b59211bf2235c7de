"""How long jobs will take: from the rates measured in the runs folder, or from assumed ones before there are any."""

from collections.abc import Mapping

from raydistill.models.families import FAMILIES
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import Rates, RunsFolder
from raydistill.sweep.planning.spec import BaselineSpec, ImportedSpec, TrainingSpec

# Of one CPU core: 1.3e10 measured at a width of 64, 3.7e10 at 256. Small matrices do not use a core fully.
ASSUMED_FLOPS_PER_S, HALF_SPEED_WIDTH = 6e10, 230
ASSUMED_S_PER_BIN = 1e-4  # of a job that trains no network


def work(job: Job, n_bins: Mapping[str, int]) -> float:
    """The amount of work in a job, which is proportional to its run time.

    For a training: floating-point operations, 6 per weight and bin over all epochs, per worker.
    For a job that trains no network: the number of its bins.

    Args:
        n_bins: session -> number of bins.
    """
    total = sum(n_bins[name] for name in job.spec.sessions)
    if not isinstance(job.spec, TrainingSpec):
        return float(total)
    weights = FAMILIES[job.spec.family].parameters(job.spec.model, patches=0)
    return 6.0 * weights * total * job.spec.epochs / job.workers[1]


def pace(job: Job, rates: Rates) -> float:
    """Seconds per unit of work."""
    if measured := rates.get(_kind(job)):
        return measured["seconds"] / measured["work"]
    if not isinstance(job.spec, TrainingSpec):
        return ASSUMED_S_PER_BIN
    width = job.spec.model.width
    return (width + HALF_SPEED_WIDTH) / width / ASSUMED_FLOPS_PER_S


def update_rates(runs: RunsFolder, job: Job, work_done: float, seconds: float) -> None:
    """Add a finished job to the rates of a runs folder."""
    rates = runs.rates()
    before = rates.get(_kind(job), {"work": 0.0, "seconds": 0.0})
    rates[_kind(job)] = {"work": before["work"] + work_done, "seconds": before["seconds"] + seconds}
    runs.write_rates(rates)


def _kind(job: Job) -> str:
    """A name that jobs with the same pace share."""
    match job.spec:
        case BaselineSpec():
            return job.spec.baseline
        case TrainingSpec():
            verb = "pretrain" if job.is_pretraining else job.kind
            backbone = getattr(job.spec.model, "backbone", None)
            return f"{verb} {job.spec.model.modality} {backbone.name if backbone else job.spec.family}"
    return "imported" if isinstance(job.spec, ImportedSpec) else "evaluate"

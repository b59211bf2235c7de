"""How long jobs will take: from the rates measured in the runs folder, or from assumed ones before there are any."""

from collections.abc import Mapping

from raydistill.models.families import FAMILIES
from raydistill.models.layers.parameters import TokenCount
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.job import Job, session_patches
from raydistill.sweep.planning.pieces import longest_input
from raydistill.sweep.planning.runs_folder import Rates, RunsFolder
from raydistill.sweep.planning.spec import BaselineSpec, ImportedSpec, TrainingSpec

# Of one CPU core, at a width of 64 a fifth of this. Small matrices do not use a core fully. Measured within a factor of
# 1.5: 1 to 4 patches per bin, BaRISTA and BRANT with 32 to 96 channels, and widths of 32 to 256.
ASSUMED_FLOPS_PER_S, HALF_SPEED_WIDTH = 1.7e11, 230
ASSUMED_FLOPS_PER_S_OF_BINS = 6e10  # of networks that read bins one after another
ASSUMED_S_PER_BIN = 1e-4  # of a job that trains no network
_FLOPS, _FLOPS_FROZEN = 6.0, 2.0  # per weight and token: forward and backward, or forward alone


def work(job: Job, entries: Mapping[str, Entry]) -> float:
    """The amount of work in a job, which is proportional to its run time.

    For a training: floating-point operations over all epochs, per worker. Every token passes through every weight, and
    attends to other tokens. For a job that trains no network: the number of its bins.

    Args:
        entries: session -> what the store says of it, of all sessions that the job reads.
    Raises:
        ConfigError: the model cannot read one of the sessions.
    """
    read = [entries[name] for name in job.spec.sessions]
    if not isinstance(job.spec, TrainingSpec):
        return float(sum(e.n_bins for e in read))
    patches = session_patches(job, read)
    per_epoch = sum(e.n_bins * _weights_per_bin(job.spec, patches[e.session], e) for e in read)
    flops = _FLOPS_FROZEN if job.spec.freeze == "encoder" else _FLOPS
    return flops * per_epoch * job.spec.epochs / job.workers[1]


def _weights_per_bin(spec: TrainingSpec, patches: int, entry: Entry) -> float:
    """How many weights a bin passes through, where a token counts as often as it is read by attention."""
    weights = FAMILIES[spec.family].parameters(spec.model, patches=0)
    tokens = _tokens(spec, patches, longest_input(spec.training, entry))
    if tokens is None:
        return weights
    side = tokens.masked_side
    encoder = weights - (side.parameters if side else 0)
    # Attention is 2 * attended * width multiplications per layer, and twice as fast as those by weights: measured.
    of_all = encoder + tokens.attended * spec.model.width * tokens.layers
    ratio = getattr(spec.objective, "mask_ratio", None)
    if side is None or ratio is None:
        return tokens.per_bin * of_all
    visible = 1 - ratio
    of_visible = visible * (encoder + visible * tokens.attended * spec.model.width * tokens.layers)
    of_side = side.parameters + tokens.attended * side.width * side.layers
    reads_all_as_well = spec.objective is not None and spec.objective.needs.behavior
    return tokens.per_bin * (of_visible + of_side + (of_all if reads_all_as_well else 0.0))


def _tokens(spec: TrainingSpec, patches: int = 1, bins: int = 1) -> TokenCount | None:
    return FAMILIES[spec.family].tokens(spec.model, patches, bins)


def pace(job: Job, rates: Rates) -> float:
    """Seconds per unit of work."""
    if measured := rates.get(_kind(job)):
        return measured["seconds"] / measured["work"]
    if not isinstance(job.spec, TrainingSpec):
        return ASSUMED_S_PER_BIN
    width = job.spec.model.width
    flops_per_s = ASSUMED_FLOPS_PER_S if _tokens(job.spec) else ASSUMED_FLOPS_PER_S_OF_BINS
    return (width + HALF_SPEED_WIDTH) / width / flops_per_s


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
            return " ".join([verb, job.spec.model.modality, job.spec.family, *([backbone.name] if backbone else [])])
    return "imported" if isinstance(job.spec, ImportedSpec) else "evaluate"

"""How late the methods and baselines of a plan answer."""

from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.delay import Delay
from raydistill.sweep.answering.sees import trainings_of
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.spec import BaselineSpec, ImportedSpec, TrainingSpec

NAMES = {"transformer": "Transformer", "lstm": "LSTM", "gru": "GRU", "cnn": "CNN", "mamba": "Mamba"}
"""Backbone -> its name in a figure."""
FAMILIES = {"realm": "REALM", "msid": "MSID", "ndt2": "NDT2", "barista": "BaRISTA", "brant": "BRANT"}
"""Family -> its name in a figure; models of other families are named by their backbone."""


def delays_of(plan: Plan) -> dict[str, Delay]:
    """Method -> its delay, of models of LFP alone, and of the baselines on LFP that do not know the time of the trial.

    Empty if the decoded sessions have bins of several widths.
    """
    jobs, delays = {job.key: job for job in plan.jobs}, dict[str, Delay]()
    if plan.bin_width_ms is None:
        return {}
    for job in plan.jobs:
        if not job.method or job.kind == "control" or job.method in delays:
            continue
        if isinstance(job.spec, BaselineSpec):
            baseline = BASELINES[job.spec.baseline]
            if baseline.reads == ("lfp",) and not baseline.clock:
                delays[job.method] = Delay(network="", ms=None if baseline.future else 0.0)
        elif (spec := trainings_of(job, jobs)[0].model_spec).model.modality == "lfp":
            late = getattr(spec.model, "lookahead_bins", None) or 0
            ms = late * plan.bin_width_ms if spec.model.causal else None
            delays[job.method] = Delay(network=_network(spec), ms=ms)
    return delays


def _network(spec: TrainingSpec | ImportedSpec) -> str:
    """The network of a model, such as Mamba or REALM, and whether it was trained on behavior.

    A family that is fitted always is, so that its name alone says it.
    """
    backbone = getattr(spec.model, "backbone", None)
    name = FAMILIES.get(spec.family) or (NAMES[backbone.name] if backbone else spec.family)
    is_trained = isinstance(spec, TrainingSpec) and spec.objective is not None
    return f"{name}, with labels" if is_trained and spec.uses_labels else name

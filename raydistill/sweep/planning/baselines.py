"""Which baselines a sweep scores."""

from raydistill.evaluation.baselines import default_baselines
from raydistill.sweep.config.sweep import SweepConfig


def baselines_of(sweep: SweepConfig) -> tuple[str, ...]:
    """The baselines that the sweep lists, or by default all that its methods have to be compared with."""
    if sweep.baselines is not None:
        return sweep.baselines
    causal = any(sweep.model_of(d.job).causal for method in sweep.methods for d in sweep.decoders(method))
    spikes = any(sweep.modality_of(name) != "lfp" for name in sweep.jobs)
    return default_baselines(spikes=spikes, causal=causal)

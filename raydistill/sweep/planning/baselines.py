"""Which baselines a sweep scores."""

from raydistill.evaluation.baselines import TITLES, default_baselines
from raydistill.sweep.config.sweep import SweepConfig, compared_pairs


def baselines_of(sweep: SweepConfig) -> tuple[str, ...]:
    """The baselines that the sweep lists, or by default all that its methods have to be compared with; and those that
    `compare` names."""
    by_default = _by_default(sweep) if sweep.baselines is None else ()
    return tuple(dict.fromkeys([*by_default, *named_baselines(sweep)]))


def named_baselines(sweep: SweepConfig) -> tuple[str, ...]:
    """The baselines that `baselines` or `compare` of the sweep names."""
    compared = [TITLES[name] for pair in compared_pairs(sweep) for name in pair if name in TITLES]
    return tuple(dict.fromkeys([*(sweep.baselines or ()), *compared]))


def _by_default(sweep: SweepConfig) -> tuple[str, ...]:
    causal = any(sweep.model_of(d.job).causal for method in sweep.methods for d in sweep.decoders(method))
    spikes = any(sweep.modality_of(name) != "lfp" for name in sweep.jobs)
    return default_baselines(spikes=spikes, causal=causal, labels=sweep.label is not None)

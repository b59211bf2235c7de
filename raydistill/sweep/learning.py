"""What a job's specification asks for: its model, the inputs of it, its objective, its recipe."""

from raydistill.config.model import ModelConfig, TrainingConfig
from raydistill.errors import DataError
from raydistill.models.neural import ModelSpec
from raydistill.objectives import (
    Objective,
    behavior_regression,
    distillation,
    distillation_with_behavior,
    masked_autoencoding,
    together,
)
from raydistill.store.catalogue import Entry
from raydistill.sweep.job import Job


def model_spec(job: Job, entries: list[Entry], provenance: dict) -> ModelSpec:
    """The model that a job trains on these sessions.

    Raises:
        DataError: the sessions' LFP has different numbers of bands, so that no patch fits all.
    """
    modality = job.spec["modality"]
    bands = {e.lfp_bands for e in entries} if modality != "spikes" else {1}
    if len(bands) > 1:
        raise DataError(f"LFP with {' and '.join(map(str, sorted(bands)))} bands an electrode cannot share one model")
    spec = ModelSpec(
        config=ModelConfig(**job.spec["model"]),
        modality=modality,
        value=job.spec["value"],
        heads=_heads(job),
        sessions={},
        bands=bands.pop(),
        behavior=tuple(job.spec["behavior"]) if job.spec["supervision"] != "none" else (),
        provenance=provenance,
    )
    patches = {e.session: spec.patches(e.n_units, e.n_channels) for e in entries}
    return ModelSpec(**{name: getattr(spec, name) for name in spec.__dataclass_fields__} | {"sessions": patches})


def _heads(job: Job) -> tuple[str, ...]:
    if job.spec["supervision"] == "full":
        return ("behavior",)
    if job.kind == "distill":
        return ("readout",)
    return ("predictor", "behavior") if job.spec["supervision"] == "joint" else ("predictor",)


def objective_of(job: Job) -> Objective:
    """The objective that a job trains by (spec C)."""
    recipe, supervision = job.spec["training"], job.spec["supervision"]
    if job.kind == "distill":
        by = distillation_with_behavior if supervision == "full" else distillation
        return by(recipe["alignment"])
    if supervision == "full":
        return behavior_regression
    masked = masked_autoencoding(recipe["mask_ratio"])
    return together(masked, behavior_regression) if supervision == "joint" else masked


def recipe_of(job: Job) -> TrainingConfig:
    return TrainingConfig(**job.spec["training"], checkpoint_every=job.checkpoint_every)

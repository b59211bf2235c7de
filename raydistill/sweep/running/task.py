"""What a job's specification asks for: its model, the inputs of it, its objective, its recipe."""

from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.feed.patches import patches_per_bin
from raydistill.models.crossmodal.config import ModelConfig, patch_widths
from raydistill.models.crossmodal.model import ModelSpec
from raydistill.objectives import (
    Objective,
    behavior_regression,
    distillation,
    distillation_with_behavior,
    masked_autoencoding,
    together,
)
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.job import Job, shared_bands


def model_spec(job: Job, entries: list[Entry], provenance: dict) -> ModelSpec:
    """The model that a job trains on these sessions; ConfigError where no patch fits all."""
    config, modality, bands = ModelConfig(**job.spec["model"]), job.spec["modality"], shared_bands(job, entries)
    widths = patch_widths(config, modality, bands)
    return ModelSpec(
        config=config,
        modality=modality,
        value=job.spec["value"],
        heads=job.heads,
        sessions={e.session: patches_per_bin(widths, modality, e.n_units, e.n_channels) for e in entries},
        bands=bands,
        behavior=tuple(job.spec["behavior"]) if job.spec["supervision"] != "none" else (),
        provenance=provenance,
    )


def objective_of(job: Job) -> Objective:
    """The objective that a job trains by (spec C)."""
    recipe, supervision = job.spec["training"], job.spec["supervision"]
    if job.kind == "distill":
        by = distillation_with_behavior if supervision == "full" else distillation
        return by(recipe["alignment"])
    if supervision == "full":
        return behavior_regression()
    masked = masked_autoencoding(recipe["mask_ratio"])
    return together(masked, behavior_regression()) if supervision == "joint" else masked


def recipe_of(job: Job) -> TrainingConfig:
    return TrainingConfig(**job.spec["training"])


def engine_of(job: Job) -> EngineConfig:
    return EngineConfig(**job.engine)

"""A job: one training or evaluation, named by what determines its answer."""

from dataclasses import asdict, dataclass, field

from raydistill.errors import ConfigError
from raydistill.feed.patches import patches_per_bin
from raydistill.models.crossmodal.config import ModelConfig, patch_widths
from raydistill.models.crossmodal.parameters import (
    behavior_head_parameters,
    encoder_parameters,
    predictor_parameters,
    readout_parameters,
    space_parameters,
    value_parameters,
)
from raydistill.store.catalogue import Entry

DONE, MISSING, STALE, FAILED = STATES = ("done", "missing", "stale", "failed")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training or evaluation; `spec` alone determines its result."""

    key: str
    name: str
    """Job of the sweep file, session and seed, such as teacher/S1_02/seed0."""
    kind: str
    """pretrain, finetune, train, distill, evaluate or baseline."""
    method: str | None
    session: str | None
    subject: str | None
    seed: int | None
    spec: dict
    depends_on: tuple[str, ...] = ()
    workers: tuple[int, int] = (1, 1)
    """Of a pretraining: fewest and most."""
    engine: dict = field(default_factory=dict)
    """EngineConfig of a training: how it is carried out, never what comes out."""

    @property
    def line(self) -> str:
        """Name of the line of the sweep file that it comes from."""
        return self.name.partition("/")[0]

    @property
    def is_pretraining(self) -> bool:
        """One model over many sessions, on Ray Train workers."""
        return self.session is None

    @property
    def heads(self) -> tuple[str, ...]:
        """What its model has besides tokenizer and encoder: predictor, readout, behavior."""
        if self.spec["supervision"] == "full":
            return ("behavior",)
        if self.kind == "distill":
            return ("readout",)
        return ("predictor", "behavior") if self.spec["supervision"] == "joint" else ("predictor",)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict) -> "Job":
        return cls(**(tree | {name: tuple(tree[name]) for name in ("depends_on", "workers")}))


def shared_bands(job: Job, entries: list[Entry]) -> int:
    """LFP features of each electrode in all sessions of a job.

    Raises:
        ConfigError: they differ, so that no patch fits all.
    """
    if job.spec["modality"] == "spikes":
        return 1
    bands = {e.lfp_bands: e.session for e in entries}
    if len(bands) > 1:
        listed = " and ".join(f"{n} ({session})" for n, session in sorted(bands.items()))
        raise ConfigError(f"{job.name}: one model cannot read LFP of different bands an electrode: {listed}")
    return next(iter(bands))


def parameters(job: Job, entries: list[Entry]) -> int:
    """Parameters of the model that a job trains (spec B5), without making it."""
    config, modality, heads = ModelConfig(**job.spec["model"]), job.spec["modality"], job.heads
    widths = patch_widths(config, modality, shared_bands(job, entries))
    patch = sum(widths)
    patches = sum(patches_per_bin(widths, modality, e.n_units, e.n_channels) for e in entries)
    total = encoder_parameters(config) + value_parameters(job.spec["value"], patch, config)
    total += space_parameters(patches, config)
    total += predictor_parameters(config, patch) if "predictor" in heads else 0
    total += readout_parameters(config, patch) if "readout" in heads else 0
    return total + (behavior_head_parameters(config, len(job.spec["behavior"])) if "behavior" in heads else 0)

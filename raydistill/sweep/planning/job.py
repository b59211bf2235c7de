"""A job: one training or evaluation, with the key that its specification determines."""

import math
from dataclasses import dataclass, field
from typing import Literal

from raydistill.config.engine import EngineConfig
from raydistill.config.names import recorded_and_draw
from raydistill.config.plain import from_plain, to_plain
from raydistill.errors import ConfigError
from raydistill.feed.patches import patches_per_bin
from raydistill.models.barista.places import place_names
from raydistill.models.families import count_parameters
from raydistill.models.spec import LabelOutputs, ModelSpec, has_subjects, uses_channel_tables
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.channels import check_channels
from raydistill.sweep.planning.pieces import longest_input
from raydistill.sweep.planning.spec import (
    EvaluationSpec,
    ImportedSpec,
    JobSpec,
    TrainingSpec,
    job_key,
    spec_from_json,
    spec_to_json,
)

DONE, MISSING, STALE, FAILED = STATES = ("done", "missing", "stale", "failed")

Kind = Literal["pretrain", "finetune", "train", "distill", "imported", "control", "evaluate", "baseline"]
Place = tuple[str, str | None, int | None]
"""(line of `jobs`, session, seed); session and seed are None for a pretraining."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training or evaluation; `spec` alone determines its result."""

    name: str
    """Line of the sweep file, session and seed, such as teacher/S1_02/seed0."""
    kind: Kind
    method: str | None = None
    """Method of the sweep to which the job's score belongs."""
    also: tuple[str, ...] = ()
    """Names in tables of controls to which the score belongs too, because methods share their controls."""
    session: str | None = None
    """Its name in the store, which tells the draw of its folds; None for a pretraining."""
    subject: str | None = None
    seed: int | None = None
    spec: JobSpec
    workers: tuple[int, int] = (1, 1)
    """Fewest and most workers of a pretraining."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Execution settings, which never enter the key."""
    folder: str | None = None
    """Folder from which an imported model is copied, which never enters the key."""
    key: str = ""
    """sha256 of the specification."""

    def __post_init__(self):
        if not self.key:  # a stored job keeps the key that it was stored under
            object.__setattr__(self, "key", job_key(self.spec))

    @property
    def line(self) -> str:
        """The line of the sweep file from which the job comes."""
        return self.name.partition("/")[0]

    @property
    def recorded(self) -> str | None:
        """The session without the number of its draw."""
        return recorded_and_draw(self.session)[0] if self.session else None

    @property
    def is_pretraining(self) -> bool:
        """Whether the job trains one model over many sessions, on Ray Train workers."""
        return self.session is None and self.trains

    @property
    def training_spec(self) -> TrainingSpec:
        """The specification of a job that trains."""
        assert isinstance(self.spec, TrainingSpec), f"{self.name} trains nothing"
        return self.spec

    @property
    def model_spec(self) -> TrainingSpec | ImportedSpec:
        """The specification of a job that gives a model."""
        assert isinstance(self.spec, TrainingSpec | ImportedSpec), f"{self.name} gives no model"
        return self.spec

    @property
    def has_model(self) -> bool:
        """Whether the job gives a model: it trains or imports one."""
        return isinstance(self.spec, TrainingSpec | ImportedSpec)

    @property
    def trains(self) -> bool:
        """Whether the job trains a model."""
        return isinstance(self.spec, TrainingSpec)

    @property
    def uses_gpu(self) -> bool:
        """Whether the job computes on a GPU if jobs do. Baselines, fitted models and imports need a CPU alone."""
        match self.spec:
            case TrainingSpec(training=recipe):
                return recipe is not None
            case EvaluationSpec():
                return True
        return False

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Keys of the jobs that must be done first."""
        return self.spec.sources

    def to_json(self) -> dict:
        """The job as JSON data, the main part of job.json."""
        plain = {name: getattr(self, name) for name in ("key", "name", "kind", "method", "session", "subject", "seed")}
        imported = {"folder": self.folder} if self.folder else {}
        return (plain | imported) | {
            "spec": spec_to_json(self.spec),
            "depends_on": list(self.depends_on),
            "workers": list(self.workers),
            "engine": to_plain(self.engine),
        }

    @classmethod
    def from_json(cls, tree: dict) -> "Job":
        """The job that `to_json` wrote; further keys are ignored."""
        plain = {name: tree[name] for name in ("key", "name", "kind", "method", "session", "subject", "seed")}
        return cls(
            **plain,
            spec=spec_from_json(tree["spec"]),
            workers=tuple(tree["workers"]),
            engine=from_plain(EngineConfig, tree["engine"]),
            folder=tree.get("folder"),
        )


def shared_bands(job: Job, entries: list[Entry]) -> int:
    """LFP features per electrode, which must be equal in all sessions of a job.

    Raises:
        ConfigError: they differ between sessions.
    """
    if job.training_spec.model.modality == "spikes":
        return 1
    bands = {e.lfp_bands: e.session for e in entries}
    if len(bands) > 1:
        listed = " and ".join(f"{n} ({session})" for n, session in sorted(bands.items()))
        raise ConfigError(
            f"{job.name}: one model cannot read LFP with different numbers of bands per electrode: {listed}"
        )
    return next(iter(bands))


def session_patches(job: Job, entries: list[Entry]) -> dict[str, int]:
    """Session -> patches per bin of the model that a job trains."""
    model = job.training_spec.model
    widths = model.inputs.widths(shared_bands(job, entries))
    patches = {e.session: patches_per_bin(widths, model.modality, e.n_units, e.n_channels) for e in entries}
    _check_places(job, entries, patches)
    _check_masks(job, entries, patches)
    check_channels(job.name, job.training_spec, entries)
    return patches


def _check_masks(job: Job, entries: list[Entry], patches: dict[str, int]) -> None:
    """Refuse a share of masked tokens that masks none in any segment: nothing would be trained."""
    spec = job.training_spec
    ratio = getattr(spec.objective, "mask_ratio", None)
    if ratio is None or getattr(spec.objective, "blocks", None) is not None:
        return
    token_bins = getattr(spec.objective, "patch_bins", None) or 1
    bins = {entry.session: longest_input(spec.training, entry) for entry in entries}
    most = max(-(-n_bins // token_bins) * patches[session] for session, n_bins in bins.items())
    if int(ratio * most) == 0:
        raise ConfigError(
            f"{job.name}: `mask_ratio: {ratio:g}` masks none of the {most} tokens of the longest segment; give at "
            f"least {math.ceil(1000 / most) / 1000:g}"
        )


def _check_places(job: Job, entries: list[Entry], patches: dict[str, int]) -> None:
    """Refuse sessions with more patches, or longer segments, than a model has learned positions and times."""
    model = job.training_spec.model
    positions, times = getattr(model, "positions", None), getattr(model, "times", None)
    for entry in entries:
        if positions is not None and patches[entry.session] > positions:
            raise ConfigError(
                f"{job.name}: session {entry.session} has {patches[entry.session]} patches per bin, but the model "
                f"learns positions for {positions}; set `model: {{positions: {patches[entry.session]}}}`"
            )
        if times is not None and (n_bins := longest_input(job.training_spec.training, entry)) > times:
            patch_bins = getattr(model, "patch_bins", None)
            more = f"patches: {-(-n_bins // patch_bins)}" if patch_bins else f"times: {n_bins}"
            raise ConfigError(
                f"{job.name}: session {entry.session} has segments of {n_bins} bins, but the model learns times for "
                f"{times}; cut them by `training: {{piece_s: {times * entry.bin_width_ms / 1000:g}}}`, or set "
                f"`model: {{{more}}}`"
            )


def _label_outputs(spec: TrainingSpec, entries: list[Entry]) -> LabelOutputs | None:
    if not spec.predicts_label:
        return None
    assert spec.label is not None
    return LabelOutputs(name=spec.label, classes=entries[0].labels[spec.label].classes)


def parameters(job: Job, entries: list[Entry]) -> int:
    """Number of parameters of the model that a job trains, without building it."""
    return count_parameters(model_spec(job, entries, {}))


def model_spec(job: Job, entries: list[Entry], provenance: dict) -> ModelSpec:
    """The specification of the model that a job trains. Raises ConfigError if sessions have different LFP bands."""
    spec = job.training_spec
    channels = {e.session: e.lfp_channels for e in entries if uses_channel_tables(spec.model) and e.lfp_channels}
    return ModelSpec(
        family=spec.family,
        config=spec.model,
        sessions=session_patches(job, entries),
        bands=shared_bands(job, entries),
        behavior=spec.predicted_behavior,
        label=_label_outputs(spec, entries),
        subjects={e.session: e.subject for e in entries} if has_subjects(spec.model) else {},
        channels=channels,
        place_names=place_names(spec.model, channels.values()) if channels else (),
        piece_s=spec.training.piece_s if spec.training else None,
        provenance=provenance,
    )

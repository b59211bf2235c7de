"""The typed, frozen specification of a job: everything that determines its result. Its hash is the job's key.

Execution settings (workers, memory, device, paths) are not part of a specification, and neither are settings that the
job does not use. Settings that are None count as absent, so a new optional setting does not change the keys of earlier
jobs.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.config.objectives import ObjectiveConfig
from raydistill.config.plain import from_plain, to_plain
from raydistill.config.training import Recipe
from raydistill.models.families import FAMILIES
from raydistill.models.spec import reads_any_session


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """A model trained on sessions."""

    name: ClassVar[str] = "training"
    family: str
    model: Any
    """An instance of the configuration class of the family."""
    objective: ObjectiveConfig | None
    """What the loop minimises; None: the family fits its models without the loop."""
    training: Recipe | None
    """How the weights are optimised; None as for `objective`."""
    sessions: dict[str, str]
    """Session -> sha256 of what the job reads of it (`Entry.content_of`)."""
    reads: tuple[str, ...] = ()
    """Which of spikes, lfp, behavior and labels the job reads, for its model and its teacher."""
    behavior: tuple[str, ...] = ()
    """Behavior columns that are decoded; empty for a pretraining, and if a label is."""
    label: str | None = None
    """The label that is decoded; None: behavior is."""
    seed: int
    weights: str | None = None
    """Key of the job from whose weights this one starts."""
    teachers: dict[str, str] | None = None
    """For a distillation: session -> key of the teacher's job."""
    inherit: str | None = None
    """What a student takes over from its teacher."""
    freeze: str | None = None
    """What is not trained."""
    control: str | None = None
    """A key of `CONTROLS`, if the teacher is not the true one or does not read the spikes of the same moment."""
    borrowed: dict[str, str] | None = None
    """For `other_session_teacher`: the other session -> sha256 of its spikes."""

    @property
    def reads_any_session(self) -> bool:
        """Whether no weight of the model belongs to a session."""
        return reads_any_session(self.model)

    @property
    def epochs(self) -> int:
        """Upper limit of the epochs; a fit counts as one."""
        return self.training.epochs if self.training else 1

    @property
    def uses_labels(self) -> bool:
        """Whether behavior, or the decoded label, is part of the training."""
        return self.objective is None or self.objective.needs.behavior or self.predicts_label

    @property
    def predicts_label(self) -> bool:
        """Whether the model itself predicts the label that is decoded."""
        return self.objective is not None and self.objective.needs.labels

    @property
    def predicted_behavior(self) -> tuple[str, ...]:
        """Behavior columns that the model itself predicts."""
        return self.behavior if self.uses_labels else ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the jobs that must be done first."""
        keys = (self.weights, *(self.teachers or {}).values())
        return tuple(dict.fromkeys(key for key in keys if key))


@dataclass(frozen=True, kw_only=True)
class ImportedSpec:
    """A finished model that is copied from a folder. Its files are its identity, and not where they lie."""

    name: ClassVar[str] = "imported"
    family: str
    model: Any
    """An instance of the configuration class of the family."""
    files: dict[str, str]
    """File of the model -> sha256."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Empty: nothing is read from the store."""
    reads: tuple[str, ...] = ()
    """Which of spikes and lfp the model was trained with, as far as is known."""
    uses_labels: bool = False
    """Whether the model was trained with behavior, as far as is known."""
    predicted_behavior: tuple[str, ...] = ()
    """Behavior columns that the model itself predicts."""
    behavior: ClassVar[tuple[str, ...]] = ()
    label: ClassVar[None] = None
    predicts_label: ClassVar[bool] = False
    objective: ClassVar[None] = None
    training: ClassVar[None] = None
    weights: ClassVar[None] = None
    teachers: ClassVar[None] = None
    control: ClassVar[None] = None
    seed: ClassVar[int] = 0
    sources: ClassVar[tuple[str, ...]] = ()

    @property
    def reads_any_session(self) -> bool:
        """Whether no weight of the model belongs to a session."""
        return reads_any_session(self.model)


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """Decoding one session with the model of another job."""

    name: ClassVar[str] = "evaluation"
    trained: str
    """Key of the job whose model is decoded."""
    sessions: dict[str, str]
    reads: tuple[str, ...] = ()
    behavior: tuple[str, ...]
    label: str | None = None
    """The label that is decoded instead of behavior."""
    seed: int
    spikes_as: Literal["recorded", "mean", "silence"] = "recorded"
    embeddings_of: str | None = None
    """Session whose space embeddings are used; None: those of the decoded session."""
    past_bins: int | None = None
    """Behavior is decoded by ridge from the latents of a bin and so many before it; None: as the model's own scores."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the jobs that must be done first."""
        return (self.trained,)


@dataclass(frozen=True, kw_only=True)
class BaselineSpec:
    """A baseline decoder fitted on one session."""

    name: ClassVar[str] = "baseline"
    baseline: str
    sessions: dict[str, str]
    reads: tuple[str, ...] = ()
    behavior: tuple[str, ...]
    label: str | None = None
    """The label that is decoded instead of behavior."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the jobs that must be done first."""
        return ()


JobSpec = TrainingSpec | ImportedSpec | EvaluationSpec | BaselineSpec
SPECS: dict[str, type[JobSpec]] = {
    "training": TrainingSpec,
    "imported": ImportedSpec,
    "evaluation": EvaluationSpec,
    "baseline": BaselineSpec,
}


def job_key(spec: JobSpec) -> str:
    """sha256 of the specification and of the version of the format."""
    return fingerprint({"format": FORMAT_VERSION} | _without_none(spec_to_json(spec)))


def spec_to_json(spec: JobSpec) -> dict:
    """The specification as JSON data, with the name of its kind."""
    return {"name": spec.name} | to_plain(spec)


def spec_from_json(tree: dict) -> JobSpec:
    """The specification that `spec_to_json` wrote."""
    tree = dict(tree)
    cls = SPECS[tree.pop("name")]
    if cls is ImportedSpec:
        model: Any = from_plain(FAMILIES[tree["family"]].config, tree["model"])
        lists = {name: tuple(tree[name]) for name in ("reads", "predicted_behavior")}
        return ImportedSpec(**(tree | lists | {"model": model}))
    if cls is not TrainingSpec:
        return from_plain(cls, tree)
    parts = {
        "model": from_plain(FAMILIES[tree["family"]].config, tree["model"]),
        "objective": from_plain(ObjectiveConfig | None, tree["objective"]),
        "training": from_plain(Recipe | None, tree["training"]),
        "behavior": tuple(tree["behavior"]),
        "reads": tuple(tree["reads"]),
    }
    return TrainingSpec(**(tree | parts))


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return [_without_none(value) for value in tree] if isinstance(tree, list) else tree

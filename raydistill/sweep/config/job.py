"""One line of a sweep's `jobs`: what is trained, on which sessions, and from what."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from raydistill.config.engine import EngineConfig
from raydistill.config.load import Overrides
from raydistill.config.objectives import OBJECTIVES, default_objective
from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError, suggest
from raydistill.models.families import DEFAULT_FAMILY, FAMILIES, Settings

Modality = Literal["spikes", "lfp"]
Verb = Literal["pretrain", "finetune", "train", "distill"]
VERBS: tuple[Verb, ...] = get_args(Verb)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobConfig:
    """One line of `jobs`: exactly one of pretrain, finetune, train, distill, and what it runs on."""

    pretrain: Modality | None = None
    """Masked autoencoding over all sessions of the group `on`."""
    finetune: str | None = None
    """On each session of the group `each`, from the weights of the job named here."""
    train: Modality | tuple[Modality, ...] | None = None
    """From scratch on each session of the group `each`; [spikes, lfp] for a multimodal model."""
    distill: str | None = None
    """Eq. 1 from the frozen teacher of the job named here: on each session of `each`, or, as a pretraining, one
    student over all sessions of the group `on`."""
    into: Literal["lfp"] = "lfp"
    start: str | None = None
    """Of a distillation: the job whose weights the student starts from; by default it starts anew."""
    supervision: Literal["none", "joint", "full"] = "none"
    """joint adds behavior regression to masked autoencoding; full is behavior regression alone, and Eq. 3 instead of
    Eq. 1 for a distillation."""
    unfreeze_epoch: int | None = None
    """Of a distillation: the teacher is trained too from this epoch on (Table 4)."""
    family: str = DEFAULT_FAMILY
    """Family of the model."""
    objective: str | dict[str, int | float | str | bool] | None = None
    """Name of the objective, or a mapping of `name` and its settings; by default it follows from the verb and from
    `supervision`."""
    on: str | None = None
    each: str | None = None
    workers: int | tuple[int, ...] = 1
    """Ray Train workers of a pretraining, or [fewest, most]: as many as the cluster has when they start. Does not
    change which batches it sees."""
    seed: int = 0
    """Of a pretraining."""
    seeds: tuple[int, ...] = ()
    """Of a job on `each` session; by default the sweep's."""
    embedding: Literal["count", "linear", "conv", "mlp"] | None = None
    """Value embedding; by default count for spikes, conv for a distilled student, else linear, or that of the weights
    that the job starts from."""
    model: Annotated[dict[str, Any], Overrides(Settings)] = field(default_factory=dict)
    training: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    engine: Annotated[dict[str, Any], Overrides(EngineConfig)] = field(default_factory=dict)

    @property
    def verb(self) -> Verb:
        return next(verb for verb in VERBS if getattr(self, verb))

    @property
    def objective_name(self) -> str:
        """What it is trained by: the objective that it names, or the usual one of its verb."""
        named = self.objective.get("name") if isinstance(self.objective, dict) else self.objective
        return str(named) if named else default_objective(self.verb, self.supervision)

    @property
    def worker_range(self) -> tuple[int, int]:
        """Fewest and most workers."""
        counts = (self.workers,) if isinstance(self.workers, int) else self.workers
        return counts[0], counts[-1]

    @property
    def source(self) -> str | None:
        """The job whose weights this one starts from."""
        return self.finetune or self.start

    @property
    def group(self) -> str:
        """The group of its sessions."""
        return self.on or self.each or ""

    @property
    def is_pretraining(self) -> bool:
        """One model over all sessions of a group."""
        return self.on is not None

    def __post_init__(self):
        given = [verb for verb in VERBS if getattr(self, verb)]
        if len(given) != 1:
            raise ConfigError(f"a job is exactly one of {', '.join(VERBS)}; got {' and '.join(given) or 'none'}")
        if self.family not in FAMILIES:
            raise ConfigError(
                f'there is no model family "{self.family}"{suggest(self.family, FAMILIES)}', at=("family",)
            )
        if self.objective_name not in OBJECTIVES:
            name = self.objective_name
            raise ConfigError(f'there is no objective "{name}"{suggest(name, OBJECTIVES)}', at=("objective",))
        if OBJECTIVES[self.objective_name].needs.teacher != bool(self.distill):
            problem = "has no teacher, but `distill` names one" if self.distill else "needs a teacher: give `distill`"
            raise ConfigError(f"`objective: {self.objective_name}` {problem}", at=("objective",))
        allowed = {"pretrain": "`on: GROUP`", "distill": "either `on: GROUP` or `each: GROUP`"}
        groups = {"pretrain": [True], "distill": [True, False]}.get(given[0], [False])
        if (self.on is None) == (self.each is None) or self.is_pretraining not in groups:
            raise ConfigError(f"`{given[0]}` takes its sessions from {allowed.get(given[0], '`each: GROUP`')}")
        counts = (self.workers,) if isinstance(self.workers, int) else self.workers
        if len(counts) not in (1, 2) or not 1 <= counts[0] <= counts[-1]:
            got = self.workers if isinstance(self.workers, int) else list(self.workers)
            raise ConfigError(f"`workers` must be a number of at least 1, or [fewest, most], but got {got}")
        if not self.distill and (self.start or self.unfreeze_epoch is not None):
            raise ConfigError("`start` and `unfreeze_epoch` belong to `distill`")
        if self.seeds and self.is_pretraining:
            raise ConfigError("`seeds` belong to a job on `each` session; a pretraining has one `seed`")
        if self.supervision == "joint" and not (self.finetune or self.train):
            raise ConfigError("`supervision: joint` is masked autoencoding with behavior: of `finetune` or `train`")
        if self.supervision != "none" and self.is_pretraining:
            raise ConfigError("sessions of a pretraining have different behavior: `supervision` belongs to `each`")

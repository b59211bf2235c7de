"""One line of `jobs` in a sweep file: what is trained, on which sessions, and from which weights."""

from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, Literal, get_args

from raydistill.config.engine import EngineConfig
from raydistill.config.load import Overrides
from raydistill.config.numbers import AnyNumber, Count, CountOrZero, Limits, Seed, check_limits
from raydistill.config.objectives import OBJECTIVES, default_objective
from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError, suggest
from raydistill.models.families import DEFAULT_FAMILY, FAMILIES, Settings

Modality = Literal["spikes", "lfp"]
Verb = Literal["pretrain", "finetune", "train", "distill", "imported"]
VERBS: tuple[Verb, ...] = get_args(Verb)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobConfig:
    """One line of `jobs`: exactly one of pretrain, finetune, train, distill and imported, and its sessions."""

    pretrain: Modality | None = None
    """Masked autoencoding over all sessions of the group `on`."""
    finetune: str | None = None
    """Training that starts from the weights of this job: on each session of the group `each`, or of one model over all
    sessions of the group `on`."""
    train: Modality | tuple[Modality, ...] | None = None
    """Training from scratch on each session of the group `each`; [spikes, lfp] for a multimodal model."""
    distill: str | None = None
    """Distillation from the models of this job (paper, Eq. 1): one student per session of the group `each`, or, as a
    pretraining, one student over all sessions of the group `on`."""
    imported: str | None = None
    """Folder, relative to the file that names it, of a finished model (`raydistill import`, or RUNS/jobs/KEY), which is
    not trained. It is known by its content, wherever it is."""
    trained_with: tuple[Modality, ...] = ()
    """For an imported model: the signals with which it, its teacher or its first weights were trained, as far as is
    known. Results say so of each method; by default they are those that the model reads."""
    into: Literal["lfp"] = "lfp"
    """Input of the student of a distillation."""
    start: str | None = None
    """For a distillation: the job from whose weights the student starts; by default its weights are drawn."""
    supervision: Literal["none", "joint", "full"] = "none"
    """none: training without behavior. joint: masked autoencoding plus behavior regression. full: behavior regression
    alone. Of a distillation, joint adds behavior regression, and full has it in place of reconstruction (paper, Eq. 3).
    Of an imported model, what is known of its training."""
    inherit: Literal["tokenizer", "shifted_tokenizer"] | None = None
    """For a distillation: the student starts with the value embedding of its teacher. shifted_tokenizer: with features
    that are moved one bin into the past (`embedding: gated`), for a causal student of a teacher that is not."""
    freeze: Literal["tokenizer", "encoder"] | None = None
    """tokenizer: the value embedding stays as it comes from the job's first weights or from its teacher. encoder: of a
    fine-tuning with `supervision: full`, only what reads behavior out is trained."""
    unfreeze_epoch: CountOrZero | None = None
    """For a distillation: the epoch from which the teacher is trained too (paper, Table 4); by default it never is."""
    family: str = DEFAULT_FAMILY
    """Family of the model, a key of `FAMILIES`."""
    objective: str | dict[str, Annotated[int, Limits()] | AnyNumber | str | bool] | None = None
    """Name of the objective, or a mapping with its `name` and settings; by default it follows from the verb and from
    `supervision`."""
    on: str | None = None
    """Group of sessions on which one model is trained."""
    each: str | None = None
    """Group of sessions on each of which a model is trained."""
    workers: Count | tuple[Count, ...] = 1
    """Number of Ray Train workers of a pretraining, or [fewest, most]: as many as the cluster has free when they start.
    The number does not change the batches."""
    seed: Seed = 0
    """Seed of a pretraining."""
    seeds: tuple[Seed, ...] = ()
    """Seeds of a job on `each` session; by default those of the sweep."""
    embedding: Literal["count", "linear", "conv", "mlp", "gated", "dilated"] | None = None
    """Value embedding. By default that of the job from whose weights this one starts; otherwise gated for `family:
    realm`, dilated for `family: barista`, count for spikes, conv for a distilled student, and linear for others."""
    model: Annotated[dict[str, Any], Overrides(Settings)] = field(default_factory=dict)
    """Settings of the model that differ from those of the sweep."""
    training: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    """Values of the recipe that differ from those of the sweep."""
    engine: Annotated[dict[str, Any], Overrides(EngineConfig)] = field(default_factory=dict)
    """Execution settings that differ from those of the sweep."""

    @property
    def verb(self) -> Verb:
        """pretrain, finetune, train, distill or imported."""
        return next(verb for verb in VERBS if getattr(self, verb))

    @property
    def objective_name(self) -> str:
        """The objective that the job names, or the default for its verb and `supervision`."""
        named = self.objective.get("name") if isinstance(self.objective, dict) else self.objective
        return str(named) if named else default_objective(self.verb, self.supervision, FAMILIES[self.family].objective)

    @property
    def worker_range(self) -> tuple[int, int]:
        """Fewest and most workers of a pretraining."""
        counts = (self.workers,) if isinstance(self.workers, int) else self.workers
        return counts[0], counts[-1]

    @property
    def source(self) -> str | None:
        """The job from whose weights this one starts."""
        return self.finetune or self.start

    @property
    def group(self) -> str:
        """The group of the job's sessions."""
        return self.on or self.each or ""

    @property
    def is_pretraining(self) -> bool:
        """Whether the job trains one model over all sessions of a group, whatever its verb."""
        return self.on is not None

    @property
    def is_one_model(self) -> bool:
        """Whether the line gives one model, and not one per session and seed."""
        return self.is_pretraining or self.imported is not None

    @property
    def is_fitted(self) -> bool:
        """Whether the job's model is fitted by its family, and not trained by the loop."""
        return FAMILIES[self.family].fit is not None

    @property
    def is_trained(self) -> bool:
        """Whether the loop trains the job's model, by an objective and a recipe."""
        return not self.is_fitted and self.imported is None

    def __post_init__(self):
        check_limits(self)
        verbs = [verb for verb in VERBS if getattr(self, verb)]
        if len(verbs) != 1:
            raise ConfigError(f"a job is exactly one of {', '.join(VERBS)}; got {' and '.join(verbs) or 'none'}")
        if self.imported:
            _check_imported(self)
            return
        if self.trained_with:
            raise ConfigError("`trained_with` applies only to `imported`; other jobs know it", at=("trained_with",))
        if self.family not in FAMILIES:
            raise ConfigError(
                f'there is no model family "{self.family}"{suggest(self.family, FAMILIES)}', at=("family",)
            )
        if self.is_fitted and (
            self.verb != "train" or self.supervision != "full" or self.objective or self.training or self.engine
        ):
            raise ConfigError(
                f"models of `family: {self.family}` are fitted to behavior, without the training loop: such a job "
                "has `train` and `supervision: full`, and neither `objective`, `training` nor `engine`"
            )
        if self.is_fitted and self.seeds:
            raise ConfigError(
                f"nothing in the fit of `family: {self.family}` is random; leave `seeds` out: its score is compared "
                "with every seed of other methods",
                at=("seeds",),
            )
        if self.objective_name not in OBJECTIVES:
            name = self.objective_name
            raise ConfigError(f'there is no objective "{name}"{suggest(name, OBJECTIVES)}', at=("objective",))
        if OBJECTIVES[self.objective_name].needs.teacher != bool(self.distill):
            problem = "has no teacher, but `distill` names one" if self.distill else "needs a teacher: give `distill`"
            raise ConfigError(f"`objective: {self.objective_name}` {problem}", at=("objective",))
        groups = {"pretrain": ("on",), "train": ("each",)}.get(self.verb, ("on", "each"))
        if (self.on is None) == (self.each is None) or ("on" if self.is_pretraining else "each") not in groups:
            allowed = f"`{groups[0]}: GROUP`" if len(groups) == 1 else "either `on: GROUP` or `each: GROUP`"
            raise ConfigError(f"`{self.verb}` takes its sessions from {allowed}")
        counts = (self.workers,) if isinstance(self.workers, int) else self.workers
        if len(counts) not in (1, 2) or counts[0] > counts[-1]:
            got = self.workers if isinstance(self.workers, int) else list(self.workers)
            raise ConfigError(f"`workers` must be a number, or [fewest, most], but got {got}")
        if not self.distill and (self.start or self.inherit or self.unfreeze_epoch is not None):
            raise ConfigError("`start`, `inherit` and `unfreeze_epoch` apply only to `distill`")
        if self.inherit and self.start:
            raise ConfigError(
                "the student gets its value embedding from `start` or by `inherit`; leave one of them out",
                at=("inherit",),
            )
        if self.freeze and not (self.finetune or self.start or self.inherit):
            raise ConfigError(
                "`freeze` keeps weights that were trained before: it needs `finetune`, `start` or `inherit`",
                at=("freeze",),
            )
        if self.freeze == "encoder" and not (self.finetune and self.supervision == "full"):
            raise ConfigError(
                "`freeze: encoder` trains only what reads behavior out: it needs `finetune` and `supervision: full`",
                at=("freeze",),
            )
        check_distinct(self.seeds)
        if self.seeds and self.is_pretraining:
            raise ConfigError("`seeds` apply to a job on `each` session; a pretraining has one `seed`")
        if self.supervision == "joint" and self.pretrain:
            raise ConfigError("`supervision: joint` does not apply to `pretrain`")
        if self.supervision != "none" and self.is_pretraining:
            raise ConfigError(
                "`supervision` applies only to a job on `each` session, because sessions have different behavior"
            )


def _check_imported(job: JobConfig) -> None:
    """Raise ConfigError if an imported model has a setting of a training."""
    for f in fields(JobConfig):
        default = f.default if f.default is not MISSING else {}
        if f.name not in ("imported", "trained_with", "supervision") and getattr(job, f.name) != default:
            raise ConfigError(
                f"`imported` is a finished model, which no `{f.name}` can change; leave it out, or `finetune` the job",
                at=(f.name,),
            )


def check_distinct(seeds: tuple[int, ...]) -> None:
    """Raise ConfigError if a seed is given twice, since its jobs would be the same."""
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"each seed is given once, but got {list(seeds)}", at=("seeds",))

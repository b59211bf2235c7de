"""A sweep file: which sessions, which jobs, which methods, and the comparisons drawn from them."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from raydistill.config.load import Partial, load
from raydistill.config.model import PRESETS, ModelConfig, TrainingConfig
from raydistill.config.names import check_name
from raydistill.config.recordings import IngestConfig
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, suggest

Modality = Literal["spikes", "lfp"]
BASELINES = ("ridge_on_spikes", "ridge_on_lfp", "clock")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recordings:
    """Synthetic recordings that the sweep makes and ingests for itself when its store lacks them."""

    synthetic: SyntheticConfig
    ingest: IngestConfig = field(default_factory=IngestConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionGroup:
    """Sessions of the store that meet every condition given."""

    named: Literal["paper_held_out", "paper_pretraining", "paper_lfp_pretraining", "paper_generalization"] | None = None
    """One of the paper's groups: 17, 226, 48 and 27 sessions."""
    names: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    modality: Modality | None = None
    """Only sessions that have it."""
    except_: str | None = None
    """Another group, whose sessions are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobConfig:
    """One line of `jobs`: exactly one of pretrain, finetune, train, distill, and what it runs on."""

    pretrain: Modality | None = None
    """Masked autoencoding over all sessions of the group `on`."""
    finetune: str | None = None
    """Masked autoencoding on each session of the group `each`, from the weights of the job named here."""
    train: Modality | None = None
    """Masked autoencoding from scratch on each session of the group `each`."""
    distill: str | None = None
    """Eq. 1 on each session of the group `each`, from the frozen teacher of the job named here."""
    into: Literal["lfp"] = "lfp"
    on: str | None = None
    each: str | None = None
    workers: int = 1
    """Ray Train workers of a pretraining; does not change which batches it sees."""
    seed: int = 0
    """Of a pretraining; per-session jobs run once for each of the sweep's seeds."""
    embedding: Literal["count", "linear", "conv"] | None = None
    """Value embedding; by default count for spikes, linear for LFP, conv for a distilled student."""
    model: Partial[ModelConfig] = field(default_factory=dict)
    training: Partial[TrainingConfig] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return next(kind for kind in ("pretrain", "finetune", "train", "distill") if getattr(self, kind))

    @property
    def source(self) -> str | None:
        """The job whose result this one starts from."""
        return self.finetune or self.distill

    def __post_init__(self):
        given = [kind for kind in ("pretrain", "finetune", "train", "distill") if getattr(self, kind)]
        if len(given) != 1:
            raise ConfigError(f"a job is exactly one of pretrain, finetune, train, distill; got {given or 'none'}")
        wanted, other = ("on", "each") if self.pretrain else ("each", "on")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ConfigError(f"`{given[0]}` takes its sessions from `{wanted}: GROUP`, not from `{other}`")
        if self.workers < 1:
            raise ConfigError(f"`workers` must be at least 1, but got {self.workers}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """A question to the recordings."""

    name: str
    store: str | None = None
    """Folder or URI of the session store."""
    recordings: Recordings | None = None
    """Instead of a store: recordings that the sweep makes itself."""
    preset: Literal["paper", "small", "tiny"] = "paper"
    seeds: tuple[int, ...] = (0, 1, 2)
    behavior: tuple[str, ...] = ()
    """Behavior columns to decode; all of them by default."""
    sessions: dict[str, SessionGroup]
    jobs: dict[str, JobConfig]
    methods: dict[str, str]
    """Method -> the job whose models it decodes."""
    baselines: tuple[Literal["ridge_on_spikes", "ridge_on_lfp", "clock"], ...] = BASELINES
    compare: tuple[str, ...] = ()
    """`A > B`: is method A's decoding R² above B's?"""
    model: Partial[ModelConfig] = field(default_factory=dict)
    pretraining: Partial[TrainingConfig] = field(default_factory=dict)
    """Recipe of pretrainings, on top of the preset's."""
    training: Partial[TrainingConfig] = field(default_factory=dict)
    """Recipe of per-session jobs, on top of the preset's: one for all methods."""
    gpu_per_job: float = 0.25
    """Share of a GPU for a per-session job, where the cluster has GPUs."""

    def model_of(self, job: JobConfig) -> ModelConfig:
        return dataclasses.replace(PRESETS[self.preset].model, **(self.model | job.model))

    def training_of(self, job: JobConfig) -> TrainingConfig:
        preset = PRESETS[self.preset]
        base, here = (preset.pretraining, self.pretraining) if job.pretrain else (preset.training, self.training)
        return dataclasses.replace(base, **(here | job.training))

    def __post_init__(self):
        check_name(self.name, "sweep")
        if (self.store is None) == (self.recordings is None):
            raise ConfigError("give either `store` (or --set store=DIR), or `recordings` to be made, and not both")
        if not self.seeds:
            raise ConfigError("must name at least one seed", at=("seeds",))
        for name, group in self.sessions.items():
            _known(group.except_, self.sessions, "sessions", name, "except")
        earlier = {}
        for name, job in self.jobs.items():
            check_name(name, "job")
            _known(job.on or job.each, self.sessions, "jobs", name, "on" if job.on else "each")
            _known(job.source, self.jobs, "jobs", name, job.kind)
            if job.source and job.source not in earlier:
                raise ConfigError("a job starts from one above it in the file", at=("jobs", name, job.kind))
            earlier[name] = job
            self._check_values(name, job)
        for method, job in self.methods.items():
            _known(job, self.jobs, "methods", method)
            if self.jobs[job].pretrain:
                raise ConfigError(
                    f"a method decodes a per-session job, and {job} is a pretraining", at=("methods", method)
                )
        for pair in self.comparisons:
            for method in pair:
                _known(method, self.methods, "compare")

    def _check_values(self, name: str, job: JobConfig) -> None:
        """The merged values must fit together, too."""
        model, _ = self.model_of(job), self.training_of(job)
        if self.embedding_of(name) == "count" and model.width % model.spikes_patch:
            raise ConfigError(
                f"`width` must be a multiple of `spikes_patch` for the count table, "
                f"but got (width={model.width}, spikes_patch={model.spikes_patch})",
                at=("jobs", name),
            )

    def modality_of(self, name: str) -> str:
        """The modality that a job's model reads."""
        job = self.jobs[name]
        return job.pretrain or job.train or (job.into if job.distill else self.modality_of(job.finetune))

    def embedding_of(self, name: str) -> str:
        """The value embedding of a job's model: what the job says, or the usual one of its modality and kind."""
        job = self.jobs[name]
        if job.embedding:
            return job.embedding
        return "count" if self.modality_of(name) == "spikes" else "conv" if job.distill else "linear"

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """(better, worse) of each line of `compare`."""
        pairs = []
        for text in self.compare:
            better, sign, worse = (part.strip() for part in text.partition(">"))
            if not (better and sign and worse):
                raise ConfigError(
                    f'`compare` takes lines such as "Distilled LFP > SS-LFP", got "{text}"', at=("compare",)
                )
            pairs.append((better, worse))
        return pairs


def _known(name, known, *at):
    if name is not None and name not in known:
        raise ConfigError(f'there is no "{name}"{suggest(name, known)}', at=at)


def load_sweep(path, overrides=()) -> SweepConfig:
    return load(SweepConfig, path, overrides)

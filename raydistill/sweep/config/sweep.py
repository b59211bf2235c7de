"""A sweep file: which sessions, which jobs, which methods, and the comparisons drawn from them."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from raydistill.config.engine import EngineConfig
from raydistill.config.load import Overrides, include, load, read_yaml
from raydistill.config.names import check_name
from raydistill.config.objectives import OBJECTIVES, ObjectiveConfig
from raydistill.config.plain import from_plain
from raydistill.config.recordings import IngestConfig
from raydistill.config.synthetic import SyntheticConfig
from raydistill.config.training import RECIPES, TrainingConfig
from raydistill.errors import ConfigError, suggest
from raydistill.evaluation.baselines import BASELINES
from raydistill.models.families import FAMILIES, Settings
from raydistill.papers.table import PAPER_OF_GROUP, PAPERS
from raydistill.sweep.config.checks import check_job
from raydistill.sweep.config.job import JobConfig, Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class Recordings:
    """Synthetic recordings that the sweep makes and ingests for itself when its store lacks them."""

    synthetic: SyntheticConfig
    ingest: IngestConfig = field(default_factory=IngestConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionGroup:
    """Sessions of the store that meet every condition given."""

    named: str | None = None
    """A group that a paper defines, such as paper_held_out."""
    names: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    modality: Modality | None = None
    """Only sessions that have it."""
    except_: str | None = None
    """Another group, whose sessions are left out."""

    def __post_init__(self):
        if self.named is not None and self.named not in PAPER_OF_GROUP:
            raise ConfigError(
                f'no paper defines a group "{self.named}"{suggest(self.named, PAPER_OF_GROUP)}', ("named",)
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodConfig:
    """A method that decodes a job's models in another way than on the sessions they were trained for."""

    job: str
    each: str | None = None
    """The group on whose sessions a pretraining's model is decoded, or, with `as`, the model of one session."""
    as_: str | None = None
    """The session of the model whose space embeddings stand for those of each other one (Fig. 5)."""
    inputs: Literal["lfp"] | None = None
    """A multimodal model with its spikes taken away."""
    spikes_as: Literal["mean", "silence"] = "mean"
    """What stands in their place: their mean (zero after z-scoring), or none at all."""

    @property
    def is_training(self) -> bool:
        """The job's own scores are meant."""
        return self.inputs is None and self.each is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a figure or table of the paper shows of a sweep."""

    on: str
    """The group of its sessions."""
    compare: tuple[str, ...] = ()
    """By default the sweep's comparisons."""
    called: dict[str, str] = field(default_factory=dict)
    """Method of the sweep -> the paper's name for it there, where it is another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """A question to the recordings."""

    name: str
    include: tuple[str, ...] = ()
    """Files beside this one with what several sweeps have in common. What they say and this file does not holds here,
    the first to say it; and of their jobs those that something here starts from, learns from or decodes."""
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
    methods: dict[str, tuple[str | MethodConfig, ...]]
    """Method -> the job whose models it decodes, or several that do the same on different sessions."""
    baselines: tuple[str, ...] = tuple(name for name, baseline in BASELINES.items() if baseline.default)
    """Baseline decoders, each scored on the sessions that have what it needs."""
    compare: tuple[str, ...] = ()
    """`A > B`: is method A's decoding R² above B's?"""
    align: tuple[str, ...] = ()
    """`A ~ B`: how alike do methods A and B represent the scored sequences? A's are looked up among B's."""
    paper: str = "crossmodal"
    """The paper whose figures `answers` names."""
    answers: dict[str, str | Answer] = field(default_factory=dict)
    """A figure or table of the paper -> what of the sweep it shows, or the group of sessions alone. Comparisons are
    drawn in each, and the paper's numbers stand beside ours."""
    model: Annotated[dict[str, Any], Overrides(Settings)] = field(default_factory=dict)
    pretraining: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    """Recipe of pretrainings, on top of the preset's."""
    training: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    """Recipe of per-session jobs, on top of the preset's: one for all methods."""
    engine: Annotated[dict[str, Any], Overrides(EngineConfig)] = field(default_factory=dict)
    """How trainings are carried out; changes no result."""
    cpus_per_job: int = 1
    """Threads of a per-session job."""
    gpu_per_job: float = 0.25
    """Share of a GPU, and of its memory, for a per-session job, where the cluster has GPUs."""

    def settings_of(self, job: JobConfig) -> Any:
        """What `model:` sets for a job, on top of the preset of its family."""
        family = FAMILIES[job.family]
        names = {f.name for f in dataclasses.fields(family.settings)}
        shared = {name: value for name, value in self.model.items() if name in names}
        return dataclasses.replace(family.presets[self.preset], **(shared | self._model_values(job)))

    def _model_values(self, job: JobConfig) -> dict[str, Any]:
        """The `model:` of a job on top of that of the job whose weights it starts from."""
        source = self.jobs[job.source] if job.source else None
        return (self._model_values(source) if source and source.family == job.family else {}) | job.model

    def model_of(self, name: str) -> Any:
        """The configuration of the model that a job trains, of the class of its family."""
        job = self.jobs[name]
        needs = self.objective_of(job).needs
        return FAMILIES[job.family].configure(
            self.settings_of(job),
            self.modality_of(name),
            self.embedding_of(name),
            predictor=needs.predictor,
            readout=needs.readout,
        )

    def objective_of(self, job: JobConfig) -> ObjectiveConfig:
        """The objective of a job: settings that it does not give itself come from `training:`."""
        cls, training = OBJECTIVES[job.objective_name], self.training_of(job)
        names = {f.name for f in dataclasses.fields(cls)}
        settings = {name: getattr(training, name) for name in names & {"mask_ratio", "alignment"}}
        if job.unfreeze_epoch is not None:
            settings["unfreeze_epoch"] = job.unfreeze_epoch
        own = job.objective if isinstance(job.objective, dict) else {}
        try:
            return from_plain(cls, settings | own)
        except ValueError as err:
            raise ConfigError(f"`objective: {job.objective_name}`: {err}", at=("objective",)) from None

    def training_of(self, job: JobConfig) -> TrainingConfig:
        preset = RECIPES[self.preset]
        if job.is_pretraining:
            return dataclasses.replace(preset.pretraining, **(self.pretraining | job.training))
        base = preset.continued if job.start else preset.training
        return dataclasses.replace(base, **(self.training | job.training))

    def engine_of(self, job: JobConfig) -> EngineConfig:
        return EngineConfig(**(self.engine | job.engine))

    def __post_init__(self):
        check_name(self.name, "sweep")
        if (self.store is None) == (self.recordings is None):
            raise ConfigError("give either `store` (or --set store=DIR), or `recordings` to be made, and not both")
        if self.cpus_per_job < 1 or not 0 < self.gpu_per_job <= 1:
            raise ConfigError(
                "`cpus_per_job` is a number from 1 on and `gpu_per_job` a share above 0 and up to 1, but got "
                f"{self.cpus_per_job} and {self.gpu_per_job}"
            )
        if not self.seeds:
            raise ConfigError("must name at least one seed", at=("seeds",))
        _known(self.paper, PAPERS, "paper")
        for i, baseline in enumerate(self.baselines):
            _known(baseline, BASELINES, "baselines", i)
        for name, group in self.sessions.items():
            _known(group.except_, self.sessions, "sessions", name, "except")
        for name, job in self.jobs.items():
            check_name(name, "job")
            _known(job.on or job.each, self.sessions, "jobs", name, "on" if job.on else "each")
            for key in ("finetune", "distill", "start"):
                _known(getattr(job, key), self.jobs, "jobs", name, key)
        for name, job in self.sources_first():
            self._check_values(name, job)
        families = {FAMILIES[job.family].settings for job in self.jobs.values()}
        names = {f.name for settings in families for f in dataclasses.fields(settings)}
        for key in self.model:
            if key not in names:
                raise ConfigError(f'no job has a model with the setting "{key}"', at=("model", key))
        owners: dict[str, str] = {}
        for method in self.methods:
            for decoder in self.decoders(method):
                self._check_decoder(method, decoder)
                if decoder.is_training and owners.setdefault(decoder.job, method) != method:
                    raise ConfigError(f"{decoder.job} is {owners[decoder.job]} already", at=("methods", method))
        for pair in pairs(self.compare, "compare"):
            for method in pair:
                _known(method, self.methods, "compare")
        for pair in pairs(self.align, "align", sign="~"):
            for method in pair:
                _known(method, self.methods, "align")
        for figure in self.answers:
            answer = self.answer(figure)
            _known(answer.on, self.sessions, "answers", figure)
            compared = [method for pair in pairs(answer.compare, "answers", figure) for method in pair]
            for method in (*compared, *answer.called):
                _known(method, self.methods, "answers", figure)

    def sources_first(self) -> list[tuple[str, JobConfig]]:
        """(name, job), each after those that it starts or learns from; in the order of the file otherwise."""
        ordered: dict[str, JobConfig] = {}

        def put(name, path):
            if name in path:
                raise ConfigError(f"jobs start from each other: {' -> '.join([*path, name])}", at=("jobs", name))
            for other in (self.jobs[name].source, self.jobs[name].distill):
                if other is not None and other not in ordered:
                    put(other, [*path, name])
            ordered[name] = self.jobs[name]

        for name in self.jobs:
            if name not in ordered:
                put(name, [])
        return list(ordered.items())

    def _check_values(self, name: str, job: JobConfig) -> None:
        """The merged values must suit each other, too."""
        names = [f.name for f in dataclasses.fields(FAMILIES[job.family].settings)]
        for key in job.model:
            if key not in names:
                hint = suggest(key, names)
                raise ConfigError(f'`family: {job.family}` has no "{key}"{hint}', at=("jobs", name, "model", key))
        if job.source and self.jobs[job.source].family != job.family:
            raise ConfigError(
                f"starts from {job.source}, a model of another family ({self.jobs[job.source].family})",
                at=("jobs", name),
            )
        try:
            objective = self.objective_of(job)
            self.model_of(name)
            self.engine_of(job)
            check_job(job, self.objective_of(job), self.seeds_of(job), self.model_of, name)
        except ConfigError as err:
            raise ConfigError(str(err), at=("jobs", name, *err.at)) from None
        trains_teacher = getattr(objective, "unfreeze_epoch", None) is not None
        if trains_teacher and job.is_pretraining and job.distill and not self.jobs[job.distill].is_pretraining:
            raise ConfigError(
                f"`unfreeze_epoch` trains one teacher with one student, but {job.distill} has one for each session; "
                "distill from a pretraining, or on `each` session",
                at=("jobs", name),
            )

    def _check_decoder(self, method: str, decoder: MethodConfig) -> None:
        at = ("methods", method)
        _known(decoder.job, self.jobs, *at)
        _known(decoder.each, self.sessions, *at)
        pretraining = self.jobs[decoder.job].is_pretraining
        if pretraining and decoder.each is None:
            raise ConfigError(
                f"{decoder.job} is one model over many sessions: name those to decode, "
                f"{{job: {decoder.job}, each: GROUP}}",
                at=at,
            )
        if (decoder.as_ is not None) != (decoder.each is not None and not pretraining):
            raise ConfigError(
                "the model of one session is decoded on others by both `each: GROUP` and `as: SESSION`", at=at
            )
        if decoder.inputs and self.modality_of(decoder.job) != "multimodal":
            raise ConfigError(f"`inputs: lfp` needs a multimodal model, which {decoder.job} is not", at=at)

    def decoders(self, method: str) -> tuple[MethodConfig, ...]:
        """What a method decodes, the shorthand of a job's name written out."""
        return tuple(MethodConfig(job=d) if isinstance(d, str) else d for d in self.methods[method])

    def seeds_of(self, job: JobConfig) -> tuple[int, ...]:
        return job.seeds or self.seeds

    def modality_of(self, name: str) -> str:
        """What a job's model reads: spikes, lfp or multimodal."""
        job = self.jobs[name]
        if isinstance(job.train, tuple):
            return "multimodal" if len(set(job.train)) == 2 else job.train[0]
        if job.finetune:
            return self.modality_of(job.finetune)
        return job.pretrain or job.train or job.into

    def embedding_of(self, name: str) -> str:
        """The value embedding of a job's model: what the job says, or the usual one of its modality and kind."""
        job = self.jobs[name]
        if job.embedding:
            return job.embedding
        if job.source:
            return self.embedding_of(job.source)
        return "count" if self.modality_of(name) == "spikes" else "conv" if job.distill else "linear"

    def answer(self, figure: str) -> Answer:
        """What a figure shows, its comparisons filled in."""
        given = self.answers[figure]
        answer = Answer(on=given) if isinstance(given, str) else given
        return answer if answer.compare else dataclasses.replace(answer, compare=self.compare)


def pairs(lines: tuple[str, ...], *at, sign: str = ">") -> list[tuple[str, str]]:
    """The two methods of each line: (better, worse) of a `compare`, (queries, keys) of an `align`."""
    found = []
    for text in lines:
        first, between, second = (part.strip() for part in text.partition(sign))
        if not (first and between and second):
            raise ConfigError(f'takes lines such as "Distilled LFP {sign} SS-LFP", got "{text}"', at=at)
        found.append((first, second))
    return found


def _known(name, known, *at):
    if name is not None and name not in known:
        raise ConfigError(f'there is no "{name}"{suggest(name, known)}', at=at)


def load_sweep(path, overrides=()) -> SweepConfig:
    return load(SweepConfig, path, overrides, _include_shared)


def read_sweep(path: Path):
    """The file's mappings, with what it includes."""
    tree = read_yaml(path)
    _include_shared(tree, path)
    return tree


def _include_shared(tree, path: Path) -> None:
    """What the file says under `include`, but for jobs that nothing needs."""
    shared = tree.get("include") or []
    for file in shared if isinstance(shared, list) else [shared]:
        include(tree, path.parent / str(file))
    jobs = tree.get("jobs")
    if not isinstance(jobs, dict):
        return
    included = getattr(jobs, "included", {})
    wanted, needed = [*(name for name in jobs if name not in included), *_names_in(tree.get("methods"))], set()
    while wanted:
        name = wanted.pop()
        if name in jobs and name not in needed:
            needed.add(name)
            wanted += _names_in(jobs[name])
    for name in included:
        if name not in needed:
            del jobs[name]


def _names_in(tree) -> list[str]:
    """Every word among the values of a piece of YAML."""
    if isinstance(tree, dict | list):
        return [name for value in (tree.values() if isinstance(tree, dict) else tree) for name in _names_in(value)]
    return [tree] if isinstance(tree, str) else []

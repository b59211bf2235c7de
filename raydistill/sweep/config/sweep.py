"""A sweep file: its sessions, its jobs, its methods, and the comparisons of these methods."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from raydistill.config.addresses import FORM, is_mistyped
from raydistill.config.controls import CONTROLS
from raydistill.config.engine import EngineConfig
from raydistill.config.load import MAY_BE_EMPTY, Overrides
from raydistill.config.names import check_label, check_name
from raydistill.config.numbers import Count, Limits, Seed, check_limits
from raydistill.config.objectives import OBJECTIVES, ObjectiveConfig
from raydistill.config.plain import from_plain
from raydistill.config.recordings import IngestConfig
from raydistill.config.synthetic import SyntheticConfig
from raydistill.config.training import RECIPES, Recipe, TrainingConfig
from raydistill.errors import CheckpointError, ConfigError, suggest
from raydistill.evaluation.baselines import BASELINES, TITLES
from raydistill.models.families import FAMILIES, Settings
from raydistill.models.spec import ModelSpec
from raydistill.models.spec_file import read_spec
from raydistill.papers.table import PAPERS
from raydistill.sweep.config.checks import check_exists, check_job, check_trained_teacher
from raydistill.sweep.config.figures import check_answer, check_printed
from raydistill.sweep.config.groups import SessionGroup
from raydistill.sweep.config.job import JobConfig, check_distinct
from raydistill.sweep.config.labels import (
    LabelConfig,
    check_baseline,
    check_compared,
    check_label_job,
    check_label_method,
    check_label_parts,
)
from raydistill.sweep.config.methods import Answer, MethodConfig, pairs
from raydistill.sweep.config.tune import Trials, TuneConfig, check_methods, space_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Recordings:
    """Synthetic recordings, which the sweep generates and ingests if its store lacks them."""

    synthetic: SyntheticConfig
    """The recordings to simulate."""
    ingest: IngestConfig = field(default_factory=IngestConfig)
    """How they are preprocessed and stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """A sweep: which models are trained on which sessions, and how they are compared."""

    name: str
    include: Annotated[tuple[str, ...], MAY_BE_EMPTY] = ()
    """Files that supply defaults, relative to this one. Values of this file take precedence, then those of the
    file. Of the jobs in these files, only those that this sweep needs are used."""
    store: str | None = None
    """Folder, relative to the file that names it, or URI of the session store."""
    recordings: Recordings | None = None
    """Instead of a store: synthetic recordings that the sweep generates."""
    preset: Literal["paper", "small", "tiny"] = "paper"
    """Sizes of models, and recipes."""
    seeds: tuple[Seed, ...] = (0, 1, 2)
    """Seeds of every job on `each` session of a group."""
    behavior: tuple[str, ...] | LabelConfig = ()
    """Behavior columns to decode; by default all. Or `{labels: NAME}`: a label, whose scores are AUC and accuracy."""
    sessions: dict[str, SessionGroup]
    """Group -> its sessions."""
    jobs: dict[str, JobConfig]
    """Job -> what it trains."""
    methods: dict[str, tuple[str | MethodConfig, ...]]
    """Method -> the job whose models it decodes, or several jobs on different sessions."""
    baselines: Annotated[tuple[str, ...] | None, MAY_BE_EMPTY] = None
    """Baseline decoders; each is scored on the sessions that have the signals it needs. By default those of
    `default_baselines`."""
    compare: Annotated[tuple[str, ...], MAY_BE_EMPTY] = ()
    """`A > B`: does method A decode better than method B?"""
    controls: Annotated[tuple[str, ...], MAY_BE_EMPTY] = tuple(CONTROLS)
    """Controls of every distilled method that is compared: students whose teacher cannot tell them what the spikes of
    the same moment tell. Their scores enter no comparison of `compare`."""
    equal_settings: bool = True
    """Whether a method whose patch, dropout or epochs differ from those of the one that it is compared with is also
    trained with these values. Such a row enters no comparison."""
    tune: Trials | TuneConfig | None = None
    """Before the comparison, each method gets this many trials of settings, which are scored on validation folds. A
    number is short for `{trials: ...}`; see `tuning`."""
    align: Annotated[tuple[str, ...], MAY_BE_EMPTY] = ()
    """`A ~ B`: how similar are the latents of methods A and B on the scored segments? A's are the queries, B's the
    keys of the retrieval."""
    paper: str = "crossmodal"
    """The paper whose figures and tables `answers` names; a key of `PAPERS`."""
    answers: dict[str, str | Answer] = field(default_factory=dict)
    """Figure or table of the paper -> the part of the sweep that it shows, or only its group of sessions. Comparisons
    are computed within each group, and results show the paper's numbers as well."""
    model: Annotated[dict[str, Any], Overrides(Settings)] = field(default_factory=dict)
    """Settings of all models that differ from those of the preset."""
    pretraining: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    """Values of the recipe of pretrainings that differ from those of the preset."""
    training: Annotated[dict[str, Any], Overrides(TrainingConfig)] = field(default_factory=dict)
    """Values of the recipe of jobs on one session that differ from those of the preset."""
    engine: Annotated[dict[str, Any], Overrides(EngineConfig)] = field(default_factory=dict)
    """Execution settings of trainings; they never enter a job's key."""
    cpus_per_job: Count = 1
    """Threads of a job on one session."""
    gpu_per_job: Annotated[float, Limits(above=0, most=1)] = 0.25
    """Share of a GPU, and of its memory, for a job on one session, if the cluster has GPUs."""

    @property
    def label(self) -> str | None:
        """The label that is decoded; None: behavior columns are."""
        return self.behavior.labels if isinstance(self.behavior, LabelConfig) else None

    @property
    def target(self) -> Literal["behavior", "labels"]:
        """What decoders read of a session besides its signals."""
        return "behavior" if self.label is None else "labels"

    @property
    def columns(self) -> tuple[str, ...]:
        """The behavior columns that the file names; empty: all, or none if a label is decoded."""
        return () if isinstance(self.behavior, LabelConfig) else self.behavior

    @property
    def tuning(self) -> TuneConfig | None:
        """`tune` in full; None: every job has the settings of the sweep."""
        return TuneConfig(trials=self.tune) if isinstance(self.tune, int) else self.tune

    def settings_of(self, job: JobConfig) -> Any:
        """The settings of a job's model: the preset of its family, then `model:` of the sweep, then of the job."""
        family = FAMILIES[job.family]
        names = {f.name for f in dataclasses.fields(family.settings)}
        shared = {name: value for name, value in self.model.items() if name in names}
        return dataclasses.replace(family.presets[self.preset], **(shared | self._model_values(job)))

    def _model_values(self, job: JobConfig) -> dict[str, Any]:
        """The `model:` of a job on top of that of the job whose weights it starts from."""
        source = self.jobs[job.source] if job.source else None
        if source and source.imported:
            spec = self.imported_spec(source)
            return (FAMILIES[job.family].settings_of(spec.config) if spec.family == job.family else {}) | job.model
        return (self._model_values(source) if source and source.family == job.family else {}) | job.model

    def imported_spec(self, job: JobConfig) -> ModelSpec:
        """The specification of an imported model. Raises ConfigError if it cannot be read."""
        assert job.imported
        try:
            return read_spec(Path(job.imported))
        except CheckpointError as err:
            line = next(name for name, other in self.jobs.items() if other is job)
            raise ConfigError(str(err), at=("jobs", line, "imported")) from None

    def model_of(self, name: str) -> Any:
        """The configuration of the model that a job trains, of the configuration class of its family."""
        job = self.jobs[name]
        if job.imported:
            return self.imported_spec(job).config
        objective = self.objective_of(job)
        return FAMILIES[job.family].configure(
            self.settings_of(job),
            self.modality_of(name),
            self.embedding_of(name),
            predictor=objective is not None and objective.needs.predictor,
            readout=objective is not None and objective.needs.readout,
        )

    def objective_of(self, job: JobConfig) -> ObjectiveConfig | None:
        """The objective of a job, None for a fitted or imported model. Settings that `objective:` does not give come
        from `training:`."""
        if not job.is_trained:
            return None
        cls, training = OBJECTIVES[job.objective_name], self.training_of(job)
        names = {f.name for f in dataclasses.fields(cls)}
        settings = {name: value for name, value in training.of_objectives.items() if name in names}
        if "patch_bins" in names and not settings["blocks"]:
            settings["patch_bins"] = getattr(self.settings_of(job), "patch_bins", None)
        if job.unfreeze_epoch is not None:
            if "unfreeze_epoch" not in names:
                raise ConfigError(
                    f"`objective: {job.objective_name}` keeps its teacher as it is; leave `unfreeze_epoch` out, or "
                    "`supervision: joint`",
                    at=("unfreeze_epoch",),
                )
            settings["unfreeze_epoch"] = job.unfreeze_epoch
        overrides = job.objective if isinstance(job.objective, dict) else {}
        try:
            return from_plain(cls, settings | overrides)
        except ValueError as err:
            raise ConfigError(f"`objective: {job.objective_name}`: {err}", at=("objective",)) from None

    def training_of(self, job: JobConfig) -> TrainingConfig:
        """The recipe of a job: that of the preset, then the values of the sweep, then those of the job."""
        preset = FAMILIES[job.family].recipes[self.preset]
        if job.is_pretraining:
            base = (preset.shared_student if job.distill else None) or preset.pretraining
            return dataclasses.replace(base, **(self.pretraining | job.training))
        base = preset.continued if job.start else (preset.finetuned if job.finetune else None) or preset.training
        return dataclasses.replace(base, **(self.training | job.training))

    def recipe_of(self, job: JobConfig) -> Recipe | None:
        """How the weights of a job's model are optimised, None for a fitted or imported model."""
        return self.training_of(job).recipe if job.is_trained else None

    def engine_of(self, job: JobConfig) -> EngineConfig:
        """The execution settings of a job: those of the sweep, then those of the job."""
        return EngineConfig(**(self.engine | job.engine))

    def __post_init__(self):
        check_name(self.name, "sweep")
        check_limits(self)
        check_distinct(self.seeds)
        self._check_source_of_sessions()
        self._check_names()
        self._check_shared_values()
        for name, job in self.sources_first():
            self._check_values(name, job)
        self._check_model_settings()
        check_label_parts(self.label, {"tune": self.tune, "answers": self.answers})
        if self.tuning:
            check_methods(self.tuning, self.methods)
            space_of(self.tuning, self.preset, self.jobs.values())
        self._check_methods()
        self._check_comparisons()
        paper = PAPERS[self.paper]
        for figure in self.answers:
            check_printed(figure, paper)
            check_answer(figure, self.answer(figure), paper, self.methods, self.sessions)

    def _check_source_of_sessions(self) -> None:
        if (self.store is None) == (self.recordings is None):
            raise ConfigError("give either `store` (or --set store=DIR) or `recordings`, not both")
        if self.store is not None and is_mistyped(self.store):
            raise ConfigError(f'"{self.store}" must be a folder, or the address of one ({FORM})', at=("store",))

    def _check_names(self) -> None:
        """Check names that the file gives, and those that it refers to, apart from those of methods."""
        for method in self.methods:
            check_label(method, "method")
            if method in TITLES:
                raise ConfigError(
                    f'"{method}" is the name of a baseline; give the method another', at=("methods", method)
                )
        for figure in self.answers:
            check_label(figure, "figure")
        if not self.jobs:
            raise ConfigError("name at least one job", at=("jobs",))
        check_exists(self.paper, PAPERS, "paper")
        for i, baseline in enumerate(self.baselines or ()):
            check_exists(baseline, BASELINES, "baselines", i)
            check_baseline(baseline, self.label, "baselines", i)
        for i, control in enumerate(self.controls):
            check_exists(control, CONTROLS, "controls", i)
        for name, group in self.sessions.items():
            check_exists(group.except_, self.sessions, "sessions", name, "except")
        for name, job in self.jobs.items():
            check_name(name, "job")
            check_exists(job.on or job.each, self.sessions, "jobs", name, "on" if job.on else "each")
            for key in ("finetune", "distill", "start"):
                check_exists(getattr(job, key), self.jobs, "jobs", name, key)

    def _check_model_settings(self) -> None:
        """Check that a model of the sweep has each setting of `model:`."""
        families = {FAMILIES[job.family].settings for job in self.jobs.values()}
        names = {f.name for settings in families for f in dataclasses.fields(settings)}
        for key in self.model:
            if key not in names:
                raise ConfigError(f'no model of this sweep has the setting "{key}"', at=("model", key))

    def _check_methods(self) -> None:
        owners: dict[str, str] = {}
        for method in self.methods:
            for decoder in self.decoders(method):
                self._check_decoder(method, decoder)
                if decoder.is_training and owners.setdefault(decoder.job, method) != method:
                    raise ConfigError(
                        f"the scores of {decoder.job} already belong to {owners[decoder.job]}", at=("methods", method)
                    )

    def _check_comparisons(self) -> None:
        for pair in pairs(self.compare, "compare"):
            for method in pair:
                check_exists(method, (*self.methods, *TITLES), "compare")
                check_compared(method, self.label, "compare")
        for pair in pairs(self.align, "align", sign="~"):
            for method in pair:
                check_exists(method, self.methods, "align")

    def sources_first(self) -> list[tuple[str, JobConfig]]:
        """(name, job) in the order of the file, except that each job comes after those it starts or learns from."""
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

    def _check_shared_values(self) -> None:
        """Values that all jobs share are checked first, so that an error has their line and not that of a job."""
        recipes = RECIPES[self.preset]
        for key, base in (
            ("pretraining", recipes.pretraining),
            ("training", recipes.training),
            ("engine", EngineConfig()),
        ):
            try:
                dataclasses.replace(base, **getattr(self, key))
            except ConfigError as err:
                raise ConfigError(str(err), at=(key, *err.at)) from None

    def _check_values(self, name: str, job: JobConfig) -> None:
        """Check the values of a job after they are merged with those of the preset and the sweep."""
        check_label_job(name, job, self.label)
        if job.imported:
            return
        names = [f.name for f in dataclasses.fields(FAMILIES[job.family].settings)]
        for key in job.model:
            if key not in names:
                hint = suggest(key, names)
                raise ConfigError(
                    f'`family: {job.family}` has no setting "{key}"{hint}', at=("jobs", name, "model", key)
                )
        if job.source and (family := self._family_of(job.source)) != job.family:
            raise ConfigError(
                f"the job starts from {job.source}, which is of another family ({family})", at=("jobs", name)
            )
        if job.source and job.is_pretraining and not self.jobs[job.source].is_one_model:
            raise ConfigError(
                f"one model over several sessions starts from one model, but {job.source} has one for each session; "
                "start from a job that has `on`",
                at=("jobs", name),
            )
        try:
            objective = self.objective_of(job)
            self.model_of(name)
            self.engine_of(job)
            check_job(job, objective, self.model_of, name)
            if job.distill and getattr(objective, "unfreeze_epoch", None) is not None:
                check_trained_teacher(job, self.jobs[job.distill], (self._piece_s(name), self._piece_s(job.distill)))
        except ConfigError as err:
            raise ConfigError(str(err), at=("jobs", name, *err.at)) from None

    def _piece_s(self, name: str) -> float | None:
        job = self.jobs[name]
        return self.imported_spec(job).piece_s if job.imported else self.training_of(job).piece_s

    def _family_of(self, name: str) -> str:
        job = self.jobs[name]
        return self.imported_spec(job).family if job.imported else job.family

    def _check_decoder(self, method: str, decoder: MethodConfig) -> None:
        at = ("methods", method)
        check_exists(decoder.job, self.jobs, *at)
        check_exists(decoder.each, self.sessions, *at)
        job = self.jobs[decoder.job]
        if job.is_one_model and decoder.each is None:
            raise ConfigError(
                f"{decoder.job} is one model over many sessions: give the sessions to decode as "
                f"{{job: {decoder.job}, each: GROUP}}",
                at=at,
            )
        # An imported model may know the sessions that it decodes, or decode them as one that it knows.
        if not job.imported and (decoder.as_ is not None) != (decoder.each is not None and not job.is_pretraining):
            raise ConfigError(
                "to decode other sessions with the model of one session, give both `each: GROUP` and `as: SESSION`",
                at=at,
            )
        check_label_method(method, decoder, self.label)
        if decoder.inputs and self.modality_of(decoder.job) != "multimodal":
            raise ConfigError(f"`inputs: lfp` needs a multimodal model, but {decoder.job} is none", at=at)

    def decoders(self, method: str) -> tuple[MethodConfig, ...]:
        """The jobs that a method decodes, and how; the name of a job is short for `{job: NAME}`."""
        return tuple(MethodConfig(job=d) if isinstance(d, str) else d for d in self.methods[method])

    def seeds_of(self, job: JobConfig) -> tuple[int | None, ...]:
        """The seeds of a job on `each` session; None for models that are fitted, because nothing in a fit is random."""
        return (None,) if job.is_fitted else job.seeds or self.seeds

    def modality_of(self, name: str) -> str:
        """The signals that a job's model reads: spikes, lfp or multimodal."""
        job = self.jobs[name]
        if job.imported:
            return self.imported_spec(job).modality
        if isinstance(job.train, tuple):
            return "multimodal" if len(set(job.train)) == 2 else job.train[0]
        if job.finetune:
            return self.modality_of(job.finetune)
        return job.pretrain or job.train or job.into

    def embedding_of(self, name: str) -> str:
        """The value embedding of a job's model: that of `embedding:`, or the default (see `JobConfig.embedding`)."""
        job = self.jobs[name]
        if job.imported:
            return self.imported_spec(job).config.embedding.name
        if job.embedding:
            return job.embedding
        if job.source:
            return self.embedding_of(job.source)
        if embedding := FAMILIES[job.family].embedding:
            return embedding
        return "count" if self.modality_of(name) == "spikes" else "conv" if job.distill else "linear"

    def answer(self, figure: str) -> Answer:
        """The part of the sweep that a figure shows, with default methods and comparisons if it names none."""
        value = self.answers[figure]
        answer = Answer(on=value) if isinstance(value, str) else value
        methods = answer.methods or tuple(self.methods)
        of_figure = tuple(
            line for line, pair in zip(self.compare, pairs(self.compare), strict=True) if {*pair} <= {*methods, *TITLES}
        )
        compare = of_figure if answer.compare is None else answer.compare
        return dataclasses.replace(answer, methods=methods, compare=compare)


def compared_pairs(sweep: SweepConfig) -> list[tuple[str, str]]:
    """(better, worse) of every comparison of a sweep and of the figures that it answers, each once. Both are names of
    methods or titles of baselines."""
    of_figures = (pair for figure in sweep.answers for pair in pairs(sweep.answer(figure).compare or ()))
    return list(dict.fromkeys([*pairs(sweep.compare), *of_figures]))


def compared_methods(sweep: SweepConfig) -> list[str]:
    """The methods of the comparisons, without baselines, each once."""
    return list(dict.fromkeys(name for pair in compared_pairs(sweep) for name in pair if name in sweep.methods))

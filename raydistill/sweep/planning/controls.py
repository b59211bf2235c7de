"""The controls of a sweep: for each distilled method that is compared, students that the spikes cannot have helped."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from raydistill.config.controls import CONTROLS, NONE, OTHER, control_method
from raydistill.config.objectives import (
    Distillation,
    DistillationWithBehavior,
    JointDistillation,
    MaskedAutoencoding,
    MaskedAutoencodingWithBehavior,
)
from raydistill.config.plain import from_plain
from raydistill.models.families import FAMILIES
from raydistill.store.catalogue import Entry
from raydistill.store.table import SIGNALS
from raydistill.sweep.config.sweep import SweepConfig, compared_methods
from raydistill.sweep.planning.job import Job, Place
from raydistill.sweep.planning.spec import TrainingSpec


def control_jobs(sweep: SweepConfig, trainings: Mapping[Place, Job], entries: list[Entry]) -> Iterator[Job]:
    """The jobs of all controls.

    A student whose teacher is trained with it has the controls without a teacher only, one that is trained on several
    sessions has none, and one that starts from such a model is not trained by masking, for which it lacks weights. A
    session has no teacher of another session if there is no other one with the same seed.
    """
    stored = {e.session: e for e in entries}
    for line, method in controlled_lines(sweep).items():
        students = {place: job for place, job in trainings.items() if place[0] == line and place[1] is not None}
        for control in sweep.controls:
            for (_, session, seed), job in students.items():
                if not CONTROLS[control].has_teacher:
                    spec = _without_teacher(sweep, line, control, job, stored)
                else:
                    spec = _with(control, job, students, stored)
                if spec is not None:
                    name = f"{line}+{control}/{session}/seed{seed}"
                    label = control_method(method, control)
                    yield replace(job, name=name, kind="control", method=label, spec=spec, key="")


def controlled_lines(sweep: SweepConfig) -> dict[str, str]:
    """Line of `jobs` -> method, for all lines that distil the students of a method that is compared."""
    lines = {d.job: method for method in compared_methods(sweep) for d in sweep.decoders(method) if d.is_training}
    return {line: method for line, method in lines.items() if sweep.jobs[line].distill and sweep.jobs[line].each}


def _without_teacher(
    sweep: SweepConfig, line: str, control: str, job: Job, stored: Mapping[str, Entry]
) -> TrainingSpec | None:
    spec = job.training_spec
    assert job.session and isinstance(spec.objective, Distillation | DistillationWithBehavior | JointDistillation)
    reads = tuple(name for name in SIGNALS if name in (spec.model.modality, sweep.target))
    alone = replace(
        spec,
        teachers=None,
        inherit=None,
        freeze=spec.freeze if spec.weights else None,
        reads=reads,
        sessions={job.session: stored[job.session].content_of(reads)},
    )
    if control == NONE:
        objective = replace(spec.objective, alignment=0.0)
        if not isinstance(objective, JointDistillation):
            objective = replace(objective, unfreeze_epoch=None)
        return replace(alone, objective=objective)
    return None if spec.weights else _masked(sweep, line, alone)


def _masked(sweep: SweepConfig, line: str, spec: TrainingSpec) -> TrainingSpec:
    """The student trained by masked autoencoding, which needs a predictor instead of a read-out."""
    config = sweep.jobs[line]
    masking: Any = MaskedAutoencoding if isinstance(spec.objective, Distillation) else MaskedAutoencodingWithBehavior
    training = sweep.training_of(config)
    settings = {name: training.of_objectives[name] for name in ("mask_ratio", "blocks", "augmentation")}
    if spec.model.backbone.reads == "bins":
        settings["blocks"] = training.blocks
    model = FAMILIES[config.family].configure(
        sweep.settings_of(config),
        sweep.modality_of(line),
        sweep.embedding_of(line),
        predictor=True,
        readout=False,
    )
    return replace(spec, model=model, objective=from_plain(masking, settings))


def _with(control: str, job: Job, students: Mapping[Place, Job], stored: Mapping[str, Entry]) -> TrainingSpec | None:
    spec = job.training_spec
    assert job.session and isinstance(spec.objective, Distillation | DistillationWithBehavior | JointDistillation)
    if getattr(spec.objective, "unfreeze_epoch", None) is not None:
        return None
    if control != OTHER:
        return replace(spec, control=control)
    sessions = sorted(session for _, session, seed in students if session and seed == job.seed)
    other = sessions[(sessions.index(job.session) + 1) % len(sessions)]
    if other == job.session:
        return None
    teachers = next(s for (_, session, seed), s in students.items() if (session, seed) == (other, job.seed))
    assert teachers.training_spec.teachers
    return replace(
        spec,
        control=control,
        teachers={job.session: teachers.training_spec.teachers[other]},
        borrowed={other: stored[other].content_of(("spikes",))},
    )

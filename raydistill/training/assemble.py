"""From a task to a training: the one place where model, objective, feed and loop are put together.

A task can be sent to another process. Jobs on one session assemble it where they run, pretrainings on every worker of
Ray Train.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from raydistill import mirrored
from raydistill.config.controls import RANDOM
from raydistill.config.engine import EngineConfig
from raydistill.config.objectives import ObjectiveConfig, aligned_layers
from raydistill.config.training import Recipe
from raydistill.errors import ConfigError
from raydistill.feed.disturbed import disturbance
from raydistill.feed.feed import Feed
from raydistill.feed.placement import Placement, Share, TeacherEncoder, open_feed
from raydistill.feed.reading import Reader
from raydistill.models.families import build_model
from raydistill.models.files import load_model, save_model
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import frozen
from raydistill.models.layers.precision import compute_exactly
from raydistill.models.model import Model
from raydistill.models.parts import freeze_encoder, freeze_tokenizer, inherit_tokenizer
from raydistill.models.spec import ModelSpec
from raydistill.objective import Objective
from raydistill.objectives import StudentAndTeacher, build_objective
from raydistill.ownership import held, is_owner
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.training.hardware import computed_here
from raydistill.training.loop import Training, World, train


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """One training, as data."""

    spec: ModelSpec
    objective: ObjectiveConfig
    recipe: Recipe
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int
    store: str
    """Folder or URI of the session store."""
    entries: tuple[Entry, ...]
    folder: Path
    """The job's folder: history, checkpoints, and in the end the model."""
    weights: Path | None = None
    """Folder of the model that this one starts from."""
    teachers: dict[str, Path] = field(default_factory=dict)
    """Of a distillation: session -> folder of its teacher."""
    inherit: str | None = None
    """Of a distillation: what the student takes over from its teacher, see `JobConfig.inherit`."""
    freeze: str | None = None
    """What is not trained, see `JobConfig.freeze`."""
    control: str | None = None
    """A key of `CONTROLS`: which teacher takes the place of the true one, or what it reads."""
    borrowed: tuple[Entry, ...] = ()
    """For the control `other_session_teacher`: the other session."""
    stop_at: float | None = None
    """Unix time after which the training stops at a checkpoint, see `Training`."""
    runs: str = ""
    """Address of the runs folder, if it is in an object store; then all folders are those of the driver's copy."""

    def fetched(self) -> "TrainingTask":
        """The task with the folders of this machine, which are brought up to date with the object store."""
        if not self.runs:
            return self
        jobs = mirrored.register(self.runs) / mirrored.JOBS
        task = dataclasses.replace(
            self,
            folder=jobs / self.folder.name,
            weights=self.weights and jobs / self.weights.name,
            teachers={session: jobs / folder.name for session, folder in self.teachers.items()},
        )
        for folder in dict.fromkeys((task.folder, *filter(None, [task.weights]), *task.teachers.values())):
            mirrored.fetch(folder)
        return task

    @property
    def trains_teacher(self) -> bool:
        """Whether the teacher is trained with the student from some epoch on."""
        return getattr(self.objective, "unfreeze_epoch", None) is not None

    def share(self, teacher: ModelSpec | None = None, rank: int = 0, workers: int = 1) -> Share:
        """What a worker reads.

        Args:
            teacher: specification of the teachers.
        """
        inputs = inputs_of(self.spec, self.entries)
        of_teacher = inputs_of(teacher, self.entries) if teacher else None
        return Share(
            entries=self.entries,
            inputs=inputs,
            teacher_inputs=of_teacher if self.trains_teacher else None,
            frozen_inputs=None if self.trains_teacher else of_teacher,
            teacher_width=teacher.config.width if teacher and not self.trains_teacher else 0,
            rank=rank,
            workers=workers,
        )


@dataclass(frozen=True)
class AssembledTraining:
    """A training that is ready to run."""

    training: Training
    model: Model
    """The model that is kept: of a distillation, the student."""
    placement: Placement

    def run(self) -> dict:
        """Train, and save the model with its best epoch's weights (on rank 0).

        Returns:
            Epochs, best epoch and its loss, and where the segments were kept.
        """
        leads, was_owner = self.training.world.rank == 0, is_owner(self.training.folder)
        with held(self.training.folder) if leads else contextlib.nullcontext():
            if leads and not was_owner:
                mirrored.announce(self.training.folder)
            state = train(self.training)
            if self.training.objective.finish:
                self.training.objective.finish(self.training.model)
            if leads:
                save_model(self.model, self.training.folder)
                if not was_owner:  # the driver has the folder otherwise, and completes it
                    mirrored.publish(self.training.folder)
        return state.summary() | {"segments": self.placement.to_json()}


def assemble(
    task: TrainingTask,
    reader: Callable[[TrainingTask, Share], Reader],
    *,
    world: World | None = None,
    device: str = "cpu",
    until: int | None = None,
    wrap: Callable[[nn.Module, Objective, Feed], nn.Module] = lambda module, objective, feed: module,
) -> AssembledTraining:
    """Build everything that the loop needs.

    Args:
        reader: opens the store for this worker's share.
        until: stop after this epoch.
        wrap: makes the forward pass distributed.
    Raises:
        CheckpointError: a model to start from, or a teacher, is missing or corrupt.
        ConfigError: the teacher is to be trained, and the sessions have different ones.
    """
    world = world or World()
    compute_exactly(device)
    task = dataclasses.replace(task, spec=computed_here(task.spec))
    loaded = {folder: load_model(folder) for folder in dict.fromkeys(task.teachers.values())}
    teachers = {session: loaded[folder] for session, folder in task.teachers.items()}
    teacher = next(iter(teachers.values()), None)
    if task.trains_teacher and len(loaded) != 1:
        raise ConfigError(f"`unfreeze_epoch` trains one teacher, but the sessions have {len(loaded)}")

    if task.control == RANDOM and teacher:
        torch.manual_seed(task.seed)
        teachers = dict.fromkeys(teachers, build_model(teacher.spec))

    share = task.share(teacher.spec if teacher else None, world.rank, world.size)
    feed, placement = open_feed(
        share,
        reader(task, share),
        batch=task.recipe.batch,
        seed=task.seed,
        engine=task.engine,
        device=device,
        teacher=_teacher(task, teachers, device) if teacher and not task.trains_teacher else None,
    )
    torch.manual_seed(task.seed)  # all workers start from the same weights
    model = load_model(task.weights).transplanted(task.spec) if task.weights else build_model(task.spec)
    if task.inherit and teacher:
        inherit_tokenizer(model, teacher, delayed=task.inherit == "shifted_tokenizer")
    if task.freeze:
        (freeze_encoder if task.freeze == "encoder" else freeze_tokenizer)(model)
    objective = build_objective(task.objective, task.spec)
    training = Training(
        model=StudentAndTeacher(model, teacher) if teacher and task.trains_teacher else objective.extend(model),
        objective=objective,
        feed=feed,
        recipe=task.recipe,
        engine=task.engine,
        seed=task.seed,
        folder=task.folder,
        world=world,
        wrap=lambda module: wrap(module, objective, feed),
        device=device,
        until=until,
        stop_at=task.stop_at,
    )
    return AssembledTraining(training, model, placement)


def _teacher(task: TrainingTask, teachers: dict[str, Model], device: str) -> TeacherEncoder:
    """The latents of a frozen teacher, or of that of a control."""

    def borrow(fold: str) -> tuple[Entry, np.ndarray]:
        (other,) = task.borrowed
        return other, np.concatenate([s.spikes for s in Store(task.store).read(other, fold)])

    disturb = disturbance(task.control, task.entries[0].bin_width_ms, functools.cache(borrow))
    if task.borrowed:
        teachers = {other.session: teacher for other, teacher in zip(task.borrowed, teachers.values(), strict=True)}
    encode = frozen(teachers, list(task.borrowed or task.entries), device, aligned_layers(task.objective))
    return encode if disturb is None else lambda segments: encode(disturb(segments))

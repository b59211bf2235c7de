"""Notes on methods: on those compared whose families and sizes differ, and on what scores of a family mean."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raydistill.models.families import FAMILIES
from raydistill.sweep.config.sweep import SweepConfig, compared_pairs
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.spec import EvaluationSpec, ImportedSpec, TrainingSpec

LARGER = 1.25
"""A model is called larger if it has this many times the parameters of the other."""
_ONLY_OF_TRAINING = ("predictor", "bins_predictor", "decoder_layers", "masked_by")
"""Parts of a configuration that decoding does not use."""


def notes_on_families(jobs: Sequence[Job]) -> tuple[str, ...]:
    """What readers of the scores of a family must know, with the methods that the remark is about."""
    methods: dict[str, dict[str, None]] = {}  # remark -> methods, in order
    for job, model in _decoded(jobs):
        if remark := remark_on(model):
            methods.setdefault(remark, {})[str(job.method)] = None
    return tuple(f"{' and '.join(names)}: {remark}" for remark, names in methods.items())


def remark_on(spec: TrainingSpec | ImportedSpec) -> str:
    """What readers of the scores of a model must know because of its family; "" if nothing."""
    return FAMILIES[spec.family].remark(spec.model)


def notes_on_sizes(sweep: SweepConfig, jobs: Sequence[Job]) -> tuple[str, ...]:
    """A note for each comparison between families whose models have different numbers of parameters.

    Layers of two families differ in size, so that equal numbers of layers say little. Models that are fitted in one
    step have no layers, and choose their size themselves.
    """
    models, notes = dict[str, TrainingSpec | ImportedSpec](), []
    for job, spec in _decoded(jobs):
        models.setdefault(str(job.method), spec)
    for pair in dict.fromkeys(compared_pairs(sweep)):
        if all(method in models for method in pair):
            sizes = {method: shared_parameters(models[method]) for method in pair}
            larger, smaller = sorted(pair, key=lambda method: -sizes[method])
            is_larger = sizes[larger] > LARGER * sizes[smaller]
            if is_larger and models[larger].family != models[smaller].family:
                notes.append(
                    f"{larger} is larger than {smaller}: {in_millions(sizes[larger])} parameters against "
                    f"{in_millions(sizes[smaller])}, without those that belong to sessions or only reconstruct. Their "
                    "difference may be owed to size"
                )
    return tuple(notes)


def shared_parameters(spec: TrainingSpec | ImportedSpec) -> int:
    """Number of parameters with which a model decodes, without those that belong to sessions or subjects."""
    unused = {name: None for name in _ONLY_OF_TRAINING if hasattr(spec.model, name)}
    model: Any = dataclasses.replace(spec.model, **unused)
    return FAMILIES[spec.family].parameters(model, patches=0)


def in_millions(count: int) -> str:
    """Such as 4.0 M."""
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"


def _decoded(jobs: Sequence[Job]) -> Iterator[tuple[Job, TrainingSpec | ImportedSpec]]:
    """Each job that belongs to a method, and the specification of the model that it decodes."""
    by_key = {job.key: job for job in jobs}
    for job in jobs:
        if job.method and job.kind != "control" and (spec := _model(job, by_key)):
            yield job, spec


def _model(job: Job, by_key: Mapping[str, Job]) -> TrainingSpec | ImportedSpec | None:
    """The specification of the model that a job decodes; None for a baseline, and for a model that is fitted."""
    if isinstance(job.spec, EvaluationSpec):
        job = by_key[job.spec.trained]
    return job.model_spec if job.has_model and not FAMILIES[job.model_spec.family].fit else None

"""What each method and baseline of a sweep is, in sentences, from the specifications of its jobs."""

from collections.abc import Mapping

from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.results import Results, unique
from raydistill.sweep.answering.sees import trainings_of
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec, ImportedSpec, TrainingSpec

SIGNALS = {"lfp": "LFP", "spikes": "spikes", "multimodal": "spikes and LFP"}
LEARNS = {
    "masked_autoencoding": "learns to reconstruct masked parts of {signals}",
    "masked_autoencoding_with_behavior": "learns to reconstruct masked parts of {signals} and to predict behavior",
    "behavior_regression": "learns to predict behavior",
    "masked_groups": "learns to predict tokens of masked groups of channels of {signals}",
    "label_classification": "learns to predict the label",
    "distillation": "learns to reconstruct {signals}, while its latents follow those of {teacher}",
    "joint_distillation": "learns to reconstruct {signals} and to predict behavior, while its latents follow those of "
    "{teacher}",
    "distillation_with_behavior": "learns to predict behavior, while its latents follow those of {teacher}",
}
"""Objective -> what a model does, after "A model that reads LFP and"."""


def meanings(plan: Plan, results: Results) -> dict[str, str]:
    """Method or baseline -> what it is, for those that have a score."""
    jobs, first = {job.key: job for job in plan.jobs}, dict[str, Job]()
    for job in plan.jobs:
        if job.method and job.kind != "control":
            first.setdefault(job.method, job)
    scored = unique(s.method for s in (*results.scores, *results.baselines))
    return {method: _meaning(first[method], jobs) for method in scored if method in first}


def _meaning(job: Job, jobs: Mapping[str, Job]) -> str:
    if isinstance(job.spec, BaselineSpec):
        return BASELINES[job.spec.baseline].meaning
    trained = trainings_of(job, jobs)[0]
    spec = trained.model_spec
    if isinstance(spec, ImportedSpec):
        sentences = [f"A model that reads {SIGNALS[spec.model.modality]} and was imported as it is."]
    else:
        sentences = [
            f"A model that reads {SIGNALS[spec.model.modality]} and {_learns(spec, jobs)}.",
            _begin(trained, jobs),
        ]
    if isinstance(job.spec, EvaluationSpec):
        sentences.append(_decoded_otherwise(job.spec))
    how = "by its own head" if spec.predicted_behavior else "from its latents by least squares"
    if (past_bins := getattr(job.spec, "past_bins", None)) is not None:
        how = f"by ridge regression from its latents of a bin and of the {past_bins} bins before it"
    if job.spec.label is None:
        sentences.append(f"Behavior is decoded {how}.")
    else:
        how = "by its own outputs" if spec.predicts_label else "from its latents by logistic regression"
        sentences.append(f"The label is decoded {how}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _learns(spec: TrainingSpec, jobs: Mapping[str, Job]) -> str:
    if spec.objective is None:
        return "is fitted to the training fold in one step"
    teachers = [jobs[key] for key in (spec.teachers or {}).values() if key in jobs]
    teacher = " and ".join(f"`{line}`" for line in unique(job.line for job in teachers)) or "a teacher"
    if teachers:
        teacher += f", a model of {SIGNALS[teachers[0].model_spec.model.modality]}"
    return LEARNS.get(spec.objective.name, f"minimises {spec.objective.name}").format(
        teacher=teacher, signals=SIGNALS[spec.model.modality]
    )


def _begin(trained: Job, jobs: Mapping[str, Job]) -> str:
    """From which weights, and on how many sessions."""
    source = jobs.get(trained.training_spec.weights or "")
    n = len(trained.spec.sessions)
    on = "each session alone" if trained.session else f"{n} session{'s' if n != 1 else ''} together"
    if source is None:
        return f"It is trained on {on}, from random weights."
    if isinstance(source.spec, ImportedSpec):
        return f"It is trained on {on}, from the imported weights of `{source.line}`."
    before = len(source.spec.sessions)
    return f"It is trained on {on}, from the weights of `{source.line}` ({before} session{'s' if before != 1 else ''})."


def _decoded_otherwise(spec: EvaluationSpec) -> str:
    if spec.spikes_as != "recorded":
        return f"It is decoded without its spikes: they are replaced by {spec.spikes_as}."
    if spec.embeddings_of:
        return f"It is decoded on other sessions, with the input layers of {spec.embeddings_of}."
    return "It is decoded as it is."

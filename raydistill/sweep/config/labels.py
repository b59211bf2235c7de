"""Sweeps that decode a label instead of behavior columns: what such a sweep cannot have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydistill.config.objectives import OBJECTIVES
from raydistill.errors import ConfigError
from raydistill.evaluation.baselines import BASELINES, TITLES
from raydistill.models.families import FAMILIES
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.methods import MethodConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """`behavior: {labels: NAME}`."""

    labels: str
    """The label to decode; its scores are AUC and accuracy."""


def check_baseline(name: str, label: str | None, *at: Any) -> None:
    """Raise ConfigError unless a baseline decodes what the sweep decodes."""
    baseline = BASELINES[name]
    if (baseline.decodes == "labels") != (label is not None):
        others = ", ".join(other for other, b in BASELINES.items() if b.decodes != baseline.decodes)
        what = f'the label "{label}"' if label else "behavior columns"
        raise ConfigError(
            f"{name} decodes {'a label' if baseline.decodes == 'labels' else 'numbers'}, but the sweep decodes {what}; "
            f"use {others}",
            at=at,
        )


def check_compared(name: str, label: str | None, *at: str) -> None:
    """Raise ConfigError if a comparison names a baseline that does not decode what the sweep decodes."""
    if name in TITLES:
        check_baseline(TITLES[name], label, *at)


def check_label_job(name: str, job: JobConfig, label: str | None) -> None:
    """Raise ConfigError if a job is trained on numbers in a sweep that decodes a label, or the other way round."""
    if job.imported:
        return
    at = ("jobs", name)
    if label is None:
        if not job.is_fitted and OBJECTIVES[job.objective_name].needs.labels:
            raise ConfigError(
                f"`objective: {job.objective_name}` needs a sweep that decodes a label: give `behavior: "
                "{labels: NAME}`",
                at=(*at, "objective"),
            )
        return
    if job.is_fitted:
        raise ConfigError(
            f"models of `family: {job.family}` are fitted to behavior columns, so they cannot be in a sweep that "
            "decodes a label; leave the job out",
            at=at,
        )
    if OBJECTIVES[job.objective_name].needs.labels and not FAMILIES[job.family].predicts_labels:
        others = ", ".join(name for name, family in FAMILIES.items() if family.predicts_labels)
        raise ConfigError(
            f"`objective: {job.objective_name}` is not there for `family: {job.family}`, only for {others}; leave it "
            "out, so that the label is decoded from the latents",
            at=(*at, "objective"),
        )
    if OBJECTIVES[job.objective_name].needs.behavior:
        raise ConfigError(
            f"`objective: {job.objective_name}` trains on behavior columns, but the sweep decodes the label "
            f'"{label}": train on the label by `objective: label_classification`, or without one (no `supervision`)',
            at=at,
        )


def check_label_method(method: str, decoder: MethodConfig, label: str | None) -> None:
    """Raise ConfigError if a method decodes numbers only."""
    if label is not None and decoder.past_bins is not None:
        raise ConfigError(
            "`past_bins` decodes behavior columns by ridge regression, but the sweep decodes a label; leave it out",
            at=("methods", method),
        )


def check_label_parts(label: str | None, parts: Mapping[str, object]) -> None:
    """Raise ConfigError for parts of a sweep file that are about R².

    Args:
        parts: name -> value of `tune` and `answers`.
    """
    for name, value in parts.items():
        if label is not None and value:
            raise ConfigError(
                f"`{name}` is about R², which a label does not have; leave it out of a sweep that decodes a label",
                at=(name,),
            )

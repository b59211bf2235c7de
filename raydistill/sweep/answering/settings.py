"""The settings in which the methods of each comparison differ, from the resolved specifications of their jobs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raydistill.config.names import recorded_and_draw
from raydistill.config.plain import to_plain
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.settings import DifferentSettings
from raydistill.sweep.answering.sees import trainings_of
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.spec import ImportedSpec, TrainingSpec

OF_THE_METHOD = ("embedding", "predictor", "readout")
"""Parts of a model that follow from its objective, and so belong to what is compared."""


def different_settings(plan: Plan, comparisons: Sequence[Comparison]) -> tuple[DifferentSettings, ...]:
    """For each comparison whose methods differ in patch size, sizes of the model or recipe: in what.

    Models of different signals are compared in what they have in common.
    """
    jobs, panels = {job.key: job for job in plan.jobs}, {panel.figure: panel for panel in plan.panels}
    found = defaultdict[str, list[tuple[str, dict[str, str]]]](list)  # method -> (session, settings) of each job
    for job in plan.jobs:
        if job.method and job.session and job.kind != "control" and (trainings := trainings_of(job, jobs)):
            session, _ = recorded_and_draw(job.session)
            found[job.method].append((session, dict(_settings(trainings[0].model_spec))))
    differences = []
    for figure, better, worse in dict.fromkeys((c.figure, c.better, c.worse) for c in comparisons):
        own, others = (
            _values([settings for session, settings in found[method] if panels[figure].shows(session)])
            for method in (better, worse)
        )
        values = {name: (own[name], others[name]) for name in own if name in others and own[name] != others[name]}
        if values:
            differences.append(DifferentSettings(better=better, worse=worse, figure=figure, values=values))
    return tuple(differences)


def _settings(spec: TrainingSpec | ImportedSpec) -> Iterator[tuple[str, str]]:
    model = {name: value for name, value in to_plain(spec.model).items() if name not in OF_THE_METHOD}
    inputs = model.pop("inputs", {})
    signal = inputs.get("name")
    for name, value in inputs.items():
        if name.endswith("patch"):
            yield (f"{signal}_patch" if name == "patch" else name), str(value)
    yield from _flat(model)
    if spec.training:
        yield from _flat(to_plain(spec.training))


def _flat(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings under their own names, such as layers; `name` of a part is the name of the part."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            if "name" in value:
                yield name, str(value["name"])
            yield from _flat({key: item for key, item in value.items() if key != "name"})
        else:
            yield name, str(value)


def _values(settings: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Setting -> the value of all jobs, or their several values."""
    values = defaultdict[str, list[str]](list)
    for of_job in settings:
        for name, value in of_job.items():
            if value not in values[name]:
                values[name].append(value)
    return {name: " or ".join(sorted(several)) for name, several in values.items()}

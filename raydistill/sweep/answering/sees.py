"""What the methods and baselines of a plan see, derived from the specifications of their jobs."""

from collections import defaultdict
from collections.abc import Mapping

from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.sees import Sees, SpikesAt, merged
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.baselines import baselines_of, named_baselines
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec

NAMED = 4
"""Sessions that a note names."""


def sees_of(sweep: SweepConfig, plan: Plan) -> tuple[Sees, ...]:
    """What each method and each baseline sees: the methods in the order of the sweep, then the baselines."""
    jobs = {job.key: job for job in plan.jobs}
    of_method: dict[str, list[Sees]] = defaultdict(list)
    order = {method: i for i, method in enumerate(sweep.methods)}
    for job in sorted(plan.jobs, key=lambda job: order.get(job.method or "", len(order))):
        if job.method and job.kind != "control":
            of_method[job.method].append(sees_of_job(job, jobs, job.session in plan.aligned))
    return tuple(merged(parts) for parts in of_method.values())


def notes_on_clocks(sweep: SweepConfig, plan: Plan) -> list[str]:
    """Why some of the decoded sessions have no baseline that reads the time since the trial began, as one note."""
    decoded = {job.session: job.recorded for job in plan.jobs if job.method and job.session}
    without = sorted({recorded for session, recorded in decoded.items() if recorded and session not in plan.aligned})
    # By default, a label has a clock only where it changes within trials.
    baselines = named_baselines(sweep) if sweep.label else baselines_of(sweep)
    if not without or not any(BASELINES[name].clock for name in baselines):
        return []
    more = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
    return [
        f"no clock baselines{'' if sweep.label else ' and no skill over the clock'} for "
        f"{', '.join(without[:NAMED])}{more}: their segments are "
        "not whole trials that begin at the same event (`splits: {by: trials}`)"
    ]


def sees_of_job(job: Job, jobs: Mapping[str, Job], is_aligned: bool) -> Sees:
    """What the model or baseline of one job sees.

    Args:
        jobs: key -> the job itself and those that it starts or learns from.
        is_aligned: whether the segments of its session are whole trials that begin at the same event.
    """
    name = job.method or job.line
    if isinstance(job.spec, BaselineSpec):
        baseline = BASELINES[job.spec.baseline]
        return Sees(
            method=name,
            reads=baseline.reads,
            past=baseline.past,
            future=baseline.future,
            clock=baseline.clock,
            labels=True,
            other_sessions=False,
            spikes="decoding" if "spikes" in baseline.reads else "never",
        )
    trainings = [one.model_spec for one in trainings_of(job, jobs)]
    model = trainings[0].model
    reads = ("spikes", "lfp") if model.modality == "multimodal" else (model.modality,)
    if isinstance(job.spec, EvaluationSpec) and job.spec.spikes_as != "recorded":
        reads = ("lfp",)
    trained_on_spikes = any("spikes" in spec.reads for spec in trainings)
    spikes: SpikesAt = "decoding" if "spikes" in reads else "training" if trained_on_spikes else "never"
    return Sees(
        method=name,
        reads=reads,
        past=True,
        future=not model.causal,
        lookahead_bins=getattr(model, "lookahead_bins", None) or 0,
        clock=is_aligned,  # it sees where its segment begins, which is where the trial does
        labels=any(spec.uses_labels for spec in trainings),
        other_sessions=any(set(spec.sessions) != {job.session} for spec in trainings),
        spikes=spikes,
    )


def trainings_of(job: Job, jobs: Mapping[str, Job]) -> list[Job]:
    """The training or import of the model that a job decodes, and of all models that it starts or learns from."""
    found: dict[str, Job] = {}
    waiting = [job]
    while waiting:
        one = waiting.pop(0)
        if one.has_model:
            found.setdefault(one.key, one)
        waiting += [jobs[key] for key in one.depends_on if key in jobs and key not in found]
    return list(found.values())

"""The shipped sweeps of the paper plan exactly the jobs behind its tables and figures."""

import dataclasses
from collections import Counter

import pytest

from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.scores import Score
from raydistill.models.families import FAMILIES
from raydistill.papers.crossmodal import CROSSMODAL
from raydistill.simulation.corpus import planned_sessions
from raydistill.store.channels import channel_table
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.paths import SWEEPS
from tests.sweep.planning.test_plan import make_entry

HELD_OUT, OTHERS, EIGHT = (
    17 * 3,
    48,
    8,
)  # jobs of one method on the held-out sessions, on the pretraining sessions, on the sessions of monkeys I and C

COUNTS = {
    "unsupervised": {
        "pretrain": 3,
        "finetune": HELD_OUT + 14 + HELD_OUT,
        "distill": HELD_OUT + OTHERS,
        "train": 2 * (HELD_OUT + OTHERS),
        "control": 2 * (HELD_OUT + OTHERS),
        "evaluate": 34
        + OTHERS
        + HELD_OUT
        + OTHERS,  # MS-Spike and MS-LFP without fine-tuning; multimodal models without spikes
    },
    "supervised": {
        "pretrain": 3,
        "finetune": 2 * (HELD_OUT + OTHERS),
        "distill": HELD_OUT + OTHERS,
        "train": 2 * (HELD_OUT + OTHERS),
        "control": 2 * (HELD_OUT + OTHERS),
        "evaluate": HELD_OUT + OTHERS,
    },
    "fully_supervised": {
        "pretrain": 3,
        "finetune": 3 * (HELD_OUT + OTHERS),
        "distill": 2 * (HELD_OUT + OTHERS),
        "control": 4 * (HELD_OUT + OTHERS),
        "train": 2 * (HELD_OUT + OTHERS),
    },
    "multi_session": {
        "pretrain": 1,
        "finetune": 1 + HELD_OUT + 14 + 2 * (HELD_OUT + OTHERS),  # one model on the 14 sessions with LFP power
        "distill": 2 + 6 * (HELD_OUT + OTHERS),
    },
    "generalization": {"pretrain": 2, "finetune": 2, "distill": 2, "train": 54, "evaluate": 3 * 27},
    "scaling": {"pretrain": 3, "finetune": 2 * HELD_OUT, "distill": 5 * HELD_OUT, "train": 2 * HELD_OUT},
    "teacher_size": {"pretrain": 2, "finetune": 2 * EIGHT, "distill": 2 * EIGHT},
    "pretraining_size": {"pretrain": 3, "finetune": 3 * EIGHT * 3, "distill": 2 * EIGHT * 3, "evaluate": 3 * 34},
    "msid": {"pretrain": 1, "finetune": 5 * 3, "distill": 5 * 3 + 25, "train": 3 * 30},
    "spike_models": {"pretrain": 4, "evaluate": 4 * 226},
    "spatial_scale": {"pretrain": 3, "finetune": 3 * 9 * 3},
    "unfreezing": {"pretrain": 1, "finetune": EIGHT, "distill": 4 * EIGHT},
    "backbones": {"train": 90},
    "brant": {"pretrain": 1, "finetune": 2 * 30, "train": 30, "evaluate": 30},
    "realm": {
        "pretrain": 2,
        "distill": 1 + 2 * EIGHT * 3,  # one REALM for all sessions
        "finetune": 2 * EIGHT * 3,
        "control": 4 * EIGHT * 3,
        "evaluate": 2 * EIGHT,
    },
    "latency": {"pretrain": 1, "finetune": EIGHT, "distill": 20 * EIGHT},
}

OWN = {  # (sweep, others): jobs of the sweep that the others do not have
    ("multi_session", "unsupervised", "supervised", "fully_supervised"): 1 + 2 + 3 * (HELD_OUT + OTHERS),
    ("fully_supervised", "supervised"): 5 * (HELD_OUT + OTHERS),
    ("generalization", "unsupervised"): 1 + 2 + 2 + 27,
    ("scaling", "unsupervised"): 4 * HELD_OUT,
    ("teacher_size", "unsupervised"): 1 + 2 * EIGHT,
    ("pretraining_size", "unsupervised"): 1 + 2 * EIGHT * 3 + 34,
    ("msid", "unsupervised"): 3 * 30,
    ("spike_models", "unsupervised", "teacher_size"): 2 + 4 * 226 - 34,
    ("unfreezing", "unsupervised"): 3 * EIGHT,
    ("backbones", "fully_supervised"): 60,
    ("brant", "backbones"): 1 + 2 * 30 + 30,
}

SCORES = {  # sweep -> figure -> number of scores
    "unsupervised": {"F3": 6 * HELD_OUT, "F11": 6 * OTHERS, "T1": 0},
    "supervised": {"F6": 6 * HELD_OUT, "F12": 6 * OTHERS},
    "fully_supervised": {"F13": 6 * HELD_OUT, "F14": 6 * OTHERS},
    "multi_session": dict.fromkeys(("F15", "F16", "F17"), 2 * HELD_OUT)
    | dict.fromkeys(("F18", "F19", "F20"), 2 * OTHERS),
    "generalization": {"F5": 5 * 27},
    "scaling": {"F10 raw LFP": 8 * EIGHT * 3, "F10 LFP power": 8 * 9 * 3},
    "teacher_size": {"F10": 2 * EIGHT},
    "pretraining_size": {"F9": 5 * EIGHT * 3, "A.8.3": 3 * 34},
    "msid": {"A7": 5 * 3 + 25 + 3 * 30},
    "spike_models": {"F8": 2 * 226},
    "unfreezing": {"T4": 4 * EIGHT},
    "backbones": {"T3": 90},
    "brant": {"A7 BRANT": 4 * 30},
    "realm": {"held-out": 3 * EIGHT * 3 + 2 * EIGHT},
    "latency": {None: 20 * EIGHT},
    "spatial_scale": {None: 3 * 9 * 3},
}


OWED_TO_SIZE = "without those that belong to sessions or only reconstruct. Their difference may be owed to size"
NOTES = {
    "spike_models": tuple(
        f"{larger} is larger than NDT2: 10.5 M parameters against 4.0 M, {OWED_TO_SIZE}"
        for larger in ("MS-Spike", "MS-Spike 1 s")
    ),
    "brant": (
        "BRANT frozen and BRANT updated and BRANT without labels: a token covers 0.5 s, and one vector for 0.5 s "
        "cannot carry behavior in bins of 10 ms: between tokens, latents are interpolated, and behavior that is "
        "trained comes from an up-sampling head, which BRANT as published does not have",
    ),
    "realm": (f"Causal Distilled LFP is larger than REALM: 10.7 M parameters against 4.9 M, {OWED_TO_SIZE}",),
}


TWO_ARRAYS = channel_table(10, array=["M1"] * 5 + ["PMd"] * 5)  # of 96 channels with 9 bands


def corpus():
    """Catalogue entries of the paper's 257 sessions."""
    (part,) = make_entry("any").parts
    velocity = ("position_x", "position_y", "velocity_x", "velocity_y")
    return [
        make_entry(
            s.session,
            subject=s.subject,
            dataset=s.dataset,
            n_channels=96 * s.has_lfp,
            lfp_bands=9 if s.dataset == "gallego" else 1,
            bin_width_ms=30.0 if s.dataset == "gallego" else 10.0,
            parts=(dataclasses.replace(part, n_bins=(100 if s.dataset == "gallego" else 500,) * 10),),
            lfp_channels=TWO_ARRAYS if s.dataset == "gallego" and s.has_lfp else None,
            behavior=velocity,
        )
        for s in planned_sessions()
    ]


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    runs, entries = RunsFolder(tmp_path_factory.mktemp("runs")), corpus()
    return {name: plan(load_sweep(SWEEPS / f"{name}.yaml"), entries, runs) for name in COUNTS}


def without_baselines(planned):
    return {job.key: job for job in planned.jobs if job.kind != "baseline"}


@pytest.mark.parametrize("name", COUNTS)
def test_sweep_of_the_catalogue_plans_the_jobs_of_its_figures(plans, name):
    jobs = without_baselines(plans[name]).values()
    assert Counter(job.kind for job in jobs) == COUNTS[name]
    of_methods = [j for j in jobs if j.method and j.kind != "control"]
    scored = {p.figure: sum(p.shows(j.session) and p.has(j.method) for j in of_methods) for p in plans[name].panels}
    assert scored == SCORES[name]
    assert plans[name].notes == NOTES.get(name, ())


@pytest.mark.parametrize(("names", "count"), OWN.items(), ids=lambda x: x[0] if isinstance(x, tuple) else None)
def test_sweep_of_the_catalogue_shares_jobs_with_the_others(plans, names, count):
    name, *others = names
    shared = {key for other in others for key in without_baselines(plans[other])}
    assert len(without_baselines(plans[name]).keys() - shared) == count


def test_catalogue_has_exactly_the_sweeps_of_the_paper():
    shipped = {path.stem for path in SWEEPS.glob("*.yaml") if "include:" in path.read_text()}
    assert shipped == set(COUNTS) | {"generalization_released"}  # which trains nothing: see test_imported.py


def test_spike_model_for_generalization_is_not_trained_on_any_session_that_it_decodes(plans):
    jobs = without_baselines(plans["generalization"]).values()
    (unseen,) = (j for j in jobs if j.kind == "pretrain" and j.training_spec.model.modality == "spikes")
    decoded = {j.session for j in jobs if j.method}
    assert len(unseen.spec.sessions) == 199 and len(decoded) == 27
    assert not decoded & set(unseen.spec.sessions)


def test_every_number_of_the_paper_is_in_exactly_one_figure_or_named_as_out_of_reach(plans):
    users = {target: set() for target in CROSSMODAL.targets}
    assert len(users) == len(CROSSMODAL.targets) == 213, "no row comes twice"
    for name, planned in plans.items():
        for panel in planned.panels:
            for target, _ in panel.answers() if panel.paper == CROSSMODAL.name else ():
                users[target].add((name, panel.figure))
    used = {target for target, figures in users.items() if len(figures) == 1}
    assert [target for target, figures in users.items() if len(figures) > 1] == []
    assert {target for target in users if target.out_of_reach} == users.keys() - used
    assert not users.keys() - used, "every number is shown"


def test_comparison_with_several_methods_is_shown_for_each(plans):
    (panel,) = (panel for panel in plans["unsupervised"].panels if panel.figure == "F11")
    shown = [methods for target, methods in panel.answers() if target.text == "3.6e-15"]
    assert shown == [("Distilled LFP", other) for other in ("MS-LFP", "SS-LFP", "SS-MM-ZS")]


@pytest.mark.parametrize("name", COUNTS)
def test_complete_run_of_a_sweep_misses_no_pair_and_has_as_many_as_the_paper(plans, name):
    scores = [
        Score(j.method, j.session, j.subject, j.seed, 0.1 + 0.01 * n, j.key)
        for n, j in enumerate(plans[name].jobs)
        if j.method and j.kind not in ("control", "baseline")
    ]
    panels = plans[name].panels
    comparisons = compare_all(panels, scores)
    assert {(c.figure, c.better, c.worse): len(c.missing) for c in comparisons if c.missing} == {}
    n = {(c.figure, (c.better, c.worse)): c.test.n for c in comparisons}
    tests = [(t, pair) for panel in panels for t, pair in panel.answers() if t.metric == "p_below"]
    assert all(t.setting == f"one-sided Wilcoxon, n={n[t.figure, pair]}" for t, pair in tests)


def test_sweep_of_rivals_on_the_hippocampus_plans_every_family_and_baseline(tmp_path):
    mice = [f"mouse{m}_session{n}" for m, n in ((1, 1), (2, 1), (2, 2), (2, 3))]
    (part,) = make_entry("any").parts
    about = {"dataset": "cao2021", "bin_width_ms": 100.0, "aligned": True}
    entries = [make_entry(name, 30, 192, parts=(part,), **about) for name in mice]
    entries.append(make_entry("rat1", 77, 0, **about))
    sweep = load_sweep(SWEEPS / "hippocampus_rivals.yaml", ["store=store"])
    jobs = plan(sweep, entries, RunsFolder(tmp_path)).jobs
    counts = {"pretrain": 6, "finetune": 32, "distill": 13, "train": 28, "evaluate": 4, "baseline": 13 * 4}
    assert Counter(job.kind for job in jobs) == counts
    assert {job.training_spec.family for job in jobs if job.trains} == set(FAMILIES)

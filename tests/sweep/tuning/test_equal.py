"""Rows with equal settings: where compared methods differ in patch, dropout or epochs, and nowhere else."""

import pytest

from raydistill.config.load import Where, build
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.tuning.equal import equal_rows
from raydistill.sweep.tuning.plan import planned
from tests.sweep.planning.test_plan import ENTRIES, SWEEP

JOBS = SWEEP["jobs"] | {
    "ms_lfp": {"pretrain": "lfp", "on": "held_out"},
    "ms_lfp_ft": {"finetune": "ms_lfp", "each": "held_out"},
}
METHODS = {"Teacher": "teacher", "Distilled": "distilled", "SS": "ss", "MS-LFP": "ms_lfp_ft"}
COMPARED = ["Distilled > SS", "Distilled > MS-LFP", "Teacher > SS"]
LFP_PATCH = {"distilled": {"model": {"lfp_patch": 16}}}


def sweep_with(jobs=None, **change):
    changed = {line: job | (jobs or {}).get(line, {}) for line, job in JOBS.items()}
    tree = SWEEP | {"jobs": changed, "methods": METHODS, "compare": COMPARED, "controls": [], "baselines": []}
    return build(SweepConfig, tree | change, Where("sweep.yaml"))


def rows_of(jobs=None, **change):
    return {row.title: row for row in equal_rows(sweep_with(jobs, **change), ENTRIES)[0]}


def test_methods_with_equal_settings_have_no_row():
    assert rows_of() == {} and rows_of({"teacher": {"seeds": [0, 1]}}) == {}


def test_method_gets_the_patch_of_the_one_that_it_is_compared_with_and_so_does_what_it_starts_from(tmp_path):
    rows = rows_of(LFP_PATCH)
    assert set(rows) == {"SS (settings of Distilled)", "MS-LFP (settings of Distilled)"}
    row = rows["SS (settings of Distilled)"]
    assert (row.values, row.own) == ({"model.lfp_patch": 16}, {"model.lfp_patch": 32})
    plan = planned(sweep_with(LFP_PATCH), ENTRIES, RunsFolder(tmp_path / "runs"))
    assert plan.equal == tuple(rows.values())
    jobs = {job.name: job for job in plan.jobs}
    ss = jobs["SS (settings of Distilled)/ss/a_2/seed1"]
    assert (ss.kind, ss.method, ss.spec.model.inputs.patch) == ("control", "SS (settings of Distilled)", 16)
    assert jobs["ss/a_2/seed1"].spec.model.inputs.patch == 32 and jobs["ss/a_2/seed1"].method == "SS"
    finetuned = jobs["MS-LFP (settings of Distilled)/ms_lfp_ft/b_2/seed0"]
    pretrained = next(job for job in plan.jobs if job.key == finetuned.spec.weights)
    assert pretrained.spec.model.inputs.patch == 16 and pretrained.key != jobs["ms_lfp/seed0"].key
    plain = planned(sweep_with(LFP_PATCH, equal_settings=False), ENTRIES, RunsFolder(tmp_path / "runs"))
    assert len(plan.jobs) == len(plain.jobs) + 4 + 1 + 4 and plain.equal == ()


def test_patch_of_a_signal_that_only_one_method_reads_makes_no_row():
    assert rows_of({"teacher": {"model": {"lfp_patch": 16}}}) == {}
    assert set(rows_of({"teacher": {"model": {"dropout": 0.2}}})) == {"SS (settings of Teacher)"}


def test_epochs_of_the_file_make_a_row_but_those_of_a_pretraining_stay(tmp_path):
    jobs = {"distilled": {"training": {"epochs": 33}}}
    assert rows_of(jobs)["MS-LFP (settings of Distilled)"].values == {"training.epochs": 33}
    plan = planned(sweep_with(jobs), ENTRIES, RunsFolder(tmp_path / "runs"))
    by_name = {job.name: job for job in plan.jobs}
    finetuned = by_name["MS-LFP (settings of Distilled)/ms_lfp_ft/b_2/seed0"]
    assert finetuned.spec.epochs == 33 and finetuned.spec.weights == by_name["ms_lfp/seed0"].key


def test_epochs_that_a_preset_gives_a_student_of_many_sessions_make_no_row():
    lines = {"many": {"distill": "ms", "on": "held_out"}, "more": {"distill": "teacher", "each": "held_out"}}
    jobs = JOBS | {"many": lines["many"], "more": lines["more"] | {"start": "many"}}
    methods = METHODS | {"More": "more"}
    changed = {"jobs": jobs, "methods": methods, "compare": ["More > Distilled"]}
    changed |= {"preset": "small", "pretraining": {}, "training": {}}  # nothing but the preset's epochs
    sweep = build(SweepConfig, SWEEP | changed, Where("sweep.yaml"))
    epochs = [sweep.training_of(sweep.jobs[line]).epochs for line in ("more", "distilled")]
    assert epochs[0] != epochs[1] and equal_rows(sweep, ENTRIES)[0] == ()


def test_values_that_the_other_method_cannot_have_are_named_and_have_no_jobs():
    jobs = {"ss": {"train": "spikes", "model": {"spikes_patch": 16, "width": 48}}, "teacher": {}}
    change = {"compare": ["Teacher > SS"]}
    rows = rows_of(jobs, **change)  # the teacher's patch of 64 does not divide a width of 48
    row = rows["SS (settings of Teacher)"]
    assert "width=48, spikes_patch=64" in row.problem
    assert equal_rows(sweep_with(jobs, **change), ENTRIES)[1] == []


@pytest.mark.parametrize("trials", [2, 3])
def test_tuned_sweep_has_rows_with_the_settings_of_its_comparison(tmp_path, trials):
    tune = {"trials": trials, "space": {"training.learning_rate": [1e-3, 2e-3]}}
    plan = planned(sweep_with(LFP_PATCH, tune=tune), ENTRIES, RunsFolder(tmp_path / "runs"))
    assert [row.title for row in plan.equal] == ["SS (settings of Distilled)", "MS-LFP (settings of Distilled)"]
    labels = {label for job in plan.jobs for label in (job.method, *job.also)}
    assert len({job.name for job in plan.jobs}) == len(plan.jobs)
    assert {"SS (own settings)", "SS (settings of Distilled)"} <= labels

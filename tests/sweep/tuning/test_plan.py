"""Which settings trials choose: by the validation scores in the runs folder alone, and with equal numbers of trials."""

from statistics import mean

import pytest

from raydistill.config.load import Where, build
from raydistill.files import write_json
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.plan import lines
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.selection import Selection, narrow
from raydistill.sweep.tuning.plan import planned_with_trials
from tests.sweep.planning.test_draws import HELD_OUT_TWICE
from tests.sweep.planning.test_plan import ENTRIES, SWEEP

SPACE = {"training.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "model.lfp_patch": [4, 8, 16]}
TUNE = {"trials": 4, "space": SPACE}
METHODS = {"Teacher": "teacher", "Distilled": "distilled", "SS": "ss"}
COMPARED = {"methods": METHODS, "compare": ["Distilled > SS"], "controls": [], "baselines": []}


def make_plan(runs, tune=TUNE, entries=ENTRIES, **change):
    sweep = build(SweepConfig, SWEEP | COMPARED | {"tune": tune} | change, Where("sweep.yaml"))
    return planned_with_trials(sweep, sweep.tuning, entries, runs)


def finish(runs, plan, score=lambda job: 0.5):
    """Finish all jobs of a plan that are not done, in their order."""
    for job in (p.job for p in plan.todo):
        folder = runs.open_job(job, {})
        (folder / "model.safetensors").write_bytes(b"weights")
        metrics = {"r2": 0.1, "r2_per_axis": {}, "valid_r2": score(job), "seconds": 1.0}
        write_json(folder / "metrics.json", {name: value for name, value in metrics.items() if value is not None})
        mark_complete(folder)


def trials_of(plan, method):
    return [job for job in plan.jobs if job.name.startswith(f"tuning of {method}/")]


def finish_all(runs, **change):
    """Finish trials, teachers first, then the comparison; the higher the learning rate, the better."""
    for _ in range(3):
        finish(runs, make_plan(runs, **change), score=lambda job: job.training_spec.training.learning_rate)
    return make_plan(runs, **change)


@pytest.fixture
def runs(tmp_path):
    return RunsFolder(tmp_path / "runs")


def test_every_method_gets_the_same_points_as_far_as_its_jobs_have_the_settings(runs):
    tuning = make_plan(runs).tuning
    assert [tuned.method for tuned in tuning.methods] == ["Teacher", "Distilled", "SS"]
    assert [len(tuned.trials) for tuned in tuning.methods] == [4, 4, 4]
    teacher, distilled, ss = ([dict(t.values) for t in tuned.trials] for tuned in tuning.methods)
    assert distilled == ss and ss[0] == {"training.learning_rate": 3e-3, "model.lfp_patch": 32}
    assert teacher == [{"training.learning_rate": t["training.learning_rate"]} for t in ss]
    assert tuning.of("Teacher").left_out == ("model.lfp_patch",) and tuning.of("SS").left_out == ()


def test_trials_run_on_every_session_with_the_first_seed(runs):
    plan = make_plan(runs)
    jobs = trials_of(plan, "SS")
    assert {(job.session, job.seed) for job in jobs} == {("a_2", 0), ("b_2", 0)} and len(jobs) == 3 * 2
    assert all(job.method is None for job in jobs)
    pretrained = [job for job in trials_of(plan, "Teacher") if job.is_pretraining]
    assert len(pretrained) == 3, "the settings are merged into the pretraining, too"
    assert {job.key for job in jobs} <= plan.of_trials


def test_comparison_has_the_settings_with_the_highest_mean_validation_score(runs):
    ss = [job for job in make_plan(runs).jobs if job.line == "ss" or "/ss/" in job.name]
    scores = {job.key: 0.1 * i for i, job in enumerate(ss)}  # any numbers
    finish(runs, make_plan(runs), score=lambda job: scores.get(job.key, 0.0))
    tuned = make_plan(runs).tuning.of("SS")
    by_hand = {trial.number: mean(scores[key] for key in trial.jobs) for trial in tuned.trials}
    assert {trial.number: trial.valid_r2 for trial in tuned.trials} == pytest.approx(by_hand)
    assert tuned.best.number == max(by_hand, key=by_hand.get) != 0
    chosen = [job for job in make_plan(runs).jobs if job.method == "SS"]
    assert {job.spec.model.inputs.patch for job in chosen} == {tuned.best.values["model.lfp_patch"]}
    assert {job.spec.training.learning_rate for job in chosen} == {tuned.best.values["training.learning_rate"]}
    assert {(job.session, job.seed) for job in chosen} == {(s, seed) for s in ("a_2", "b_2") for seed in (0, 1)}


def test_equal_scores_keep_the_settings_of_the_sweep_without_any_more_jobs(runs):
    for _ in range(2):
        finish(runs, make_plan(runs))
    plan = make_plan(runs)
    assert [tuned.best.number for tuned in plan.tuning.methods] == [0, 0, 0] and not plan.todo
    own = {job.also for job in plan.jobs if job.method in METHODS}
    assert own == {(f"{method} (own settings)",) for method in METHODS}


def test_test_scores_are_never_read_in_choosing(runs):
    finish_all(runs)
    before = make_plan(runs)
    for number, job in enumerate(before.jobs):  # the order of the test scores is now another one
        folder = runs.job_folder(job.key)
        valid = runs.metrics(job.key)["valid_r2"]
        write_json(
            folder / "metrics.json", {"r2": float(-number), "r2_per_axis": {}, "valid_r2": valid, "seconds": 1.0}
        )
        mark_complete(folder)
    assert make_plan(runs).tuning == before.tuning and before.tuning.settled


def test_student_is_tried_with_the_teacher_that_was_chosen(runs):
    first = make_plan(runs)
    assert first.tuning.of("Distilled").teachers == ("Teacher",)
    assert not first.tuning.of("Distilled").settled and set(first.tuning.unsettled) == set(METHODS)
    finish(runs, first, score=lambda job: job.training_spec.training.learning_rate)
    second = make_plan(runs)
    best = second.tuning.of("Teacher").best
    assert best.number and second.tuning.unsettled == ("Distilled",)
    teachers = dict(zip(("a_2", "b_2"), best.jobs, strict=True))
    for job in trials_of(second, "Distilled"):
        assert job.spec.teachers == {job.session: teachers[job.session]}
    third = finish_all(runs)
    compared = next(job for job in third.jobs if job.method == "Distilled" and job.seed == 0 and job.session == "a_2")
    assert compared.spec.teachers == {"a_2": teachers["a_2"]}
    assert len({job.name for job in third.jobs}) == len(third.jobs), "the runs folder knows jobs by their names"
    own = next(job for job in third.jobs if job.method == "Distilled (own settings)" and job.session == "a_2")
    assert own.spec.teachers != compared.spec.teachers and own.kind == "control"


def test_larger_number_of_trials_only_adds_jobs(runs):
    small, large = make_plan(runs), make_plan(runs, tune=TUNE | {"trials": 7})
    for method in METHODS:
        before, after = ({job.key for job in trials_of(plan, method)} for plan in (small, large))
        assert before < after
    assert large.tuning.of("SS").trials[:4] == small.tuning.of("SS").trials


def test_settings_that_contradict_each_other_are_pruned_with_the_reason(runs):
    tune = {"trials": 6, "space": {"model.heads": [4, 3], "training.learning_rate": SPACE["training.learning_rate"]}}
    plan = make_plan(runs, tune=tune, compare=["SS > Distilled"], **{"methods": {"SS": "ss", "Distilled": "distilled"}})
    trials = plan.tuning.of("SS").trials
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert {trial.values["model.heads"] for trial in pruned} == {3} and 0 < len(pruned) < 5
    assert "width=64, heads=3" in pruned[0].reason and not pruned[0].jobs


def test_failed_trial_is_left_out_and_named(runs):
    plan = make_plan(runs)
    failing = {trial.jobs[0] for trial in plan.tuning.of("SS").trials[1:2]}
    for job in plan.jobs:
        if job.key in failing:
            runs.open_job(job, {})
            runs.write_failure(job, "the loss is not finite")
    rest = [p for p in plan.planned if p.job.key not in failing]
    for p in rest:
        folder = runs.open_job(p.job, {})
        (folder / "model.safetensors").write_bytes(b"weights")
        write_json(folder / "metrics.json", {"r2": 0.1, "r2_per_axis": {}, "valid_r2": 0.5, "seconds": 1.0})
        mark_complete(folder)
    tuned = make_plan(runs).tuning.of("SS")
    assert tuned.trials[1].state == "failed" and "the loss is not finite" in tuned.trials[1].reason
    assert tuned.settled and tuned.best.number == 0 and "4 trials, 1 failed" in tuned.in_words()


def test_trial_without_a_validation_score_counts_as_failed(runs):
    for _ in range(2):
        finish(runs, make_plan(runs), score=lambda job: None if "SS/trial 2" in job.name else 0.5)
    tuned = make_plan(runs).tuning.of("SS")
    assert [trial.state for trial in tuned.trials] == ["done", "done", "failed", "done"]


def test_space_with_fewer_settings_than_trials_gives_fewer_trials_and_says_so(runs):
    tuning = make_plan(runs, tune={"trials": 9, "space": {"model.lfp_patch": [8, 16, 32]}}).tuning
    assert [len(tuning.of(method).trials) for method in ("SS", "Teacher")] == [3, 1]
    assert "SS: only 3 trials, because this space has no more settings for it." in tuning.sentences()


def test_plan_lists_trials_and_what_may_follow(runs):
    plan = make_plan(runs)
    assert len(plan.planned) == 1 + 3 * 2 * 2 + 3 * (1 + 2) + 3 * 2 * 2
    text = "\n".join(lines(plan))
    assert "each of 3 methods gets 4 trials of settings (seed 0)" in text
    assert "Distilled: 0 of 4 trials have ended; they follow those of Teacher" in text
    assert "up to 13 jobs more" in text
    assert plan.to_json()["tuning"]["methods"][2]["method"] == "SS"
    assert "up to" not in "\n".join(lines(finish_all(runs)))


def test_selection_of_a_method_has_its_trials_and_those_of_its_teacher(runs):
    plan = make_plan(runs)
    for method, needed in {"SS": {"SS"}, "Distilled": {"Distilled", "Teacher"}}.items():
        jobs = narrow(plan, Selection((method,), "a_*")).jobs
        named = {job.line.removeprefix("tuning of ") for job in jobs if job.line.startswith("tuning")}
        assert named == needed
        assert {job.session for job in jobs if job.method == method and job.seed == 1} == {"a_2"}
        assert {job.session for job in jobs if "trial 1" in job.name and job.session} == {"a_2", "b_2"}


def test_methods_that_are_named_are_the_only_ones_with_trials(runs):
    tuning = make_plan(runs, tune=TUNE | {"methods": ["Distilled"]}).tuning
    assert [tuned.method for tuned in tuning.methods] == ["Distilled"] and tuning.of("Distilled").teachers == ()


def test_every_draw_of_the_folds_has_trials_and_chooses_settings_by_them_alone(runs):
    """In the first draw the highest learning rate is best, in the second the lowest: also for the teacher."""

    def score(job):
        rate = job.training_spec.training.learning_rate
        return -rate if str(job.session).endswith("~2") else rate

    for _ in range(3):
        finish(runs, make_plan(runs, entries=HELD_OUT_TWICE), score)
    plan = make_plan(runs, entries=HELD_OUT_TWICE)
    assert not plan.todo and plan.tuning.draws == 2 and make_plan(runs).tuning.draws == 1
    assert [tuned.title for tuned in plan.tuning.methods[:2]] == ["Teacher, draw 1", "Teacher, draw 2"]
    tried = {
        number: {t.values["training.learning_rate"] for t in plan.tuning.of("SS", number).trials} for number in (1, 2)
    }
    for job in plan.jobs:
        number = 2 if str(job.session).endswith("~2") else 1
        if job.method in METHODS and job.session:
            best = (min if number == 2 else max)(tried[number])
            assert job.training_spec.training.learning_rate == best, job.name
    assert {job.session for job in plan.jobs if job.method == "SS"} == {"a_2", "b_2", "a_2~2", "b_2~2"}
    of_draw = {key for trial in plan.tuning.of("SS", 2).trials for key in trial.jobs}
    assert {job.session for job in plan.jobs if job.key in of_draw} == {"a_2~2", "b_2~2"}
    assert "4 trials of settings in each of 2 draws of the folds" in plan.tuning.sentences()[0]


def test_pretraining_that_draws_share_is_trained_with_the_settings_of_each_and_has_a_name_of_its_own(runs):
    def score(job):
        rate = job.training_spec.training.learning_rate
        return -rate if str(job.session).endswith("~2") else rate

    for _ in range(3):
        finish(runs, make_plan(runs, entries=HELD_OUT_TWICE), score)
    jobs = {job.name: job for job in make_plan(runs, entries=HELD_OUT_TWICE).without_trials().jobs}
    assert len(jobs) == len(make_plan(runs, entries=HELD_OUT_TWICE).without_trials().jobs), "names are unique"
    first, second = (jobs[name].training_spec for name in ("ms/seed0", "ms/seed0~2"))
    assert first.training.learning_rate > second.training.learning_rate
    assert list(first.sessions) == list(second.sessions) == ["a_1", "b_1", "c_1"], "no decoded session is in it"
    assert jobs["teacher/a_2~2/seed0"].depends_on == (jobs["ms/seed0~2"].key,)

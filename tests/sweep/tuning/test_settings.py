"""Settings of one method in a sweep: in its own jobs and those they start from, and in no other job."""

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.config.tune import TuneConfig, space_of
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.tuning.settings import applying, lines_of, owners, teachers_of, with_settings
from tests.sweep.planning.test_plan import ENTRIES, SWEEP

METHODS = {"Teacher": "teacher", "Distilled": "distilled", "SS": "ss"}
SPACE = {"training.learning_rate": [1e-3, 2e-3], "model.dropout": [0.1, 0.2], "model.lfp_patch": [8, 16]}


def make_sweep(**change) -> SweepConfig:
    return build(SweepConfig, SWEEP | {"methods": METHODS, "tune": {"space": SPACE}} | change, Where("sweep.yaml"))


def dimensions_of(sweep):
    return applying(sweep, space_of(sweep.tuning or TuneConfig(), sweep.preset, sweep.jobs.values()))


def jobs_with(chosen, **change):
    sweep = make_sweep(**change)
    return {job.name: job for job in expand(with_settings(sweep, chosen, dimensions_of(sweep)), ENTRIES)}


def test_sweep_without_chosen_settings_has_the_same_jobs():
    plain = {job.name: job.key for job in expand(make_sweep(), ENTRIES)}
    assert {name: job.key for name, job in jobs_with({}).items()} == plain
    assert {name: job.key for name, job in jobs_with({"SS": {}}).items()} == plain


def test_settings_of_a_teacher_reach_the_job_it_starts_from_and_its_students_learn_from_it():
    before, after = jobs_with({}), jobs_with({"Teacher": {"model.dropout": 0.2, "training.learning_rate": 2e-3}})
    assert before.keys() == after.keys()
    for name in ("ms/seed0", "teacher/a_2/seed0"):
        assert (after[name].spec.model.dropout, after[name].spec.training.learning_rate) == (0.2, 2e-3)
    student = after["distilled/a_2/seed0"]
    assert student.spec.model.dropout == 0.0
    assert student.depends_on == (after["teacher/a_2/seed0"].key,) != before["distilled/a_2/seed0"].depends_on
    assert after["ss/a_2/seed0"].key == before["ss/a_2/seed0"].key


def test_settings_of_a_student_do_not_reach_its_teacher():
    before, after = jobs_with({}), jobs_with({"Distilled": {"model.dropout": 0.1}})
    changed = {name for name in before if before[name].key != after[name].key}
    assert {name.partition("/")[0] for name in changed} == {"distilled"}
    assert after["distilled/b_2/seed1"].spec.model.dropout == 0.1


def test_dimension_applies_only_to_jobs_that_it_changes():
    dimensions = dimensions_of(make_sweep())
    assert dimensions["teacher"] == {"training.learning_rate", "model.dropout"}
    assert dimensions["ss"] == {"training.learning_rate", "model.dropout", "model.lfp_patch"}
    of_objective = dimensions_of(
        make_sweep(tune={"space": {"objective.alignment": [1, 2], "training.mask_ratio": [0.5, 0.7]}})
    )
    assert (of_objective["distilled"], of_objective["ss"]) == ({"objective.alignment"}, {"training.mask_ratio"})


def test_methods_that_start_from_one_job_get_a_copy_of_it_each():
    jobs = SWEEP["jobs"] | {"joint": {"finetune": "ms", "each": "held_out", "supervision": "joint"}}
    change = {"jobs": jobs, "methods": METHODS | {"Joint": "joint"}}
    chosen = {"Teacher": {"model.dropout": 0.1}, "Joint": {"model.dropout": 0.2}}
    after = jobs_with(chosen, **change)
    copy = after["ms.joint/seed0"]
    assert copy.spec.model.dropout == 0.2 and after["ms/seed0"].spec.model.dropout == 0.1
    assert after["joint/a_2/seed0"].depends_on == (copy.key,)
    own = jobs_with({"Teacher": {"model.dropout": 0.1}}, **change)
    assert own["joint/a_2/seed0"].key == jobs_with({}, **change)["joint/a_2/seed0"].key


def test_owner_of_a_job_is_the_method_that_uses_its_scores():
    other = {"Other sessions": {"job": "distilled", "each": "held_out", "as": "a_2"}}
    sweep = make_sweep(methods=other | METHODS)
    assert owners(sweep)["distilled"] == "Distilled"
    assert lines_of(sweep, "Teacher") == ["teacher", "ms"] and lines_of(sweep, "Other sessions") == []
    assert teachers_of(sweep, "Distilled") == ["Teacher"]


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match=r"twice its heads .*width=64, heads=3"):
        jobs_with({"SS": {"model.heads": 3}}, tune={"space": {"model.heads": [3, 4]}})

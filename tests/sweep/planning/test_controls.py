"""The controls of a sweep: which jobs they are, and what differs from the student."""

import pytest

from raydistill.config.controls import CONTROLS, MASKED, NONE, OTHER, RANDOM, SHIFTED, SHUFFLED
from raydistill.errors import ConfigError
from tests.sweep.planning.test_plan import ENTRIES, SWEEP, jobs_of, make_entry, with_job

COMPARED = {"compare": ["Distilled > SS"]}


def controls_of(**change):
    jobs = jobs_of(**(COMPARED | change))
    return {name: job for name, job in jobs.items() if job.kind == "control"}


def test_every_control_runs_on_every_session_and_seed_of_a_compared_student():
    controls = controls_of()
    names = {f"distilled+{c}/{s}/seed{seed}" for c in CONTROLS for s in ("a_2", "b_2") for seed in (0, 1)}
    assert set(controls) == names
    assert controls["distilled+same_architecture/a_2/seed0"].method == "Distilled, no teacher"


@pytest.mark.parametrize("change", [{"compare": []}, {"controls": []}, {"compare": ["SS > Distilled"], "controls": []}])
def test_sweep_without_comparison_or_without_controls_has_none(change):
    assert not controls_of(**change)


def test_control_differs_from_the_student_in_one_respect():
    jobs = jobs_of(**COMPARED)
    student = jobs["distilled/a_2/seed0"].spec
    for control in (SHUFFLED, SHIFTED, RANDOM):
        spec = jobs[f"distilled+{control}/a_2/seed0"].spec
        assert spec.control == control and spec.teachers == student.teachers and spec.sessions == student.sessions
        assert (spec.model, spec.training, spec.objective) == (student.model, student.training, student.objective)


def test_student_without_a_teacher_reads_no_spikes_and_depends_on_no_job():
    jobs = jobs_of(**COMPARED)
    student, alone = jobs["distilled/a_2/seed0"].spec, jobs[f"distilled+{NONE}/a_2/seed0"].spec
    assert alone.sources == () and alone.reads == ("lfp", "behavior") and alone.objective.alignment == 0
    assert (alone.model, alone.training, alone.seed) == (student.model, student.training, student.seed)
    before = dict(ENTRIES[1].contents)
    other_spikes = [make_entry("a_2", contents=before | {"spikes": "others"}), *(e for e in ENTRIES if e != ENTRIES[1])]
    again = jobs_of(sorted(other_spikes, key=lambda e: e.session), **COMPARED)
    assert again[f"distilled+{NONE}/a_2/seed0"].key == jobs[f"distilled+{NONE}/a_2/seed0"].key
    assert again[f"distilled+{SHUFFLED}/a_2/seed0"].key != jobs[f"distilled+{SHUFFLED}/a_2/seed0"].key


def test_masked_student_has_the_tokens_of_the_student_and_the_loss_of_an_lfp_model():
    jobs = jobs_of(**COMPARED, **with_job("distilled", model={"lfp_patch": 16}))
    student, masked = jobs["distilled/a_2/seed0"].spec, jobs[f"distilled+{MASKED}/a_2/seed0"].spec
    lfp_model = jobs["ss/a_2/seed0"].spec
    assert masked.model.inputs == student.model.inputs != lfp_model.model.inputs
    assert masked.objective == lfp_model.objective and masked.training == student.training
    assert masked.sources == () and masked.reads == ("lfp", "behavior")


def test_masked_student_that_is_the_lfp_model_itself_is_one_job():
    settings = {"ss": SWEEP["jobs"]["ss"] | {"embedding": "conv"}}
    jobs = jobs_of(**COMPARED, jobs=SWEEP["jobs"] | settings)
    assert jobs["ss/a_2/seed0"].also == ("Distilled, masked, no teacher",)
    assert f"distilled+{MASKED}/a_2/seed0" not in jobs


def test_teacher_of_another_session_is_that_of_the_next_session_with_the_same_seed():
    jobs = jobs_of(**COMPARED)
    spec = jobs[f"distilled+{OTHER}/a_2/seed1"].spec
    assert spec.teachers == {"a_2": jobs["teacher/b_2/seed1"].key}
    assert list(spec.borrowed) == ["b_2"]
    assert jobs[f"distilled+{OTHER}/b_2/seed1"].spec.teachers == {"b_2": jobs["teacher/a_2/seed1"].key}


def test_single_session_has_no_teacher_of_another_session():
    groups = SWEEP["sessions"] | {"held_out": {"names": ["a_2"]}}
    assert not [name for name in controls_of(sessions=groups) if OTHER in name]


def test_student_whose_teacher_is_trained_too_has_the_controls_without_a_teacher_only():
    controls = controls_of(**with_job("distilled", unfreeze_epoch=1))
    assert {name.partition("/")[0] for name in controls} == {f"distilled+{NONE}", f"distilled+{MASKED}"}
    assert all(getattr(job.spec.objective, "unfreeze_epoch", None) is None for job in controls.values())


def test_methods_that_share_a_control_have_one_job_for_both():
    jobs = SWEEP["jobs"] | {
        "teacher2": {"finetune": "ms", "each": "held_out", "supervision": "joint"},
        "distilled2": {"distill": "teacher2", "each": "held_out"},
    }
    methods = SWEEP["methods"] | {"Distilled 2": "distilled2"}
    controls = controls_of(jobs=jobs, methods=methods, compare=["Distilled > SS", "Distilled 2 > SS"], controls=[NONE])
    assert len(controls) == 4
    assert {(job.method, job.also) for job in controls.values()} == {
        ("Distilled, no teacher", ("Distilled 2, no teacher",))
    }


def test_unknown_control_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r'no "shuffled_teachers".*did you mean "shuffled_teacher"'):
        jobs_of(**(COMPARED | {"controls": ["shuffled_teachers"]}))

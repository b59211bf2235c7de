"""Why a job is not the one that ran last: sessions that joined, left or changed, and settings."""

import pytest

from raydistill.config.load import Where, build
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.changes import SessionChanges, difference
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import ENTRIES, SWEEP, make_entry


def reasons(tmp_path, change=None, entries=ENTRIES):
    """Name -> reason of the stale jobs, after a run of the sweep as it was and a change of it."""
    runs = RunsFolder(tmp_path)
    before = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, runs)
    for job in before.jobs:
        mark_complete(runs.open_job(job, {}))
    runs.write_keys("s", before.jobs, before.contents)
    after = plan(build(SweepConfig, SWEEP | (change or {}), Where("sweep.yaml")), entries, runs)
    return {p.job.name: p.reason for p in after.planned if p.state == "stale"}


def test_session_that_is_new_in_the_store_was_added(tmp_path):
    found = reasons(tmp_path, entries=[*ENTRIES, make_entry("bruno_07")])
    assert found["ms/seed0"] == "bruno_07 was added"
    assert found["teacher/a_2/seed0"] == "a job that it starts from has changed"
    assert "ss/a_2/seed0" not in found


def test_session_that_changes_its_group_left_one_and_joined_the_other(tmp_path):
    change = {"sessions": SWEEP["sessions"] | {"held_out": {"names": ["a_2"]}}}
    assert reasons(tmp_path, change)["ms/seed0"] == "b_2 left held_out and joined pretraining"
    change = {"sessions": SWEEP["sessions"] | {"held_out": {"names": ["a_2", "b_2", "b_1"]}}}
    assert reasons(tmp_path, change)["ms/seed0"] == "b_1 left pretraining and joined held_out"


def test_session_that_is_gone_left(tmp_path):
    found = reasons(tmp_path, entries=[e for e in ENTRIES if e.session != "a_1"])
    assert found["ms/seed0"] == "a_1 left pretraining"


def test_session_with_another_lfp_filter_makes_its_jobs_stale_by_that_name(tmp_path):
    a_2 = make_entry("a_2")
    filtered = make_entry("a_2", contents=a_2.contents | {"lfp": "filtered anew"})
    found = reasons(tmp_path, entries=[filtered, *(e for e in ENTRIES if e.session != "a_2")])
    trained = [f"{line}/a_2/seed{seed}" for line in ("ss", "distilled") for seed in (0, 1)]
    fitted = [f"{line}/a_2" for line in ("ridge_on_lfp", "wide_ridge_on_lfp", "kalman_on_lfp")]
    assert found == dict.fromkeys(trained + fitted, "LFP of a_2 changed")


@pytest.mark.parametrize(
    ("reads", "words"), [(["lfp", "behavior"], "LFP or behavior"), (["spikes"], "spikes"), ([], "values")]
)
def test_changed_session_is_named_with_the_signals_that_the_job_reads(reads, words):
    spec = {"name": "training", "reads": reads, "sessions": {"a_2": "1"}}
    assert difference(spec, spec | {"sessions": {"a_2": "2"}}, "ss", SessionChanges()) == f"{words} of a_2 changed"


def test_changed_signal_is_named_alone_if_the_contents_at_the_last_run_are_known(tmp_path):
    runs, old = RunsFolder(tmp_path), {"a": {"spikes": "1", "lfp": "2", "behavior": "3"}}
    runs.write_keys("s", [], old)
    spec = {"name": "training", "reads": ["lfp", "behavior"], "sessions": {"a": "1"}}
    for change, words in (
        ({"lfp": "9"}, "LFP of a changed"),
        ({"lfp": "9", "behavior": "9"}, "LFP and behavior of a changed"),
        ({"spikes": "9", "lfp": "9"}, "LFP of a changed"),
    ):
        sessions = SessionChanges.of({}, ([], []), (runs.last_contents("s"), {"a": old["a"] | change}))
        assert difference(spec, spec | {"sessions": {"a": "2"}}, "ss", sessions) == words


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 3}'])
def test_damaged_contents_of_the_last_run_are_left_out(tmp_path, content):
    runs = RunsFolder(tmp_path)
    runs.write_keys("s", [], {"a": {"lfp": "2"}})
    (runs.sweep_folder("s") / "contents.json").write_text(content)
    assert runs.last_contents("s") == {}


def test_several_changes_are_listed_and_the_rest_is_counted(tmp_path):
    change = {"training": {"epochs": 7, "learning_rate": 0.1}}
    reason = reasons(tmp_path, change)["ss/a_2/seed0"]
    assert "training.epochs" in reason and "training.learning_rate" in reason and "; " in reason
    more = [*ENTRIES, *(make_entry(f"new_{i}") for i in range(5))]
    assert reasons(tmp_path, entries=more)["ms/seed0"] == (
        "new_0 was added; new_1 was added; new_2 was added and 2 more changes"
    )


@pytest.mark.parametrize("before", [{}, {"name": "training", "sessions": 3}, {"name": "x", "model": 4}])
def test_damaged_specification_of_the_earlier_job_gives_words(before):
    now = {"name": "training", "sessions": {"a": "1"}, "model": {"width": 3, "inputs": {"name": "lfp"}}}
    assert difference(before, now, "ms", SessionChanges())

"""A sweep over repeated draws of the folds: every job once per draw, and no model is trained on what a draw tests."""

import pytest

from raydistill.config.names import draw_name
from raydistill.errors import ConfigError
from tests.sweep.planning.test_plan import ENTRIES, jobs_of, make_entry


def drawn(*names, draws=2, **other):
    """Entries of each session, one per draw."""
    return [
        make_entry(draw_name(n, d), subject=n[0], fingerprint=n, **other) for n in names for d in range(1, draws + 1)
    ]


HELD_OUT_TWICE = [e for e in ENTRIES if e.session in ("a_1", "b_1", "c_1")] + drawn("a_2", "b_2")


def test_jobs_on_a_session_run_once_per_draw_with_sources_of_the_same_draw():
    once, twice = jobs_of(controls=[]), jobs_of(HELD_OUT_TWICE, controls=[])
    of_session = [name for name in once if "a_2" in name or "b_2" in name]
    assert set(twice) == set(once) | {n.replace("a_2", "a_2~2").replace("b_2", "b_2~2") for n in of_session}
    student = twice["distilled/a_2~2/seed1"]
    assert student.depends_on == (twice["teacher/a_2~2/seed1"].key,)
    assert list(student.spec.sessions) == ["a_2~2"] and (student.session, student.recorded) == ("a_2~2", "a_2")


def test_pretraining_on_other_sessions_is_shared_by_all_draws():
    jobs = jobs_of(HELD_OUT_TWICE, controls=[])
    (pretraining,) = [job for job in jobs.values() if job.is_pretraining]
    for name in ("teacher/a_2/seed0", "teacher/a_2~2/seed0"):
        assert jobs[name].depends_on == (pretraining.key,)


def test_pretraining_on_a_decoded_session_is_trained_again_on_the_folds_of_each_draw():
    groups = {"held_out": {"names": ["a_1", "a_2"]}, "pretraining": {"modality": "spikes"}}
    jobs = jobs_of(drawn("a_1", "a_2", "b_1"), sessions=groups, controls=[])
    assert [list(job.spec.sessions) for job in jobs.values() if job.is_pretraining] == [
        ["a_1", "a_2", "b_1"],
        ["a_1~2", "a_2~2", "b_1~2"],
    ]
    assert jobs["teacher/a_1~2/seed0"].depends_on == (jobs["ms/seed0~2"].key,)
    assert jobs["teacher/a_1/seed0"].depends_on == (jobs["ms/seed0"].key,)


def test_controls_borrow_from_the_same_draw():
    jobs = jobs_of(HELD_OUT_TWICE, compare=["Distilled > SS"])
    other = jobs["distilled+other_session_teacher/a_2~2/seed0"].spec
    assert list(other.borrowed) == ["b_2~2"]
    assert other.teachers == {"a_2~2": jobs["teacher/b_2~2/seed0"].key}


def test_frozen_model_decodes_other_sessions_of_its_own_draw():
    methods = {"SS": {"job": "ss", "each": "held_out", "as": "a_2"}}
    jobs = jobs_of(HELD_OUT_TWICE, methods=methods, controls=[])
    spec = jobs["SS/b_2~2/seed0"].spec
    assert (spec.trained, spec.embeddings_of) == (jobs["ss/a_2~2/seed0"].key, "a_2~2")


def test_session_with_fewer_draws_than_others_is_named():
    with pytest.raises(
        ConfigError, match=r"session b_2 lacks draw 2 of its folds, and other sessions have 2; ingest all"
    ):
        jobs_of([e for e in HELD_OUT_TWICE if e.session != "b_2~2"])


def test_draw_of_an_earlier_ingest_is_not_used():
    stale = [make_entry("b_2~2", subject="b", fingerprint="older")]
    entries = [e for e in HELD_OUT_TWICE if e.session != "b_2~2"] + stale
    with pytest.raises(ConfigError, match="session b_2 was ingested again without draw 2"):
        jobs_of(entries)

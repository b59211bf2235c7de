"""Pieces of segments and sizes of models in a plan: what changes keys, what is refused, and what a note says."""

import dataclasses

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job import model_spec
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import ENTRIES, SWEEP, jobs_of, with_job

NDT2 = {"family": "ndt2", "pretrain": "spikes", "on": "pretraining"}
"""Segments of ENTRIES have 100 bins of 20 ms."""


def with_jobs(**jobs):
    return {"jobs": SWEEP["jobs"] | jobs}


def notes_of(tmp_path, **change):
    sweep = build(SweepConfig, SWEEP | change, Where("sweep.yaml"))
    return plan(sweep, ENTRIES, RunsFolder(tmp_path)).notes


def test_piece_changes_the_key_of_a_job_only_if_it_cuts_a_segment():
    whole = jobs_of()["ms/seed0"]
    cut = jobs_of(**with_job("ms", training={"piece_s": 1}))["ms/seed0"]
    assert cut.key != whole.key and cut.training_spec.training.piece_s == 1
    assert jobs_of(pretraining={"piece_s": 2})["ms/seed0"].key == whole.key
    assert jobs_of(pretraining={"piece_s": 1})["ms/seed0"].key == cut.key


def test_piece_that_cuts_nothing_is_refused_in_a_job_and_noted_for_a_sweep(tmp_path):
    message = "s: jobs.ms: `piece_s: 2` cuts no segment, because the longest has 2 s; leave it out, or give less"
    with pytest.raises(ConfigError, match=message):
        jobs_of(**with_job("ms", training={"piece_s": 2}))
    (note,) = notes_of(tmp_path, pretraining={"epochs": 12, "piece_s": 9})
    assert note == "`piece_s` of `pretraining` cuts no segment, because none is longer"
    assert notes_of(tmp_path, pretraining={"epochs": 12, "piece_s": 1}) == ()


def test_model_keeps_the_pieces_and_subjects_of_its_training():
    job = jobs_of(**with_jobs(ndt2=NDT2))["ndt2/seed0"]
    spec = model_spec(job, [e for e in ENTRIES if e.session in job.spec.sessions], {})
    assert spec.piece_s == 1 and spec.subjects == {"a_1": "a", "b_1": "b", "c_1": "c"}
    other = model_spec(jobs_of()["ms/seed0"], [ENTRIES[0]], {})
    assert other.piece_s is None and other.subjects == {}


def test_recipes_of_ndt2_are_those_of_its_preset():
    jobs = jobs_of(
        preset="paper", **with_jobs(ndt2=NDT2, ft={"family": "ndt2", "finetune": "ndt2", "each": "held_out"})
    )
    pretraining, finetuned = (jobs[name].training_spec.training for name in ("ndt2/seed0", "ft/a_2/seed0"))
    assert (pretraining.learning_rate, pretraining.batch, pretraining.weight_decay_of) == (5e-4, 128, "all")
    assert (finetuned.learning_rate, finetuned.batch, finetuned.piece_s) == (5e-5, 32, 1.0)
    assert jobs["ndt2/seed0"].training_spec.objective.mask_ratio == 0.6


def test_session_with_too_long_segments_or_too_many_patches_is_refused_with_the_way_out():
    def check(message, **changes):
        job = jobs_of(**with_jobs(ndt2=NDT2 | changes))["ndt2/seed0"]
        with pytest.raises(ConfigError, match=message):
            model_spec(job, [dataclasses.replace(ENTRIES[0], n_units=200)], {})

    check(
        r"session a_1 has segments of 100 bins, but the model learns times for 60; cut them by `training: "
        r"\{piece_s: 1.2\}`, or set `model: \{times: 100\}`",
        model={"times": 60},
        training={"piece_s": None},
    )
    check(r"session a_1 has 4 patches per bin, .* for 3; set `model: \{positions: 4\}`", model={"positions": 3})


def test_compared_families_of_different_size_are_noted_and_equal_ones_are_not(tmp_path):
    def compared(**changes):
        return with_jobs(ndt2=NDT2, ms=SWEEP["jobs"]["ms"] | changes) | {
            "preset": "paper",
            "methods": {name: {"job": job, "each": "pretraining"} for name, job in (("MS", "ms"), ("NDT2", "ndt2"))},
            "compare": "MS > NDT2",
        }

    (note,) = notes_of(tmp_path, **compared())
    assert note == (
        "MS is larger than NDT2: 10.5 M parameters against 4.0 M, without those that belong to sessions or only "
        "reconstruct. Their difference may be owed to size"
    )
    assert notes_of(tmp_path, **compared(model={"layers": 4})) == ()

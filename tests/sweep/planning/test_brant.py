"""Jobs of the family brant: which sessions they read, what they mask, and what is said of their scores."""

import dataclasses

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import ENTRIES, make_entry

SWEEP = {
    "name": "s",
    "store": "somewhere",
    "preset": "tiny",
    "seeds": [0],
    "sessions": {"held_out": {"names": ["a_2"]}, "pretraining": {"names": ["a_1", "b_1"]}},
    "jobs": {
        "brant": {"family": "brant", "pretrain": "lfp", "on": "pretraining", "model": {"bin_width_ms": 20}},
        "frozen": {
            **{"family": "brant", "finetune": "brant", "each": "held_out"},
            **{"supervision": "full", "freeze": "encoder"},
        },
        "updated": {"family": "brant", "finetune": "brant", "each": "held_out", "supervision": "full"},
        "ss": {"train": "lfp", "each": "held_out", "supervision": "full"},
    },
    "methods": {"BRANT": {"job": "brant", "each": "held_out"}, "Frozen": "frozen", "Updated": "updated", "SS": "ss"},
    "compare": ["Frozen > SS"],
}


def planned(tmp_path, entries=ENTRIES, job="brant", **changes):
    jobs = SWEEP["jobs"] | {job: SWEEP["jobs"][job] | changes}
    return plan(build(SweepConfig, SWEEP | {"jobs": jobs}, Where("sweep.yaml")), entries, RunsFolder(tmp_path))


def specs(plan):
    return {job.line: job.spec for job in plan.jobs}


def test_pretraining_masks_patches_and_decodes_sessions_that_it_has_not_seen(tmp_path):
    plan = planned(tmp_path)
    of_line = specs(plan)
    objective = of_line["brant"].objective
    assert (objective.mask_ratio, objective.patch_bins, objective.blocks) == (0.4, 25, None)
    assert of_line["brant"].model.bands == 3 and of_line["ss"].objective.name == "behavior_regression"
    assert list(of_line["BRANT"].sessions) == ["a_2"] and list(of_line["brant"].sessions) == ["a_1", "b_1"]
    assert of_line["frozen"].freeze == "encoder" and of_line["updated"].freeze is None
    assert of_line["updated"].training.encoder_rate == 1e-3
    frozen, updated = (next(p for p in plan.planned if p.job.line == line) for line in ("frozen", "updated"))
    assert frozen.parameters == updated.parameters and frozen.job.key != updated.job.key
    whole = planned(tmp_path, training={"mask": "bins"})
    assert specs(whole)["brant"].objective.patch_bins is None


def test_note_beside_the_scores_says_what_patches_cannot_carry_and_names_the_methods(tmp_path):
    (note,) = (note for note in planned(tmp_path).notes if "a token covers" in note)
    assert note.startswith("Frozen and Updated and BRANT: a token covers 0.5 s, and one vector for 0.5 s cannot carry ")
    assert "behavior in bins of 20 ms" in note


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"bin_width_ms": 4, "patch_bins": 1500}},
            r"jobs\.brant: session a_1 has bins of 20 ms, but the model reads bins of 4 ms, which must come from the "
            "raw recording: ingest it into a store of its own with `bin_width_ms: 4`",
        ),
        (
            {"model": {"bin_width_ms": 20, "patches": 3}},
            r"segments of 100 bins, but the model learns times for 75; cut them by `training: \{piece_s: 1.5\}`, or "
            r"set `model: \{patches: 4\}`",
        ),
        ({"training": {"mask_ratio": 0.04}}, r"`mask_ratio: 0.04` masks none of the 20 tokens of the longest segment"),
        ({"training": {"mask": "released"}}, "what is masked follows from the patches of the model"),
        (
            {"objective": {"name": "masked_autoencoding", "patch_bins": 5}},
            "what is masked follows from the patches of the model",
        ),
    ],
    ids=["bin width", "long segments", "nothing masked", "masks of single tokens", "other patches"],
)
def test_pretraining_that_cannot_work_is_refused_when_it_is_planned(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **changes)


def test_power_of_lfp_is_refused(tmp_path):
    entries = [make_entry(e.session, n_channels=18, lfp_bands=9) for e in ENTRIES]
    with pytest.raises(ConfigError, match="session a_1 has 9 features of power per electrode"):
        planned(tmp_path, entries)


def test_session_with_other_bins_is_refused_where_a_pretrained_model_only_decodes_it(tmp_path):
    entries = [dataclasses.replace(e, bin_width_ms=10.0) if e.session == "a_2" else e for e in ENTRIES]
    jobs = {name: SWEEP["jobs"][name] for name in ("brant",)}
    sweep = SWEEP | {"jobs": jobs, "methods": {"BRANT": SWEEP["methods"]["BRANT"]}, "compare": []}
    with pytest.raises(ConfigError, match=r"methods\.BRANT: session a_2 has bins of 10 ms"):
        plan(build(SweepConfig, sweep, Where("sweep.yaml")), entries, RunsFolder(tmp_path))


@pytest.mark.parametrize(
    ("job", "changes", "message"),
    [
        ("ss", {"freeze": "encoder"}, "needs `finetune`"),
        (
            "frozen",
            {"supervision": "none"},
            "`freeze: encoder` trains only what reads behavior out: it needs `finetune`",
        ),
        ("updated", {"model": {"heads": 8}}, "starts from the weights of brant, which has `heads: 4`, not 8"),
        (
            "updated",
            {"model": {"patch_bins": 50}},
            "starts from the weights of brant, which has `patch_bins: 25`, not 50",
        ),
    ],
)
def test_fine_tuning_that_cannot_work_is_refused(tmp_path, job, changes, message):
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, job=job, **changes)


def test_segment_shorter_than_a_patch_is_refused(tmp_path):
    model = {"bin_width_ms": 20, "patch_bins": 101}
    with pytest.raises(ConfigError, match=r"a_1 has a segment of 100 bins, but a token has 101; set `model: {patch_"):
        planned(tmp_path, model=model)
    assert planned(tmp_path, model=model | {"patch_bins": 100}).jobs

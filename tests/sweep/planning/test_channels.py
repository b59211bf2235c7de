"""What planning asks of the channels of sessions before a job of BaRISTA starts."""

import dataclasses

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.store.channels import channel_table
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import model_spec
from tests.sweep.planning.test_plan import make_entry

ARRAYS = channel_table(5, array=["M1", "M1", "S1", "S1", ""], x_um=[0, 400, 800, 1200, None])
ENTRIES = [make_entry(name, lfp_channels=ARRAYS) for name in ("a_1", "a_2")]


def spec_of(entries=ENTRIES, model=(), training=(), name="pre", **line):
    given = {"family": "barista", "pretrain": "lfp", "on": "all"} | line
    model = {"space": "array", "token_bins": 10} | dict(model)
    sweep = {
        "name": "s",
        "store": "store",
        "preset": "tiny",
        "model": model,
        "sessions": {"all": {}},
        "jobs": {name: given | ({"training": dict(training)} if training else {})},
        "methods": {"M": {"job": name, "each": "all"}} if "pretrain" in given else {"M": name},
    }
    config = build(SweepConfig, sweep, Where("sweep.yaml"))
    job = next(job for job in expand(config, entries) if job.trains)
    return job, model_spec(job, [e for e in entries if e.session in job.spec.sessions], {})


def test_model_gets_the_tables_of_its_sessions_and_the_names_of_their_arrays():
    job, spec = spec_of(training={"mask_by": "array"})
    assert spec.channels == {"a_1": ARRAYS, "a_2": ARRAYS} and spec.place_names == ("M1", "S1")
    assert spec.sessions == {"a_1": 5, "a_2": 5}
    objective = job.training_spec.objective
    assert (objective.name, objective.mask_by, objective.mask_ratio) == ("masked_groups", "array", 0.3)


ONE_ARRAY = channel_table(5, array=["M1"] * 5)


@pytest.mark.parametrize(
    ("entry", "model", "training", "message"),
    [
        ({"lfp_channels": None}, {}, {}, "knows the array of no channel, for `space: array`"),
        ({}, {"space": "region"}, {}, "knows the region of no channel, for `space: region`"),
        ({"lfp_channels": ONE_ARRAY}, {"space": "position"}, {}, "knows the position of no channel"),
        ({"lfp_channels": ONE_ARRAY}, {}, {"mask_by": "array"}, "has one array only, .* would mask everything"),
        ({}, {"space": "none"}, {"mask_by": "region"}, "knows the region of no channel, for `mask_by: region`"),
        ({"n_channels": 1}, {"space": "channel"}, {}, "has one channel only"),
        ({}, {"space": "position", "position_rows": 2}, {}, "a channel is at x = 800 µm, but the tables"),
        ({}, {"token_bins": 101}, {}, "has a segment of 100 bins, but a token has 101"),
    ],
)
def test_session_whose_channels_do_not_fit_is_refused_before_its_job_starts(entry, model, training, message):
    entries = [dataclasses.replace(e, **entry) for e in ENTRIES]
    with pytest.raises(ConfigError, match=message):
        spec_of(entries, model, training)


def test_masked_groups_belong_to_models_with_tokens_of_several_bins():
    with pytest.raises(ConfigError, match="`objective: masked_groups` belongs to `family: barista`"):
        spec_of(model={"space": "array"}, family="crossmodal", objective="masked_groups")


def test_mask_by_has_no_effect_on_a_job_with_behavior():
    with pytest.raises(ConfigError, match="`mask_by` has no effect on `objective: behavior_regression`"):
        spec_of(training={"mask_by": "array"}, pretrain=None, on=None, train="lfp", each="all", supervision="full")

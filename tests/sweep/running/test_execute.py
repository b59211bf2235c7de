"""Models of exactly the planned size, and sessions whose bands do not fit into one model."""

import dataclasses

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.models.families import build_model
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import model_spec, parameters
from tests.sweep.planning.test_plan import ENTRIES, FAMILY, SWEEP, make_entry


def test_every_planned_number_of_parameters_is_that_of_the_model():
    entries = {e.session: dataclasses.replace(e, n_units=70, n_channels=40) for e in ENTRIES if e.n_channels}
    entries["c_1"] = make_entry("c_1", n_units=10, n_channels=0)
    cnn = {"train": "lfp", "each": "held_out", "supervision": "full", "model": {"backbone": "cnn", "causal": True}}
    jobs = FAMILY["jobs"] | {"cnn": cnn, "flat": FAMILY["jobs"]["mm"] | {"model": {"multimodal": "flat"}}}
    jobs |= {"mlp": {"train": "lfp", "each": "held_out", "embedding": "mlp", "supervision": "joint"}}
    sweep = build(SweepConfig, SWEEP | FAMILY | {"jobs": jobs}, Where("sweep.yaml"))
    checked = set()
    for job in expand(sweep, list(entries.values())):
        if job.trains and job.spec.seed == 0:
            own = [entries[name] for name in job.spec.sessions]
            model = build_model(model_spec(job, own, {}))
            assert sum(p.numel() for p in model.parameters()) == parameters(job, own), job.name
            checked.add(job.name.split("/")[0])
    assert checked == set(jobs)


def test_sessions_with_different_bands_cannot_share_a_model():
    entries = [make_entry(s) for s in ("a_1", "a_2", "b_2")] + [make_entry("b_1", n_channels=18, lfp_bands=9)]
    sweep = build(SweepConfig, SWEEP | FAMILY, Where("sweep.yaml"))
    many = next(job for job in expand(sweep, entries) if job.name == "ms_distilled/seed0")
    with pytest.raises(ConfigError, match=r"different numbers of bands per electrode: 1 \(a_1\) and 9 \(b_1\)"):
        parameters(many, [e for e in entries if e.session in many.spec.sessions])

"""A job of a family that is fitted, and not trained by the loop: planned, run, scored, stored and tracked."""

import json

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError
from raydistill.models.families import FAMILIES
from raydistill.models.files import load_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import spec_from_json, spec_to_json
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.models.fitted_family import LINEAR

SWEEP = """name: fitted
preset: tiny
sessions: {every: {modality: lfp}}
jobs: {linear: {train: lfp, each: every, family: linear, supervision: full}}
methods: {Linear: linear}
seeds: [0]
baselines: []
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a sweep over one session, whose velocity is linear in the LFP but for noise of 0.1 of its variance."""
    monkeypatch.setitem(FAMILIES, "linear", LINEAR)
    random = np.random.default_rng(0)
    lfp = random.normal(size=(4000, 5))
    velocity = lfp @ random.normal(size=(5, 2))
    velocity += velocity.std(0) * np.sqrt(0.1) * random.normal(size=velocity.shape)
    session = Session.from_arrays(
        "a_1",
        subject="a",
        bin_width_ms=20.0,
        spikes=None,
        lfp=lfp,
        behavior=velocity,
        behavior_names=("vx", "vy"),
        behavior_units=("cm/s", "cm/s"),
    )
    store = Store(str(tmp_path / "store"))
    store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2)), "a" * 64)
    store.publish()

    def write(old="", new=""):
        assert old in SWEEP
        path = tmp_path / "sweep.yaml"
        path.write_text(SWEEP.replace(old, new) + f"store: {tmp_path / 'store'}\n")
        return path

    return write


def open_sweep(path, *overrides):
    return OpenSweep(load_sweep(path, overrides), RunsFolder(path.parent / "runs"))


def test_fitted_job_scores_what_the_data_allow_and_stores_its_model(write):
    sweep = open_sweep(write())
    (job,) = sweep.plan().jobs
    run_session_job(job, JobContext(sweep.runs, sweep.store))
    (score,) = sweep.collect(sweep.plan()).scores
    assert (score.method, score.session) == ("Linear", "a_1")
    assert 1 / 1.1 - 0.03 < score.value < 1 / 1.1 + 0.03  # the share of the variance that is not noise
    model = load_model(sweep.runs.job_folder(job.key))
    assert model.spec.behavior == ("vx", "vy") and model.behavior.weight[:, 5:].abs().max() < 1e-5
    record = Records(sweep).job(job, None).read()
    assert record.params == {"method": "Linear", "session": "a_1"}
    assert record.metrics["r2"] == score.value and record.history == []


def test_specification_of_a_fitted_job_has_no_recipe_and_survives_json(write):
    (job,) = open_sweep(write()).plan().jobs
    assert job.spec.objective is None and job.spec.training is None and job.spec.epochs == 1
    assert spec_from_json(json.loads(json.dumps(spec_to_json(job.spec)))) == job.spec
    (other,) = open_sweep(write(), "training.epochs=7").plan().jobs
    assert other.key == job.key


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("supervision: full", "supervision: none"),
        ("supervision: full", "supervision: full, training: {epochs: 3}"),
        ("supervision: full", "supervision: full, objective: behavior_regression"),
        ("supervision: full", "supervision: full, engine: {micro_batch: 2}"),
    ],
)
def test_setting_that_a_fitted_job_would_ignore_is_refused(write, old, new):
    with pytest.raises(ConfigError, match="are fitted to behavior, without the training loop"):
        load_sweep(write(old, new))

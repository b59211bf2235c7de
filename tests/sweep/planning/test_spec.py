"""Identity: a job's key follows from what counts, and from nothing else; a dozen keys are held for good."""

import dataclasses
import json
from pathlib import Path

import pytest

from raydistill.config.engine import EngineConfig
from raydistill.config.load import Where, build
from raydistill.config.objectives import MaskedAutoencoding
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.spec import job_key, spec_from_json, spec_to_json
from tests.sweep.jobs import make_job
from tests.sweep.planning.test_plan import ENTRIES, FAMILY, SWEEP

FILE = Path(__file__).with_name("golden_keys.json")


def jobs():
    sweep = build(SweepConfig, SWEEP | FAMILY, Where("sweep.yaml"))
    return expand(sweep, [e for e in ENTRIES if e.n_channels])


def golden_keys() -> dict[str, str]:
    """One job of every line, one evaluation, and every baseline."""
    one_per_line = {job.line: job for job in jobs()}
    return {job.name: job.key for job in one_per_line.values()}


def test_keys_of_a_dozen_jobs_are_the_golden_ones():
    """If this fails, all finished jobs would be run again: raise FORMAT_VERSION, and say so in the changelog."""
    golden = json.loads(FILE.read_text())
    assert len(golden) >= 12 and golden_keys() == golden


@pytest.mark.parametrize("job", jobs(), ids=lambda job: job.name)
def test_job_as_json_comes_back_equal(job):
    again = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job and job_key(again.spec) == job.key


CHANGES = {
    "sessions": {"s": "0" * 64},
    "seed": 1,
    "behavior": ("vx",),
    "weights": "k",
    "teachers": {"s": "k"},
    "objective": MaskedAutoencoding(mask_ratio=0.5),
    "training": dataclasses.replace(make_job("k").training_spec.training, epochs=7),
    "model": configure(dataclasses.replace(PRESETS["tiny"], width=32), "lfp", "linear", predictor=True),
}


@pytest.mark.parametrize("field", CHANGES)
def test_key_changes_with_everything_that_counts(field):
    spec = make_job("k").training_spec
    assert job_key(dataclasses.replace(spec, **{field: CHANGES[field]})) != job_key(spec)


def test_key_ignores_how_a_training_is_carried_out():
    spec = make_job("k").training_spec
    plain = Job(name="a", kind="train", spec=spec)
    other = Job(name="b", kind="finetune", spec=spec, workers=(2, 4), engine=EngineConfig(micro_batch=3), method="M")
    assert plain.key == other.key == job_key(spec)


@pytest.mark.parametrize(
    ("modality", "embedding", "unused"),
    [
        ("spikes", "count", {"lfp_patch": 4, "conv_kernel": 9, "multimodal": "flat", "predictor_width": 96}),
        ("lfp", "linear", {"spikes_patch": 4, "max_count": 9, "conv_dilation": 3}),
        ("multimodal", "conv", {"max_count": 9, "predictor_layers": 3}),
    ],
)
def test_key_ignores_settings_that_the_model_does_not_use(modality, embedding, unused):
    spec, settings = make_job("k").training_spec, PRESETS["tiny"]
    keys = {
        job_key(dataclasses.replace(spec, model=configure(s, modality, embedding)))
        for s in (settings, dataclasses.replace(settings, **unused))
    }
    assert len(keys) == 1


def test_key_of_a_backbone_is_that_of_its_own_size():
    settings = dataclasses.replace(PRESETS["tiny"], backbone="lstm")
    same = dataclasses.replace(settings, heads=2)  # an LSTM has no heads
    smaller = dataclasses.replace(settings, layers=1)
    one, other, third = (configure(s, "lfp", "linear") for s in (settings, same, smaller))
    assert one == other and one.backbone.hidden > third.backbone.hidden


def test_key_ignores_optional_settings_that_are_absent():
    spec = make_job("k").training_spec
    tree = spec_to_json(spec)
    assert tree["weights"] is None
    del tree["weights"]
    assert job_key(spec_from_json(tree)) == job_key(spec)


if __name__ == "__main__":
    FILE.write_text(json.dumps(golden_keys(), indent=1) + "\n")

"""NDT2 and a rotary model on pieces of 0.5 s: pretrained, fine-tuned, decoded, on the segments that others have."""

import json

import numpy as np
import pytest

from raydistill.config.load import Where, build
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.models.loaded import load_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, advance_job, run_session_job
from raydistill.training.history import read_history

PIECES = {"training": {"piece_s": 0.5}}
SIZES = {"model": {"spikes_patch": 8, "width": 32}}
SWEEP = {
    "name": "s",
    "preset": "tiny",
    "seeds": [0],
    "pretraining": {"epochs": 20},
    "training": {"epochs": 8},
    "sessions": {"held_out": {"names": ["a_2"]}, "pretraining": {"except": "held_out"}},
    "jobs": {
        "ndt2": {"family": "ndt2", "pretrain": "spikes", "on": "pretraining"} | SIZES | PIECES,
        "ndt2_ft": {"family": "ndt2", "finetune": "ndt2", "each": "held_out"} | PIECES,
        "ms_spike": {"pretrain": "spikes", "on": "pretraining"} | SIZES,
        "ms_pieces": {"pretrain": "spikes", "on": "pretraining"} | SIZES | PIECES,
        "gru": {
            "train": "spikes",
            "each": "held_out",
            "supervision": "full",
            "model": SIZES["model"] | {"backbone": "gru"},
        },
    },
    "methods": {
        "NDT2": ["ndt2_ft", {"job": "ndt2", "each": "pretraining"}],
        "MS-Spike": {"job": "ms_spike", "each": "pretraining"},
        "MS-Spike in pieces": {"job": "ms_pieces", "each": "pretraining"},
        "GRU": "gru",
    },
    "baselines": [],
}


def make_session(name, seed):
    """80 s in which the rates of 20 units follow a velocity."""
    random = np.random.default_rng(seed)
    velocity = np.convolve(random.normal(size=4000), np.hanning(25) / 5, mode="same")[:, None]
    rates = np.exp(velocity * random.normal(size=20) - 1)
    spikes = random.poisson(rates).clip(0, 255)
    named = {"behavior_names": ("vx",), "behavior_units": ("",)}
    return Session.from_arrays(name, subject=name[0], bin_width_ms=20, spikes=spikes, behavior=velocity, **named)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Runs folder, store, and name -> job with its metrics, all run in this process."""
    folder = tmp_path_factory.mktemp("pieces")
    store, config = Store(str(folder / "store")), IngestConfig(bin_width_ms=20, splits=Splits(segment_s=2, parent_s=4))
    for seed, name in enumerate(("a_1", "a_2", "b_1")):
        store.write(make_session(name, seed), config, "a" * 64)
    store.publish()
    sweep = build(SweepConfig, SWEEP | {"store": store.uri}, Where("sweep.yaml"))
    context, metrics = JobContext(RunsFolder(folder / "runs"), store.uri), {}
    for job in expand(sweep, store.entries()):
        if job.is_pretraining:
            advance_job(job, context, job.training_spec.epochs)
        metrics[job.name] = job, run_session_job(job, context)
    return context.runs, store, metrics


def test_all_methods_are_scored_on_the_same_bins_and_learn(done):
    runs, _, metrics = done
    for session in ("a_1", "b_1"):
        scored = [metrics[f"{name}/{session}"][1] for name in ("NDT2", "MS-Spike", "MS-Spike in pieces")]
        assert len({(m["n_test"], m["n_test_segments"]) for m in scored}) == 1
        assert all(m["r2"] > 0.25 for m in scored)
    assert metrics["ndt2_ft/a_2/seed0"][1]["r2"] > 0.25 and metrics["gru/a_2/seed0"][1]["r2"] > 0.25
    for name in ("ndt2/seed0", "ms_pieces/seed0", "gru/a_2/seed0"):
        losses = [line["train_loss"] for line in read_history(runs.job_folder(metrics[name][0].key))]
        assert losses[-1] < losses[0]


def test_models_keep_their_pieces_and_read_stored_segments_as_they_were_scored(done):
    runs, store, metrics = done
    folder = runs.job_folder(metrics["ndt2/seed0"][0].key)
    spec = json.loads((folder / "model.json").read_text())
    assert (spec["piece_s"], spec["subjects"]) == (0.5, {"a_1": "a", "b_1": "b"})
    assert spec["provenance"]["segment_bins"] == {"a_1": 25, "b_1": 25}
    (segment, *_) = store.read(store.entry("b_1"), "test")
    model = load_model(folder)
    whole = model.latents(spikes=segment.spikes, session="b_1")
    parts = [model.latents(spikes=segment.spikes[a : a + 25], session="b_1") for a in range(0, 100, 25)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-5)
    with np.load(runs.job_folder(metrics["NDT2/b_1"][0].key) / "scored_segments.npz") as scored:
        row = list(scored["numbers"]).index(segment.number)
        np.testing.assert_allclose(scored["vectors"][row], whole.mean(0), atol=1e-4)


def test_fine_tuned_model_knows_its_subject_and_streams_in_pieces(done):
    runs, store, metrics = done
    model = load_model(runs.job_folder(metrics["ndt2_ft/a_2/seed0"][0].key))
    assert model.sessions == ("a_2",) and model.spec.subjects == {"a_2": "a"}
    (segment, *_) = store.read(store.entry("a_2"), "test")
    stream = model.stream()
    streamed = np.array([stream.step(spikes=row).latents for row in segment.spikes])
    np.testing.assert_allclose(streamed, model.latents(spikes=segment.spikes), atol=1e-4)

"""REALM's three stages through the commands: masked pretraining, one causal student for all sessions, two read-outs."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import raydistill as package
from raydistill.store.store import Store
from tests.commands import SWEEP, raydistill, read_json

SIZES = "width: 32, lfp_patch: 8, head: 16, states: 8"
JOBS = f"""jobs:
  realm_teacher:
    family: realm
    pretrain: lfp
    on: pretraining
    model: {{{SIZES}, drop_path: 0.1}}
    training: {{mask_block: [3, 9]}}
  realm:
    family: realm
    distill: realm_teacher
    on: pretraining
    model: {{{SIZES}, causal: true}}
    inherit: shifted_tokenizer
  realm_ft: {{family: realm, finetune: realm, each: held_out, supervision: full, freeze: tokenizer}}
  masked_lstm: {{train: lfp, each: held_out, model: {{backbone: lstm}}, training: {{mask: bins, mask_block: [3, 9]}}}}
  spikes: {{train: spikes, each: held_out}}
  late:
    distill: spikes
    each: held_out
    model: {{backbone: mamba, causal: true, readout: pooled, lookahead_bins: 3}}
methods:
  REALM: {{job: realm, each: held_out, past_bins: 10}}
  REALM-bi: {{job: realm_teacher, each: held_out, past_bins: 10}}
  REALM fine-tuned: realm_ft
  Masked LSTM: masked_lstm
  Late: late
controls: []
baselines: [ridge_on_lfp]
"""


@pytest.fixture(scope="module")
def realm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("realm")
    text = SWEEP.split("jobs:")[0].replace("name: small", "name: realm") + JOBS
    text = text.replace(
        "model: {width: 32, spikes_patch: 16, lfp_patch: 8, predictor_width: 24, dropout: 0.1}",
        "model: {width: 32, spikes_patch: 16}",
    )
    (folder / "sweep.yaml").write_text(
        text.replace("{epochs: 20}", "{epochs: 6}").replace("{epochs: 10}", "{epochs: 4}")
    )
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder


@pytest.fixture(scope="module")
def jobs(realm):
    return {
        job["name"]: realm / "runs" / "jobs" / job["key"] for job in read_json("plan", "sweep.yaml", cwd=realm)["jobs"]
    }


def weights(folder):
    return load_file(folder / "model.safetensors")


def test_every_method_decodes_every_held_out_session(realm):
    results = read_json("results", "sweep.yaml", cwd=realm)
    found = {(s["method"], s["session"]) for s in results["scores"]}
    methods = ("REALM", "REALM-bi", "REALM fine-tuned", "Masked LSTM", "Late")
    assert found == {(m, s) for m in methods for s in ("S1_02", "S2_02")} and results["failed"] == []
    assert all(np.isfinite(s["r2"]) and s["r2"] > -1 for s in results["scores"])
    late = next(s for s in results["sees"] if s["method"] == "Late")
    assert late["lookahead_bins"] == 3 and not late["future"]


def test_student_of_all_sessions_decodes_recordings_that_it_has_never_read(jobs):
    trained = json.loads((jobs["realm/seed0"] / "job.json").read_text())["spec"]
    assert set(trained["sessions"]) == {"S1_01", "S2_01"} and trained["reads"] == ["lfp"]
    metrics = json.loads((jobs["REALM/S1_02"] / "metrics.json").read_text())
    assert metrics["settings"]["penalty"] in [10.0**n for n in range(7)] and "r2_least_squares" not in metrics


def test_stages_pass_the_value_embedding_on(jobs):
    teacher, student = weights(jobs["realm_teacher/seed0"]), weights(jobs["realm/seed0"])
    tuned = weights(jobs["realm_ft/S1_02/seed0"])
    values = [name for name in student if name.startswith("tokenizer.value.")]
    assert len(values) == 7 and all(np.array_equal(tuned[name], student[name]) for name in values), "it is frozen"
    assert any(not np.array_equal(teacher[name], student[name]) for name in values), "the student went on training it"
    encoder = [name for name in student if name.startswith("encoder.")]
    assert all(not np.array_equal(tuned[name], student[name]) for name in encoder if name.endswith("weight"))


def test_student_streams_a_session_that_it_has_never_read(realm, jobs):
    model = package.load_model(jobs["realm/seed0"])
    (store,) = (realm / "runs" / "stores").iterdir()
    segment = Store(str(store)).read(Store(str(store)).entry("S2_02"), "test")[0]
    stream = model.stream(session="S2_02")
    latents = np.array([stream.step(lfp=row).latents for row in segment.lfp])
    assert np.abs(latents - model.latents(lfp=segment.lfp, session="S2_02")).max() < 1e-4


def test_late_answers_are_the_latents_of_the_whole_segment(realm, jobs):
    """Decoded behavior may differ more: least squares on few bins of hardly trained latents have large weights."""
    model = package.load_model(jobs["late/S1_02/seed0"])
    (store,) = (realm / "runs" / "stores").iterdir()
    for segment in Store(str(store)).read(Store(str(store)).entry("S1_02"), "test"):
        stream = model.stream(session="S1_02")
        outputs = [stream.step(lfp=row).latents for row in segment.lfp] + [out.latents for out in stream.finish()]
        assert np.abs(np.array(outputs[3:]) - model.latents(lfp=segment.lfp, session="S1_02")).max() < 1e-4


def test_decode_replays_late_answers_and_says_how_late(realm, jobs):
    (store,) = (realm / "runs" / "stores").iterdir()
    options = ("--session", "S1_02", "--store", store, "--stream")
    done = raydistill("decode", jobs["late/S1_02/seed0"], *options, cwd=realm, check=0)
    assert "each bin is answered 60 ms late" in done.stdout + done.stderr
    report = read_json("decode", str(jobs["late/S1_02/seed0"]), *map(str, options), cwd=realm)
    assert report["lookahead_bins"] == 3 and report["r2"] == pytest.approx(report["r2_whole"], abs=0.02)

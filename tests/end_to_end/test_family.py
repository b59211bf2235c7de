"""Every kind of job through the commands: supervised, multimodal, multi-session distillation, a teacher that learns."""

import json
import shutil

import numpy as np
import pytest

import raydistill as package
from raydistill.store.store import Store
from tests.commands import SWEEP, raydistill, read_json

JOBS = """  teacher_many: {finetune: ms_spike, on: pretraining}
  teacher_full: {finetune: teacher_many, each: held_out, supervision: full}
  distilled_full: {distill: teacher_full, each: held_out, supervision: full}
  ms_distilled: {distill: teacher_many, on: pretraining, workers: 2}
  ms_distilled_ft: {distill: teacher, start: ms_distilled, each: held_out}
  unfrozen: {distill: teacher, each: held_out, unfreeze_epoch: 1}
  mm: {train: [spikes, lfp], each: held_out, supervision: joint}
  lstm: {train: lfp, each: held_out, supervision: full, model: {backbone: lstm, causal: true}}
"""
METHODS = """methods:
  Full: distilled_full
  MS-Distilled: ms_distilled_ft
  Unfrozen: unfrozen
  MM: mm
  MM-ZS: {job: mm, inputs: lfp}
  LSTM: lstm
compare: [MM > MM-ZS]
"""


@pytest.fixture(scope="module")
def family(finished_sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("family")
    shutil.copytree(finished_sweep / "runs", folder / "runs")
    text = SWEEP.split("methods:")[0] + JOBS + METHODS
    text = text.replace("name: small", "name: family").replace("training: {epochs: 10", "training: {epochs: 3")
    (folder / "sweep.yaml").write_text(text)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder


def test_every_method_has_a_score_for_every_held_out_session(family):
    results = read_json("results", "sweep.yaml", cwd=family)
    found = {(s["method"], s["session"]) for s in results["scores"]}
    methods = ("Full", "MS-Distilled", "Unfrozen", "MM", "MM-ZS", "LSTM")
    assert found == {(m, s) for m in methods for s in ("S1_02", "S2_02")} and results["failed"] == []
    assert all(np.isfinite(s["r2"]) for s in results["scores"])


def test_models_with_a_behavior_head_are_scored_by_it_and_by_least_squares(family):
    plan = read_json("plan", "sweep.yaml", cwd=family)
    jobs = {job["name"]: job for job in plan["jobs"]}
    folder = family / "runs" / "jobs" / jobs["distilled_full/S1_02/seed0"]["key"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["r2"] != metrics["r2_least_squares"]
    (store,) = (family / "runs" / "stores").iterdir()
    segment = Store(str(store)).read(Store(str(store)).entry("S1_02"), "test")[0]
    model = package.load_model(folder)
    assert model.behavior(lfp=segment.lfp).shape == (50, 2) and model.spec.behavior == ("velocity_x", "velocity_y")
    mm = package.load_model(family / "runs" / "jobs" / jobs["mm/S1_02/seed0"]["key"])
    assert mm.latents(spikes=segment.spikes, lfp=segment.lfp).shape == (50, 32)


def test_family_run_again_has_nothing_left_to_do(family):
    counts = read_json("plan", "sweep.yaml", cwd=family)["counts"]
    assert counts["done"] == sum(counts.values())

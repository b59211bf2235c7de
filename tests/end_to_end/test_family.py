"""Every kind of job through the commands: supervised, multimodal, multi-session distillation, a teacher that learns."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file

import raydistill as package
from raydistill.store.store import Store
from tests.commands import SWEEP, raydistill, read_json

JOBS = """  teacher_many: {finetune: ms_spike, on: pretraining}
  teacher_full: {finetune: teacher_many, each: held_out, supervision: full}
  teacher_new: {finetune: teacher_many, on: held_out}
  teacher_kept: {finetune: teacher_new, each: held_out, training: {learning_rate: 1e-9}}
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
  Chain: teacher_kept
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
    methods = ("Full", "MS-Distilled", "Unfrozen", "MM", "MM-ZS", "LSTM", "Chain")
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


def test_chain_of_three_fine_tunings_goes_on_from_the_weights_of_each(family):
    keys = {job["name"]: job["key"] for job in read_json("plan", "sweep.yaml", cwd=family)["jobs"]}
    names = ("ms_spike/seed0", "teacher_many/seed0", "teacher_new/seed0", "teacher_kept/S1_02/seed0")
    *earlier, new, kept = (load_file(family / "runs" / "jobs" / keys[name] / "model.safetensors") for name in names)
    spaces = {name for name in new if "S1_02" in name or "S2_02" in name}
    assert spaces and not spaces & earlier[-1].keys(), "sessions that only the third training has seen"
    assert kept.keys() == {name for name in new if "S2_02" not in name}
    # The last training takes steps of 1e-9, so it has the weights of the one before it, and the session's embedding.
    assert max(np.abs(kept[name] - new[name]).max() for name in kept) < 1e-6
    for before, after in pairwise((*earlier, new)):
        shared = [
            name for name in before.keys() & after.keys() if name.startswith("encoder") and before[name].ndim == 2
        ]
        changes = [np.abs(after[name] - before[name]).max() for name in shared]
        sizes = [np.abs(before[name]).max() for name in shared]
        assert min(changes) > 1e-4 and all(change < size for change, size in zip(changes, sizes, strict=True))


def test_family_run_again_has_nothing_left_to_do(family):
    counts = read_json("plan", "sweep.yaml", cwd=family)["counts"]
    assert counts["done"] == sum(counts.values())

"""A sweep that decodes a label, through the commands and real Ray: what is known of the recording comes out."""

import json

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.store.session import Session
from raydistill.store.store import Store
from tests.commands import raydistill, read_json

SWEEP = """# Question: can the side of a reach be told from spikes?
name: side
store: store
preset: tiny
seeds: [0]
behavior: {labels: side}
model: {width: 16, layers: 1, heads: 2, spikes_patch: 16, predictor_width: 8, predictor_heads: 2}
training: {epochs: 15, batch: 8, learning_rate: 0.01}
sessions: {all: {subjects: [m]}}
jobs:
  masked: {train: spikes, each: all}
  supervised: {finetune: masked, each: all, objective: label_classification}
methods: {Masked: masked, Supervised: supervised}
compare: [Supervised > Masked, Supervised > Logistic regression on spikes]
"""
BINS, TRIALS = 25, 120


def reaches(seed):
    """Trials of 0.5 s to one of two sides, of which each raises the rates of half of the units."""
    random = np.random.default_rng(seed)
    side, shuffled = random.integers(2, size=TRIALS), random.integers(2, size=TRIALS)
    rates = np.where(np.arange(8) % 2 == side[:, None], 1.2, 0.4)  # (trials, units) per bin
    of_bin = np.repeat(np.arange(TRIALS), BINS)
    return Session.from_arrays(
        f"m_{seed}",
        subject="m",
        bin_width_ms=20,
        spikes=random.poisson(rates[of_bin]),
        behavior=random.normal(size=(TRIALS * BINS, 1)),
        behavior_names=("x",),
        behavior_units=("cm",),
        trial=of_bin.astype(np.int32),
        labels=np.stack([side, shuffled], axis=1)[of_bin].astype(np.int16),
        classes={"side": ("left", "right"), "shuffled": ("left", "right")},
    )


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    store = Store(str(folder / "store"))
    splits = Splits(by="trials", order="chronological", valid=0.2, test=0.3)
    for seed in (1, 2):
        store.write(reaches(seed), IngestConfig(bin_width_ms=20, splits=splits), str(seed) * 64)
    store.publish()
    (folder / "sweep.yaml").write_text(SWEEP)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder


def test_label_that_the_spikes_hold_is_decoded_by_every_method(labels):
    results = read_json("results", "sweep.yaml", cwd=labels)
    assert results["measure"] == "auc" and results["failed"] == []
    scores = {(s["method"], s["session"]): s for s in (*results["scores"], *results["baselines"])}
    assert {method for method, _ in scores} == {"Masked", "Supervised", "Logistic regression on spikes"}
    assert len(scores) == 6 and all(s["auc"] > 0.9 and s["balanced_accuracy"] > 0.8 for s in scores.values())
    assert all(s["n_segments"] == 36 and "r2" not in s for s in scores.values())
    assert 'an example of the label "side" is a segment' in results["notes"]


def test_supervised_model_is_scored_by_its_own_outputs_and_by_logistic_regression(labels):
    jobs = {job["name"]: job["key"] for job in read_json("plan", "sweep.yaml", cwd=labels)["jobs"]}
    folder = labels / "runs" / "jobs" / jobs["supervised/m_1/seed0"]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["n_train"] == 0 and metrics["auc_logistic"] > 0.9 and not any("r2" in name for name in metrics)
    assert json.loads((folder / "model.json").read_text())["label"] == {"name": "side", "classes": ["left", "right"]}
    card = (folder / "card.md").read_text()
    assert "AUC: " in card and "R²" not in card and "36 trials resampled" in card
    low, high = metrics["auc_interval"]
    assert low <= metrics["auc"] <= high and metrics["auc_interval_of"] == {"n": 36, "unit": "trials"}


def test_page_table_and_figures_of_a_label_show_no_r2(labels):
    raydistill("report", "sweep.yaml", "--out", "page.html", cwd=labels, check=0)
    page, shown = (labels / "page.html").read_text(), raydistill("results", "sweep.yaml", cwd=labels, check=0).stdout
    assert "balanced accuracy" in page and "balanced accuracy" in shown and "Decoding AUC" in page
    assert "R²" not in page.replace("about R²", "") and "R²" not in shown
    csv = (labels / "runs" / "sweeps" / "side" / "session_dots.csv").read_text()
    assert csv.startswith("kind,method,subject,session,seed,auc")


def test_mlflow_has_auc_and_accuracy_of_jobs_and_methods(labels):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{labels / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("side")
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "AUC"
    runs = [run.data.metrics for run in client.search_runs([experiment.experiment_id], max_results=100)]
    scored = [metrics for metrics in runs if "AUC" in metrics]
    assert len(scored) == 9 and all({"Accuracy", "Accuracy balanced"} <= metrics.keys() for metrics in scored)
    assert not any(name.startswith("R2") for metrics in runs for name in metrics)


def test_shuffled_label_is_at_chance(labels):
    raydistill("sweep", "sweep.yaml", "--set", "behavior.labels=shuffled", "--only", "Masked", cwd=labels, check=0)
    done = raydistill("results", "sweep.yaml", "--set", "behavior.labels=shuffled", "--json", cwd=labels)
    scores = [s for s in (*json.loads(done.stdout)["scores"], *json.loads(done.stdout)["baselines"])]
    assert scores and abs(np.mean([s["auc"] for s in scores]) - 0.5) < 0.15

"""A sweep that tries settings of every method before it compares them: interrupted once, then continued."""

import json
import os
import signal
from statistics import mean

import pytest
from mlflow import MlflowClient

from tests.commands import SWEEP, raydistill, read_json, start, wait_until

TUNE = """tune:
  trials: 3
  space:
    training.learning_rate: {low: 1e-3, high: 1e-2, log: true}
    model.lfp_patch: [4, 8]
"""
METHODS = ("MS-Spike", "Distilled LFP", "SS-LFP")


def tuned_sweep():
    changes = {
        "seeds: [0]": "seeds: [0, 1]",
        "  ms_spike: {pretrain: spikes, on: pretraining, workers: 2}\n": "",
        "{finetune: ms_spike, each: held_out}": "{train: spikes, each: held_out}",
        "align: [Distilled LFP ~ MS-Spike]\n": "",
        "controls: []": "controls: [same_architecture]",
        "training: {epochs: 10}": "training: {epochs: 4}",
    }
    text = SWEEP
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    return text + TUNE


def markers(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in (folder / "runs" / "jobs").glob("*/_SUCCESS")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a sweep that was interrupted during its trials and run again, and what was done before."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "sweep.yaml").write_text(tuned_sweep())
    process = start("sweep", "sweep.yaml", cwd=folder)
    wait_until(lambda: len(markers(folder)) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=120) == 130
    before, results = markers(folder), read_json("results", "sweep.yaml", cwd=folder)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder, before, results


def metrics(folder, key):
    return json.loads((folder / "runs" / "jobs" / key / "metrics.json").read_text())


def job(folder, key):
    return json.loads((folder / "runs" / "jobs" / key / "job.json").read_text())


def test_interrupted_trials_are_continued_and_no_finished_one_is_run_again(finished):
    folder, before, at_interrupt = finished
    assert before.items() <= markers(folder).items()
    assert at_interrupt["scores"] == [] and not at_interrupt["tuning"]["settled"]


def test_chosen_settings_are_those_of_the_trial_with_the_best_mean_validation_score(finished):
    folder, *_ = finished
    results = read_json("results", "sweep.yaml", cwd=folder)
    assert results["failed"] == results["missing"] == [] and results["tuning"]["settled"]
    tuned = {m["method"]: m for m in results["tuning"]["methods"]}
    assert set(tuned) == set(METHODS) and all(len(m["trials"]) == 3 for m in tuned.values())
    for method, of_method in tuned.items():
        by_hand = [mean(metrics(folder, key)["valid_r2"] for key in trial["jobs"]) for trial in of_method["trials"]]
        assert [trial["valid_r2"] for trial in of_method["trials"]] == pytest.approx(by_hand, abs=1e-12)
        best = max(range(3), key=lambda number: by_hand[number])
        assert of_method["chosen_trial"] == best
        for key in (s["job"] for s in results["scores"] if s["method"] == method):
            spec = job(folder, key)["spec"]
            chosen = of_method["trials"][best]["values"]
            assert spec["training"]["learning_rate"] == chosen["training.learning_rate"]
            if method != "MS-Spike":
                assert spec["model"]["inputs"]["patch"] == chosen["model.lfp_patch"]


def test_controls_have_the_settings_of_the_student_and_own_settings_stand_beside(finished):
    folder, *_ = finished
    results = read_json("results", "sweep.yaml", cwd=folder)
    by_method = {}
    for score in (*results["scores"], *results["control_scores"]):
        by_method.setdefault(score["method"], {})[score["session"], score["seed"]] = job(folder, score["job"])["spec"]
    equal = {row["row"] for row in results["equal_settings"]}
    beside = {*(f"{m} (own settings)" for m in METHODS), "Distilled LFP, no teacher"}
    assert set(by_method) == {*METHODS, *beside, *equal}
    patches = {m: by_method[m]["S1_02", 0]["model"]["inputs"]["patch"] for m in ("Distilled LFP", "SS-LFP")}
    assert equal == ({"SS-LFP (settings of Distilled LFP)"} if len(set(patches.values())) == 2 else set())
    for row in equal:
        assert by_method[row]["S1_02", 0]["model"]["inputs"]["patch"] == patches["Distilled LFP"]
    assert {frozenset(of_method) for of_method in by_method.values()} == {
        frozenset({(session, seed) for session in ("S1_02", "S2_02") for seed in (0, 1)})
    }
    control, student = (by_method[name]["S1_02", 1] for name in ("Distilled LFP, no teacher", "Distilled LFP"))
    assert (control["model"], control["training"]) == (student["model"], student["training"])
    for method in METHODS:
        own = by_method[f"{method} (own settings)"]["S2_02", 1]
        assert own["training"]["learning_rate"] == 3e-3
    assert [c["control"] for c in results["controls"]] == ["same_architecture"], "own settings enter no test"


def test_sweep_run_again_adds_no_job_and_more_trials_only_add_jobs(finished):
    folder, *_ = finished
    before = markers(folder)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    assert markers(folder) == before
    plan = read_json("plan", "sweep.yaml", "--tune", "5", cwd=folder)
    states = {p["key"]: p["state"] for p in plan["jobs"]}
    trials = [trial for m in plan["tuning"]["methods"] for trial in m["trials"][:3] if m["method"] != "Distilled LFP"]
    assert {states[key] for trial in trials for key in trial["jobs"]} == {"done"}
    assert [len(m["trials"]) for m in plan["tuning"]["methods"]] == [5, 5, 5]
    listed = raydistill("plan", "sweep.yaml", "--tune", "5", cwd=folder, check=0).stdout
    assert "each of 3 methods gets 5 trials" in listed and "jobs more" in listed


def test_terminal_and_page_show_budget_choice_and_spread(finished):
    folder, *_ = finished
    shown = raydistill("results", "sweep.yaml", cwd=folder, check=0).stdout
    assert "settings, chosen on validation folds" in shown and "no test fold is read to choose" in " ".join(
        shown.split()
    )
    raydistill("report", "sweep.yaml", "--out", "page.html", cwd=folder, check=0)
    page = (folder / "page.html").read_text()
    assert "each of 3 methods gets 3 trials of settings (seed 0)" in page
    assert page.count('<tr><th scope="row">SS-LFP</th><td>') >= 4  # the table of settings, and one line per trial
    csv = raydistill("results", "sweep.yaml", "--csv", cwd=folder, check=0).stdout
    assert csv.count("SS-LFP (own settings),") == 4
    figure = (folder / "runs" / "sweeps" / "small" / "tuning_trials.csv").read_text().splitlines()
    assert len(figure) == 1 + 3 * 3


def test_cost_of_the_run_has_its_trials_and_its_comparison(finished):
    folder, *_ = finished
    cost = json.loads((folder / "runs" / "sweeps" / "small" / "cost.json").read_text())
    seconds = {line["name"]: line["seconds"] for line in cost["lines"]}
    assert {"tuning of Distilled LFP", "distilled"} <= seconds.keys() and min(seconds.values()) > 0
    assert cost["session_jobs"] == sum(line["jobs"] for line in cost["lines"])


def test_mlflow_has_the_budget_the_trials_and_the_row_with_own_settings(finished):
    folder, *_ = finished
    client = MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id], max_results=200)
    named = {run.info.run_name for run in runs}
    assert {f"{method} (own settings)" for method in METHODS} <= named
    assert any(name.startswith("tuning of SS-LFP/trial ") for name in named)
    whole = next(run for run in runs if "trials of each method" in run.data.params)
    assert whole.data.params["trials of each method"] == "3"
    assert "each of 3 methods gets 3 trials" in whole.data.tags["mlflow.note.content"]

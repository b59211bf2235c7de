"""A sweep from its file to its results, and the commands that read them."""

import json
import shutil
from pathlib import Path

from tests.commands import raydistill, read_json


def test_finished_sweep_holds_every_score_and_test(finished_sweep):
    results = read_json("results", "sweep.yaml", cwd=finished_sweep)
    assert results["protocol"] == "corrected" and results["failed"] == []
    scored = {(s["method"], s["session"], s["subject"], s["seed"]) for s in results["scores"]}
    sessions = {("S1_02", "S1"), ("S2_02", "S2")}
    methods = ("Distilled LFP", "MS-Spike", "SS-LFP")
    assert scored == {(m, session, subject, 0) for m in methods for session, subject in sessions}
    assert {b["method"] for b in results["baselines"]} == {"Ridge on spikes", "Ridge on LFP"}
    (test,) = results["tests"]
    assert (test["better"], test["worse"], test["n"]) == ("Distilled LFP", "SS-LFP", 2)
    # One minute of recording is enough to decode some of the movement from spikes.
    assert all(b["r2"] > 0.2 for b in results["baselines"] if b["method"] == "Ridge on spikes")


def test_finished_sweep_run_again_does_nothing(finished_sweep):
    before = {p: p.stat().st_mtime_ns for p in (finished_sweep / "runs" / "jobs").rglob("*")}
    again = raydistill("sweep", "sweep.yaml", cwd=finished_sweep, check=0)
    assert {p: p.stat().st_mtime_ns for p in (finished_sweep / "runs" / "jobs").rglob("*")} == before
    assert "training on" not in again.stderr and "Distilled" in again.stdout


def test_finished_sweep_plan_has_the_documented_shape(finished_sweep):
    plan = read_json("plan", "sweep.yaml", cwd=finished_sweep)
    assert plan["counts"] == {"done": 11, "missing": 0, "stale": 0, "failed": 0}
    fields = {"key", "name", "kind", "method", "session", "seed", "state", "reason", "depends_on", "estimated_s"}
    for job in plan["jobs"]:
        assert set(job) == (fields if job["kind"] == "baseline" else fields | {"parameters"})
    by_name = {job["name"]: job for job in plan["jobs"]}
    assert by_name["distilled/S1_02/seed0"]["depends_on"] == [by_name["teacher/S1_02/seed0"]["key"]]


def test_sweeps_planned_together_count_what_they_share_once(finished_sweep, tmp_path):
    more = tmp_path / "more.yaml"
    text = (finished_sweep / "sweep.yaml").read_text().replace("name: small", "name: more")
    more.write_text(
        text.replace("methods: {", "  ss_spikes: {train: spikes, each: held_out}\nmethods: {SS-Spike: ss_spikes, ")
    )
    plan = read_json("plan", "sweep.yaml", more, cwd=finished_sweep)
    assert plan["counts"] == {"done": 11, "missing": 2, "stale": 0, "failed": 0}
    lines = raydistill("plan", "sweep.yaml", more, cwd=finished_sweep, check=0).stdout.splitlines()
    assert len(lines) == 1 + 13 + 1 + 1 + 1 and lines[-3].startswith("done jobs are made by raydistill ")
    assert lines[-2] == "protocol: corrected"
    assert lines[-1].startswith("13 jobs: 11 done, 2 missing; about ")


def test_changed_value_makes_its_jobs_stale_with_a_reason(finished_sweep):
    plan = read_json("plan", "sweep.yaml", "--set", "jobs.ss_lfp.training.epochs=11", cwd=finished_sweep)
    stale = {job["name"]: job["reason"] for job in plan["jobs"] if job["state"] == "stale"}
    assert stale == {f"ss_lfp/{s}/seed0": "training.epochs 10 -> 11" for s in ("S1_02", "S2_02")}


def test_sweep_with_overrides_is_a_variant_and_leaves_the_results_of_the_file_alone(finished_sweep, tmp_path):
    from mlflow import MlflowClient

    shutil.copytree(finished_sweep, tmp_path / "copy")
    folder, override = tmp_path / "copy", "compare=SS-LFP > MS-Spike"  # the same jobs, so that nothing has to run
    base = folder / "runs" / "sweeps" / "small"
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    done = raydistill("sweep", "sweep.yaml", "--set", override, cwd=folder, check=0)
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    (variant,) = [path for path in base.parent.iterdir() if path.is_dir() and path != base]
    assert variant.name.startswith("small+") and f"results and figures   {variant.relative_to(folder)}" in done.stderr
    assert f"note: {variant.name} is small with --set {override}" in done.stdout
    assert "results sweep.yaml --json '--set=compare=SS-LFP > MS-Spike'" in done.stderr
    (test,) = json.loads((variant / "results.json").read_text())["tests"]
    assert test["better"] == "SS-LFP"
    (test,) = read_json("results", "sweep.yaml", cwd=folder)["tests"]
    assert test["better"] == "Distilled LFP"
    client = MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    names = {experiment.name for experiment in client.search_experiments()}
    assert {"small", variant.name} <= names


def test_damaged_results_of_a_finished_sweep_are_written_again(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    results = tmp_path / "copy" / "runs" / "sweeps" / "small" / "results.json"
    before = results.read_bytes()
    results.write_bytes(before.replace(b'"r2": ', b'"r2": 9', 1))
    raydistill("sweep", "sweep.yaml", cwd=tmp_path / "copy", check=0)
    assert results.read_bytes() == before


def test_sweep_over_another_store_of_the_same_recordings_reuses_every_job(finished_sweep):
    other = read_json("plan", "sweep.yaml", "--set", "name=other", cwd=finished_sweep)
    assert other["counts"]["done"] == 11


def test_tracked_sweep_has_parent_table_and_children(finished_sweep):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished_sweep / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    (parent,) = [r for r in runs if r not in children]
    methods = {r.info.run_name for r in children if "raydistill.method" in r.data.tags}
    assert methods == {"Distilled LFP", "MS-Spike", "SS-LFP", "Ridge on spikes", "Ridge on LFP"}
    assert len(children) == 11 + len(methods) and {r.info.status for r in runs} == {"FINISHED"}
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parent.info.run_id}
    (teacher,) = [r for r in children if r.info.run_name == "teacher/S1_02/seed0"]
    tags = {"stage": "finetune", "subject": "S1", "protocol": "corrected"}
    assert tags.items() <= teacher.data.tags.items()
    params = {"method": "MS-Spike", "session": "S1_02", "seed": "0", "training.epochs": "10"}
    assert params.items() <= teacher.data.params.items() and "training.decay" not in teacher.data.params
    distilled = client.search_runs([experiment.experiment_id], "tags.stage = 'distill' and params.session = 'S1_02'")
    assert [run.info.run_name for run in distilled] == ["distilled/S1_02/seed0"]
    (data,) = teacher.inputs.dataset_inputs
    assert data.dataset.name == "S1_02" and len(data.dataset.digest) == 36
    assert "R2" in teacher.data.metrics
    assert len(client.get_metric_history(teacher.info.run_id, "training/valid_loss")) == 10
    names = {a.path for a in client.list_artifacts(parent.info.run_id)}
    assert {"results.json", "figures"} <= names
    figures = {Path(a.path).stem for a in client.list_artifacts(parent.info.run_id, "figures")}
    assert figures == {"session_dots", "paired_differences", "trajectories", "tsne", "learning_curves"}


def test_sessions_and_inspect_show_the_store(finished_sweep):
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    sessions = read_json("sessions", "--store", store, cwd=finished_sweep)
    assert [s["session"] for s in sessions] == ["S1_01", "S1_02", "S2_01", "S2_02"]
    columns = (
        "session subject dataset bin_width_ms n_segments n_bins n_units n_channels behavior splits recorded_bins unused"
    )
    columns += " unused_bins unused_percent gap_bins region arrays draws"
    assert all(set(s) == set(columns.split()) for s in sessions)
    raydistill("inspect", "S1_01", "--store", store, "--out", "picture.png", cwd=finished_sweep, check=0)
    assert (finished_sweep / "picture.png").read_bytes().startswith(b"\x89PNG")

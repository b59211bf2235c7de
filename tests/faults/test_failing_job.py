"""A job that fails stops what depends on it and nothing else."""

import shutil

from ..commands import raydistill, read_json


def test_failing_teacher_stops_its_students_and_nothing_else(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    folder = tmp_path / "copy"
    hopeless = ("--set", "jobs.teacher.training.learning_rate=1e12", "--set", "jobs.ss_lfp.training.epochs=2")
    done = raydistill("sweep", "sweep.yaml", *hopeless, cwd=folder, check=1)
    assert "Traceback" not in done.stderr
    jobs = {job["name"]: job for job in read_json("plan", "sweep.yaml", *hopeless, cwd=folder)["jobs"]}
    for session in ("S1_02", "S2_02"):
        assert jobs[f"teacher/{session}/seed0"]["state"] == "failed"
        assert "lower `learning_rate`" in jobs[f"teacher/{session}/seed0"]["reason"]
        assert jobs[f"distilled/{session}/seed0"]["reason"] == f"needs teacher/{session}/seed0, which failed"
        assert jobs[f"ss_lfp/{session}/seed0"]["state"] == "done"
    results = read_json("results", "sweep.yaml", *hopeless, cwd=folder)
    assert len(results["failed"]) == 4 and {s["method"] for s in results["scores"]} == {"SS-LFP"}
    assert results["tests"][0]["n"] == 0


def test_truncated_file_of_a_job_makes_that_job_alone_missing(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    jobs = {job["name"]: job for job in read_json("plan", "sweep.yaml", cwd=tmp_path / "copy")["jobs"]}
    weights = tmp_path / "copy" / "runs" / "jobs" / jobs["ss_lfp/S1_02/seed0"]["key"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    plan = read_json("plan", "sweep.yaml", cwd=tmp_path / "copy")
    (damaged,) = [job for job in plan["jobs"] if job["state"] != "done"]
    assert damaged["name"] == "ss_lfp/S1_02/seed0" and "damaged" in damaged["reason"]

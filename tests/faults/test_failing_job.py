"""A failed job stops only the jobs that depend on it; a damaged job is rerun without any other."""

import shutil

from tests.commands import raydistill, read_json


def test_failing_teacher_stops_only_its_students(finished_sweep, tmp_path):
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
    key = jobs["teacher/S1_02/seed0"]["key"]
    log = folder / "runs" / "jobs" / key / "error.log"
    assert "TrainingError" in log.read_text()
    assert f"to run only this job: raydistill run {key[:12]} --runs " in done.stderr
    single = raydistill("run", key[:12], cwd=folder, check=2)
    assert "lower `learning_rate`" in single.stderr and "Traceback" not in single.stderr
    assert len(results["failed"]) == 4 and {s["method"] for s in results["scores"]} == {"SS-LFP"}
    assert results["tests"][0]["n"] == 0


def test_truncated_file_of_a_job_makes_only_that_job_missing(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    jobs = {job["name"]: job for job in read_json("plan", "sweep.yaml", cwd=tmp_path / "copy")["jobs"]}
    weights = tmp_path / "copy" / "runs" / "jobs" / jobs["ss_lfp/S1_02/seed0"]["key"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    plan = read_json("plan", "sweep.yaml", cwd=tmp_path / "copy")
    (damaged,) = [job for job in plan["jobs"] if job["state"] != "done"]
    assert damaged["name"] == "ss_lfp/S1_02/seed0" and "damaged" in damaged["reason"]

    raydistill("run", damaged["key"][:12], cwd=tmp_path / "copy", check=0)
    assert weights.read_bytes() == (finished_sweep / weights.relative_to(tmp_path / "copy")).read_bytes()
    assert all(job["state"] == "done" for job in read_json("plan", "sweep.yaml", cwd=tmp_path / "copy")["jobs"])


def test_changed_value_of_a_teacher_makes_its_students_stale_too(finished_sweep):
    changed = ("--set", "jobs.teacher.training.epochs=11")
    plan = read_json("plan", "sweep.yaml", *changed, cwd=finished_sweep)
    reasons = {job["name"].partition("/")[0]: job["reason"] for job in plan["jobs"] if job["state"] == "stale"}
    assert reasons == {"teacher": "training.epochs 10 -> 11", "distilled": "a job that it starts from has changed"}
    assert plan["counts"] == {"done": 7, "missing": 0, "stale": 4, "failed": 0}

"""SIGKILL of the driver in the fan-out: the same command completes with the same result to the last digit."""

import shutil

from tests.commands import raydistill, read_json, start, wait_until
from tests.faults.killing_driver import answer, assert_every_point_once, kill


def jobs_by_name(folder, runs):
    plan = read_json("plan", "sweep.yaml", "--runs", runs, cwd=folder)
    return {job["name"]: job for job in plan["jobs"]}


def test_driver_killed_in_the_fan_out_ends_with_the_same_result(finished_sweep, tmp_path):
    shutil.copy(finished_sweep / "sweep.yaml", tmp_path)
    jobs = jobs_by_name(finished_sweep, "runs")
    folder = lambda name: tmp_path / "runs" / "jobs" / jobs[name]["key"]  # noqa: E731
    # Copied, because only the fan-out is to be disturbed.
    for part in ("recordings", "stores", f"jobs/{jobs['ms_spike/seed0']['key']}"):
        shutil.copytree(finished_sweep / "runs" / part, tmp_path / "runs" / part)

    process = start("sweep", "sweep.yaml", cwd=tmp_path)
    wait_until(lambda: (folder("teacher/S1_02/seed0") / "_SUCCESS").exists(), process)
    kill(process)
    between = jobs_by_name(tmp_path, "runs")
    done = {name for name, job in between.items() if job["state"] == "done"}
    assert {"ms_spike/seed0", "teacher/S1_02/seed0"} <= done < set(between)
    marked_at = {name: (folder(name) / "_SUCCESS").stat().st_mtime_ns for name in done}

    raydistill("sweep", "sweep.yaml", cwd=tmp_path, check=0)
    assert {name: (folder(name) / "_SUCCESS").stat().st_mtime_ns for name in done} == marked_at
    assert answer(tmp_path) == answer(finished_sweep)
    name = "distilled/S2_02/seed0"
    undisturbed = finished_sweep / "runs" / "jobs" / jobs[name]["key"]
    for file in ("model.safetensors", "history.jsonl"):
        assert (folder(name) / file).read_bytes() == (undisturbed / file).read_bytes(), file
    assert_every_point_once(tmp_path / "runs" / "mlflow.db", len(jobs))

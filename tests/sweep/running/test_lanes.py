"""A pretraining that leaves room on the machine, and jobs that do not depend on it."""

from tests.commands import SWEEP, raydistill, read_json


def ended(runs, job):
    """Unix time at which a job's folder was complete."""
    return (runs / "jobs" / job / "_SUCCESS").stat().st_mtime


def test_jobs_run_during_a_pretraining_that_leaves_room(tmp_path):
    text = SWEEP.replace("workers: 2", "workers: 1").replace("pretraining: {epochs: 20}", "pretraining: {epochs: 200}")
    (tmp_path / "sweep.yaml").write_text(text)
    done = raydistill("sweep", "sweep.yaml", "--device", "cpu", cwd=tmp_path, check=0)
    jobs = {job["name"]: job["key"] for job in read_json("plan", "sweep.yaml", cwd=tmp_path)["jobs"]}
    pretrained = ended(tmp_path / "runs", jobs["ms_spike/seed0"])
    independent = [key for name, key in jobs.items() if name.startswith(("ss_lfp/", "ridge"))]
    assert independent and all(ended(tmp_path / "runs", key) < pretrained for key in independent)
    assert all(ended(tmp_path / "runs", key) > pretrained for name, key in jobs.items() if name.startswith("teacher/"))
    assert done.stderr.count("done ") == len(jobs)

"""A pretraining that leaves room on the machine, and jobs that do not depend on it."""

from raydistill.training.history import read_history
from tests.commands import SWEEP, raydistill, read_json
from tests.sweep.tiny_sweep import SWEEP as TINY


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


def test_pretrainings_that_fill_the_machine_run_at_the_same_time_if_no_other_job_can(tmp_path):
    """With `workers: 1` each, two of them fill a machine of two cores."""
    more = "  ms_lfp: {pretrain: lfp, on: pretraining, workers: 1}\n  student: {finetune: ms_lfp, each: held_out}\n"
    text = TINY.replace("workers: 2}\n", "workers: 1}\n" + more).replace("{epochs: 3}", "{epochs: 150, patience: 150}")
    text = text.replace("Distilled LFP: distilled", "Distilled LFP: distilled, MS-LFP: student")
    (tmp_path / "sweep.yaml").write_text(text.replace("[ridge_on_lfp, ridge_on_spikes]", "[]"))
    raydistill("sweep", "sweep.yaml", "--device", "cpu", cwd=tmp_path, check=0)
    jobs = {job["name"]: job["key"] for job in read_json("plan", "sweep.yaml", cwd=tmp_path)["jobs"]}
    epochs = [read_history(tmp_path / "runs/jobs" / jobs[f"{name}/seed0"]) for name in ("ms_spike", "ms_lfp")]
    (first, first_end), (second, second_end) = ((lines[0]["time"], lines[-1]["time"]) for lines in epochs)
    assert max(first, second) < min(first_end, second_end)

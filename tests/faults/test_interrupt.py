"""Ctrl-C in the fan-out: the sweep ends at once with 130, leaves no process and keeps the finished jobs."""

import os
import shutil
import signal

from tests.commands import read_json, start, wait_until
from tests.faults.killing import descendants
from tests.faults.killing_driver import done_jobs


def test_interrupted_sweep_stops_its_workers_and_keeps_its_finished_jobs(finished_sweep, tmp_path):
    for part in ("sweep.yaml", "runs"):
        copy = shutil.copytree if (finished_sweep / part).is_dir() else shutil.copy
        copy(finished_sweep / part, tmp_path / part)
    endless = "jobs.teacher.training.epochs=100000", "jobs.teacher.training.patience=100000"
    longer = [word for value in endless for word in ("--set", value)]
    before = done_jobs(tmp_path)
    process = start("sweep", "sweep.yaml", *longer, cwd=tmp_path)
    wait_until(lambda: any("ImplicitFunc" in title for title in descendants(process.pid).values()), process)
    wait_until(lambda: list(tmp_path.glob("runs/jobs/*/checkpoints/epoch-*")), process)
    workers = descendants(process.pid)

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(60) == 130
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe")]
    assert done_jobs(tmp_path).items() >= before.items()
    plan = read_json("plan", "sweep.yaml", *longer, cwd=tmp_path)
    reasons = {job["name"]: job["reason"] for job in plan["jobs"] if job["state"] != "done"}
    assert any(reason.startswith("continues after epoch") for reason in reasons.values()), reasons
    assert {name.partition("/")[0] for name in reasons} == {"teacher", "distilled"}

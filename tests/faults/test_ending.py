"""A sweep that is ended before its time, or loses a worker: one line, no process left, and the same result later."""

import os
import signal

import pytest

from tests.commands import read_json, start, wait_until
from tests.faults.ending import ENDLESS, EVENTS, MOMENTS, end, lines_of, prepare, titled
from tests.faults.killing_driver import done_jobs

MIDDLE = "jobs on one session run"


@pytest.mark.parametrize(
    ("event", "moment"),
    [("SIGTERM", "recordings are made"), ("GCS server killed", "a model is pretrained"), ("Ctrl-C", MIDDLE)],
)
def test_sweep_ended_before_its_time_prints_one_line_and_leaves_no_process(finished_sweep, tmp_path, event, moment):
    cause, code = EVENTS[event]
    arguments = prepare(tmp_path, finished_sweep, moment)
    before = done_jobs(tmp_path)
    ending = end(tmp_path, arguments, moment, cause)
    assert (ending.code, ending.left, ending.lines[1:]) == (code, {}, []), ending
    (line,) = ending.lines
    assert line.startswith("raydistill: ") and line.endswith("run the same command again to continue")
    assert ending.run_status == ("KILLED" if moment != "recordings are made" else "")
    assert done_jobs(tmp_path).items() >= before.items()
    if moment == MIDDLE:
        plan = read_json("plan", *arguments[1:], cwd=tmp_path)
        reasons = {job["name"]: job["reason"] for job in plan["jobs"] if job["state"] != "done"}
        assert any(reason.startswith("continues after epoch") for reason in reasons.values()), reasons
        assert {name.partition("/")[0] for name in reasons} == {"teacher", "distilled"}


def test_job_whose_worker_is_lost_is_started_again_with_one_line(finished_sweep, tmp_path):
    command = prepare(tmp_path, finished_sweep, MIDDLE)
    arguments = tuple(word if word not in ENDLESS else word.replace("100000", "60") for word in command)
    process = start(*arguments, "--only", "MS-Spike", "--sessions", "S1_*", cwd=tmp_path)
    wait_until(lambda: MOMENTS[MIDDLE](tmp_path, process), process)
    for worker in titled(process, "ImplicitFunc"):
        os.kill(worker, signal.SIGKILL)
    assert process.wait(300) == 0
    lost = [line for line in lines_of(tmp_path) if line.startswith("lost    ")]
    assert len(lost) == 1 and "teacher/S1_02/seed0" in lost[0] and "started again (1)" in lost[0]
    events = lines_of(tmp_path)[: lines_of(tmp_path).index("drawing figures")]
    # the plan, the stage, the loss, the job that is done, and the cost
    assert len(events) == 5, events
    assert "Traceback" in (tmp_path / "runs" / "ray.log").read_text()

"""Progress without a terminal: a line per job that ends, with what is left and how long it will take."""

import io

from rich.console import Console

from raydistill.sweep.planning.job import MISSING
from raydistill.sweep.planning.plan import Plan, Planned
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.progress import SweepProgress
from tests.sweep.running.test_queue import JOBS


def missing(jobs):
    return tuple(Planned(job=j, state=MISSING, reason="", estimated_s=90, work=1.0) for j in jobs)


def test_progress_prints_each_job_and_the_time_left(tmp_path):
    times = iter([0.0, 0.0, 30.0, 60.0, 60.0])
    out = io.StringIO()
    jobs = JOBS[:3]
    with SweepProgress(
        RunsFolder(tmp_path), Console(file=out, width=200), clock=lambda: next(times), at_once=1
    ) as progress:
        progress.plan(Plan(sweep="s", protocol="corrected", planned=missing(jobs)))
        progress.succeed(jobs[0], {"r2": 0.5, "seconds": 29.0})
        progress.fail(jobs[1], "boom")
    lines = out.getvalue().splitlines()
    # A fifth of the estimated 270 s counts as measured: (30 + 54) s for (90 + 54) s of work,
    # and 180 s are left after the first job.
    assert lines[0] == "3 jobs: 0 done, 3 to run, about 4 core-minutes"
    assert "done    a" in lines[1] and "R²  0.500  29.0 s  (2 left, 1 min 45 s)" in lines[1]
    assert "failed  b" in lines[2] and "boom  (1 left, 44 s)" in lines[2]


def test_progress_on_a_terminal_leaves_nothing_behind(tmp_path):
    out = io.StringIO()
    with SweepProgress(RunsFolder(tmp_path), Console(file=out, force_terminal=True, width=80)) as progress:
        progress.plan(Plan(sweep="s", protocol="corrected", planned=missing(JOBS)))
        progress.stage("jobs on one session")
        progress.fail(JOBS[0], "boom")
    assert "done    " not in out.getvalue() and "jobs on one session" in out.getvalue()

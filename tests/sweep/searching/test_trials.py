"""Small searches in Ray: failed points and finished jobs."""

import io
import json

import pytest
from rich.console import Console

from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.searching.driver import run_search
from tests.sweep.searching.small_search import SmallSearch

GRID = "{training.learning_rate: [0.003, 1.0e+30]}"


@pytest.fixture
def small(tmp_path, local_ray):
    return SmallSearch(tmp_path)


def run(small, *lines, space=GRID):
    """The result of the search, and what was printed while it ran."""
    search, printed = small.searched(space, "sampler: grid", *lines).search, io.StringIO()
    runs = RunsFolder(small.runs)
    with SweepProgress(runs, Console(file=printed)) as progress:
        return run_search(search, runs, progress, RunOptions()), printed.getvalue()


def histories(small):
    """The epochs in the history of each job."""
    files = small.runs.glob("jobs/*/history.jsonl")
    return [[json.loads(line)["epoch"] for line in file.read_text().splitlines()] for file in files]


def test_failed_point_is_reported_once_and_tried_again_by_the_next_run(small):
    for _ in range(2):
        result, printed = run(small)
        (failed,) = result.failed
        assert failed.values == {"training.learning_rate": 1e30} and "is not finite" in failed.cause
        assert printed.count("failed: ") == 1 and result.exhausted and result.trials == 1
    assert result.default.values == result.best.values == {"training.learning_rate": 0.003}
    assert [0, 1, 2] in histories(small)


def test_new_study_of_finished_jobs_runs_no_epoch_again_and_stops_none_early(small):
    space = "{model.layers: [1, 2], model.dropout: [0.0, 0.1]}"
    first, _ = run(small, "halving: null", space=space)
    times = [file.stat().st_mtime_ns for file in small.runs.glob("jobs/*/history.jsonl")]
    again, printed = run(small, "halving: {first: 1, part: 4}", space=space)
    assert again.taken_over == 4 and "takes over 4 of the 4 trials" in printed
    assert (again.best, again.trials, again.stopped) == (first.best, 4, 0)
    (small.runs / "search" / "small" / "optuna.db").unlink()
    fresh, _ = run(small, "halving: {first: 1, part: 4}", space=space)  # finished jobs have no scores at rungs
    assert (fresh.best, fresh.trials, fresh.stopped, fresh.taken_over) == (first.best, 4, 0, 0)
    assert [file.stat().st_mtime_ns for file in small.runs.glob("jobs/*/history.jsonl")] == times

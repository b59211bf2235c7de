"""A search: its trials on disk, its best values as a file for a sweep to include, and a search that was killed."""

import io
import os
import shutil
import signal
import sqlite3

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from raydistill.config.load import read_yaml
from raydistill.sweep.config.search import load_search
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.searching.driver import run_search
from raydistill.sweep.searching.study import REPEATS, VALUES
from tests.commands import read_json, start, wait_until

SEARCH = """name: search_ss_lfp
sweep: sweep.yaml
job: ss_lfp
trials: 5
sampler: random
space:
  training.learning_rate: {low: 0.0003, high: 0.03, log: true}
  model.layers: [1, 2]
halving: {first: 2, part: 2}
"""


@pytest.fixture(scope="module")
def searched(finished_sweep, tmp_path_factory, local_ray):
    """A folder with a finished search, and the result of the search."""
    folder = tmp_path_factory.mktemp("searched") / "copy"
    shutil.copytree(finished_sweep, folder)
    (folder / "search.yaml").write_text(SEARCH)
    return folder, search(folder)


def search(folder):
    """The result of a search as JSON."""
    config = load_search(folder / "search.yaml")
    runs = RunsFolder(folder / "runs")
    with SweepProgress(runs, Console(file=io.StringIO())) as progress:
        return run_search(config, runs, progress, RunOptions()).to_json()


def trials_of(folder):
    """The trials of the only study of the search."""
    storage = f"sqlite:///{folder / 'runs' / 'search' / 'search_ss_lfp' / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(storage)
    return [t for t in optuna.load_study(study_name=name, storage=storage).trials if REPEATS not in t.user_attrs]


def test_search_result_is_at_least_as_good_on_validation_as_the_default_values(searched):
    folder, result = searched
    assert result["trials"] == 5 and not result["failed"]
    assert result["default"]["values"] == {"training.learning_rate": 0.003, "model.layers": 2}
    assert result["best"]["valid_r2"] >= result["default"]["valid_r2"]
    trials = trials_of(folder)
    assert len(trials) == 5 and trials[0].params == result["default"]["values"]
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    assert result["best"]["valid_r2"] == max(t.value for t in complete)
    assert all(t.user_attrs["epoch"] == 10 for t in complete)
    assert trials[0].intermediate_values == {}  # the sweep ran its jobs, without scores at rungs
    assert all(set(t.intermediate_values) == {2, 4, 8} for t in complete[1:])
    for name in ("parallel_coordinates.png", "parallel_coordinates.csv", "results.json"):
        assert (folder / "runs" / "search" / "search_ss_lfp" / name).stat().st_size > 100


def test_search_run_again_gives_the_same_result(searched):
    folder, result = searched
    assert search(folder) == result


def test_best_values_are_a_file_whose_jobs_are_done_for_a_sweep(searched):
    folder, result = searched
    best = read_yaml(result["file"])["jobs"]["ss_lfp"]
    assert best["training"]["learning_rate"] == result["best"]["values"]["training.learning_rate"]
    own = "\n".join(line for line in (folder / "sweep.yaml").read_text().splitlines() if "ss_lfp: {" not in line)
    (folder / "better.yaml").write_text(own + f"\ninclude: {result['file']}\n")
    jobs = {job["name"]: job["state"] for job in read_json("plan", "better.yaml", cwd=folder)["jobs"]}
    assert {state for name, state in jobs.items() if name.startswith("ss_lfp")} == {"done"}


def test_trials_are_in_mlflow_once(searched):
    folder, _ = searched
    with sqlite3.connect(folder / "runs" / "mlflow.db") as db:
        trials = db.execute(
            "select value from tags where key='raydistill.job' and value like 'search_ss_lfp%'"
        ).fetchall()
    assert len(trials) == len(set(trials)) == 5


def test_search_of_a_pretraining_can_minimise_parameters_too(finished_sweep, tmp_path, local_ray):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    text = SEARCH.replace("job: ss_lfp", "job: ms_spike\nobjectives: [valid_r2, parameters]").replace("5", "3")
    (tmp_path / "copy" / "search.yaml").write_text(text)
    result = search(tmp_path / "copy")
    assert (
        result["trials"] == 3 and not result["failed"] and result["best"]["valid_r2"] >= result["default"]["valid_r2"]
    )
    whole = [t for t in trials_of(tmp_path / "copy") if t.state == TrialState.COMPLETE]
    assert all(t.values == [t.user_attrs["valid_r2"], t.user_attrs["parameters"]] for t in whole)
    assert len({t.user_attrs["parameters"] for t in trials_of(tmp_path / "copy")}) == 2  # of one layer and of two
    front = [(point["parameters"], point["valid_r2"]) for point in result["front"]]
    assert front == sorted(front) and front[-1][1] == result["best"]["valid_r2"]
    assert set(front) <= {(t.user_attrs["parameters"], t.user_attrs["valid_r2"]) for t in whole}
    assert (tmp_path / "copy" / "runs" / "search" / "search_ss_lfp" / "pareto_front.png").stat().st_size > 100


def test_search_killed_during_trials_repeats_the_interrupted_ones(finished_sweep, tmp_path):
    shutil.copytree(finished_sweep, tmp_path / "copy")
    folder = tmp_path / "copy"
    (folder / "search.yaml").write_text(SEARCH)
    process = start("search", "search.yaml", cwd=folder)
    log = folder / "log.txt"
    wait_until(lambda: log.exists() and "trial 0" in log.read_text(), process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {t.number: t.params for t in trials_of(folder) if t.state in (TrialState.COMPLETE, TrialState.PRUNED)}
    # The kill may have come before a trial had its point.
    cut_off = [
        t.user_attrs[VALUES] for t in trials_of(folder) if t.state == TrialState.RUNNING and VALUES in t.user_attrs
    ]
    result = read_json("search", "search.yaml", cwd=folder)
    after = trials_of(folder)
    whole = {t.number: t.params for t in after if t.state in (TrialState.COMPLETE, TrialState.PRUNED)}
    assert len(whole) == 5 and before.items() <= whole.items() and not result["failed"]
    tried = [t.user_attrs[VALUES] for t in after if t.number in whole]
    assert all(values in tried for values in cut_off)


def test_search_gives_the_same_values_and_scores_when_each_trial_starts_from_finished_jobs(searched, tmp_path):
    folder, result = searched
    shutil.copytree(folder, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "runs" / "search")
    again = search(tmp_path / "again")  # every job is done or paused at a rung, where its score was kept
    assert again["trials"] == 5 and again["default"] == result["default"]
    for trial in trials_of(tmp_path / "again"):
        earlier = next(t for t in trials_of(folder) if t.params == trial.params)
        assert trial.intermediate_values.items() <= earlier.intermediate_values.items() or earlier.state != trial.state

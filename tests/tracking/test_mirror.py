"""MLflow holds every job of a sweep once, whenever and however often it is logged."""

import contextlib
import dataclasses
import json
import math
import shutil
import sqlite3

import pytest
from mlflow import MlflowClient

from raydistill.tracking.child_runs import CAUSE, FIRST_RUN, JOB, METHOD, NOTE
from raydistill.tracking.job import TrackedJob
from raydistill.tracking.mirror import SWEEP, Ending, Mirror, SweepRecord
from raydistill.tracking.views import JOBS, METHODS, tag_of

FINGERPRINT = "f" * 64
EPOCHS = 40


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("the runs")


@pytest.fixture
def sweep(request):
    return request.node.name


@pytest.fixture
def mirror(runs, sweep):
    return open_sweep(runs, sweep)


def open_sweep(runs, sweep, fingerprint=FINGERPRINT, params=None):
    return Mirror(runs, SweepRecord(sweep, fingerprint, params or {"preset": "tiny"}, {"protocol": "corrected"}))


def a_job(key, *, shift=0.0, **other):
    history = [
        {
            "epoch": e,
            "time": 1.7e9 + 0.37 * e + shift,
            "train_loss": 1 / (e + 1),
            "valid_loss": 2 / (e + 1),
            "rate": 1e-3,
        }
        for e in range(EPOCHS)
    ]
    given = {"history": history, "metrics": {"r2": 0.5}, "params": {"model.width": 64}, "tags": {"method": "SS-LFP"}}
    return TrackedJob(key=key, name=f"ss_lfp {key}", **given | other)


def client_of(runs):
    return MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")


def rows(runs, run_id):
    """The rows of a run in the metrics table, one per point."""
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database:
        return database.execute("SELECT key, step, timestamp FROM metrics WHERE run_uuid = ?", (run_id,)).fetchall()


def children(runs, parent):
    experiments = [e.experiment_id for e in client_of(runs).search_experiments()]
    return client_of(runs).search_runs(experiments, f"tags.`mlflow.parentRunId` = '{parent}'")


def test_job_logged_while_it_runs_has_no_point_twice(runs, mirror, sweep):
    whole = a_job(sweep, sessions={"monkey_01": "c" * 64})
    part = lambda n: dataclasses.replace(whole, history=whole.history[:n], metrics={})  # noqa: E731
    run_id = mirror.jobs.running(part(0))
    assert mirror.jobs.running(part(3)) == run_id and len(rows(runs, run_id)) == 9
    assert client_of(runs).get_run(run_id).info.status == "RUNNING"
    again = open_sweep(runs, sweep)  # the driver was killed, and the epochs since the checkpoint are repeated
    again.jobs.running(part(2))
    again.jobs.running(part(5))
    assert again.jobs.ended(whole, "FINISHED") == run_id == again.jobs.ended(whole, "FINISHED")
    points = rows(runs, run_id)
    assert len({(key, step) for key, step, _ in points}) == len(points) == 3 * EPOCHS + 1
    assert [c.info.status for c in children(runs, client_of(runs).get_run(run_id).data.tags["mlflow.parentRunId"])] == [
        "FINISHED"
    ]


def test_job_that_fails_after_it_was_logged_keeps_its_curves(runs, mirror, sweep):
    run_id = mirror.jobs.running(a_job(sweep))
    assert mirror.jobs.ended(a_job(sweep, metrics={}), "FAILED", "lost") == run_id
    run = client_of(runs).get_run(run_id)
    assert run.info.status == "FAILED" and run.data.tags[CAUSE] == "lost"
    assert mirror.jobs.running(a_job(sweep)) != run_id  # tried again


def test_job_finished_becomes_child_with_curves_at_the_times_of_its_history(runs, mirror, sweep):
    run_id = mirror.jobs.ended(a_job(sweep, sessions={"monkey_01": "c" * 64}), "FINISHED")
    run = client_of(runs).get_run(run_id)
    assert run.data.params == {"model.width": "64"}
    assert run.data.tags["method"] == "SS-LFP" and run.data.tags[JOB] == sweep
    assert run.data.metrics["R2"] == 0.5
    assert (run.info.status, run.info.start_time, run.info.end_time) == (
        "FINISHED",
        1_700_000_000_000,
        1_700_000_014_430,
    )
    points = client_of(runs).get_metric_history(run_id, "training/valid_loss")
    assert [p.step for p in points] == list(range(EPOCHS))
    assert [p.timestamp for p in points] == [1_700_000_000_000 + 370 * e for e in range(EPOCHS)]
    assert [p.value for p in points] == [2 / (e + 1) for e in range(EPOCHS)]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("monkey_01", "c" * 36)


def test_job_logged_twice_is_one_run_without_a_second_point(runs, mirror, sweep):
    first = mirror.jobs.ended(a_job(sweep), "FINISHED")
    before = rows(runs, first)
    resumed = open_sweep(runs, sweep)
    assert resumed.jobs.ended(a_job(sweep), "FINISHED") == mirror.jobs.ended(a_job(sweep), "FINISHED") == first
    assert rows(runs, first) == before
    assert len(before) == len(set(before)) == 3 * EPOCHS + 1
    assert len(children(runs, resumed.run_id)) == 1


def test_job_logged_in_part_is_completed_without_a_second_point(runs, mirror, sweep, tmp_path):
    missing = tmp_path / "metrics.json"
    with pytest.raises(OSError):
        mirror.jobs.ended(a_job(sweep, artifacts=[missing]), "FINISHED")
    missing.write_text("{}")
    run_id = open_sweep(runs, sweep).jobs.ended(a_job(sweep, artifacts=[missing]), "FINISHED")
    assert client_of(runs).get_run(run_id).info.status == "FINISHED"
    assert [f.path for f in client_of(runs).list_artifacts(run_id)] == ["metrics.json"]
    assert len(rows(runs, run_id)) == len(set(rows(runs, run_id))) == 3 * EPOCHS + 1


def test_job_logged_with_half_its_points_is_completed_without_a_second_point(runs, mirror, sweep):
    run_id = mirror.jobs.ended(a_job(sweep), "FINISHED")
    whole = rows(runs, run_id)
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database, database:
        database.execute("DELETE FROM metrics WHERE run_uuid = ? AND step >= 23", (run_id,))
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (run_id,))
    assert len(rows(runs, run_id)) == 3 * 23
    assert open_sweep(runs, sweep).jobs.ended(a_job(sweep), "FINISHED") == run_id
    assert sorted(rows(runs, run_id)) == sorted(whole)


def test_job_rerun_with_another_outcome_replaces_its_child(runs, mirror, sweep):
    old = mirror.jobs.ended(a_job(sweep), "FINISHED")
    new = open_sweep(runs, sweep).jobs.ended(a_job(sweep, shift=1000.0), "FINISHED")
    assert new != old
    assert [run.info.run_id for run in children(runs, mirror.run_id)] == [new]
    assert len(rows(runs, new)) == 3 * EPOCHS + 1


def test_job_with_more_points_than_one_request_allows_keeps_them_all(runs, mirror, sweep):
    history = [{"epoch": e, "time": 1.7e9 + e, "loss": e, "rate": 1.0} for e in range(1100)]
    run_id = mirror.jobs.ended(
        a_job(sweep, history=history, metrics={}, params={f"p{i}": i for i in range(150)}), "FINISHED"
    )
    assert len(rows(runs, run_id)) == 2200
    assert len(client_of(runs).get_run(run_id).data.params) == 150


def test_job_with_nan_null_and_unusual_names_is_logged_once(runs, mirror, sweep):
    history = [{"epoch": 0, "time": 1.7e9, "loss": math.nan, "valid": None, "r2 (x, cm²)": 0.25}]
    job = a_job(sweep, history=history, metrics={"loss": math.nan})
    run_id = mirror.jobs.ended(job, "FINISHED")
    assert open_sweep(runs, sweep).jobs.ended(job, "FINISHED") == run_id
    last = client_of(runs).get_run(run_id).data.metrics
    assert (
        math.isnan(last["training/loss"])
        and math.isnan(last["training/valid"])
        and last["training/r2 _x_ cm²_"] == 0.25
    )
    assert len(rows(runs, run_id)) == 3


def test_job_without_history_is_logged_once(runs, mirror, sweep):
    job = a_job(sweep, history=[], metrics={"r2": 0.25})
    run_id = mirror.jobs.ended(job, "FINISHED")
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (run_id,))
    assert open_sweep(runs, sweep).jobs.ended(job, "FINISHED") == run_id
    assert len(rows(runs, run_id)) == 1


def test_job_of_another_sweep_is_logged_with_a_link_instead_of_its_curves(runs, mirror, sweep):
    first = mirror.jobs.ended(a_job(sweep), "FINISHED")
    other = open_sweep(runs, f"{sweep} of another")
    linked = other.jobs.ended(a_job(sweep, tags={"method": "Distilled LFP"}), "FINISHED")
    run = client_of(runs).get_run(linked)
    assert run.data.tags[FIRST_RUN] == first and run.data.tags["method"] == "Distilled LFP"
    assert run.data.metrics == {"R2": 0.5} and run.data.params == {"model.width": "64"}
    assert FIRST_RUN not in client_of(runs).get_run(first).data.tags
    # A changed sweep file is another parent in the same experiment, and links to the same first run.
    changed = open_sweep(runs, sweep, "e" * 64).jobs.ended(a_job(sweep), "FINISHED")
    assert client_of(runs).get_run(changed).data.tags[FIRST_RUN] == first


def test_failed_job_names_its_cause_and_is_replaced_by_its_success(runs, mirror, sweep):
    failed = mirror.jobs.ended(a_job(sweep, metrics={}), "FAILED", "out of memory")
    run = client_of(runs).get_run(failed)
    assert run.info.status == "FAILED" and run.data.tags[CAUSE] == "out of memory"
    assert open_sweep(runs, sweep).jobs.ended(a_job(sweep, metrics={}), "FAILED", "out of memory") == failed
    finished = open_sweep(runs, sweep).jobs.ended(a_job(sweep), "FINISHED")
    (only,) = children(runs, mirror.run_id)
    assert (only.info.run_id, only.info.status) == (finished, "FINISHED") and CAUSE not in only.data.tags


def test_parent_of_resumed_sweep_is_the_same_run_running_again(runs, sweep):
    mirror = open_sweep(runs, sweep, params={"workers": 2})
    first = mirror.run_id
    mirror.end(Ending(status="KILLED"))
    assert client_of(runs).get_run(first).info.status == "KILLED"
    assert open_sweep(runs, sweep, params={"workers": 4}).run_id == first
    run = client_of(runs).get_run(first)
    assert (run.info.status, run.info.run_name, run.data.params) == (
        "RUNNING",
        f"{sweep}: answer and figures",
        {"workers": "2"},
    )
    assert open_sweep(runs, sweep, "e" * 64).run_id != first


def test_parent_in_a_deleted_experiment_restores_it(runs, mirror, sweep):
    client = client_of(runs)
    client.delete_experiment(client.get_experiment_by_name(sweep).experiment_id)
    run_id = open_sweep(runs, sweep).jobs.ended(a_job(sweep), "FINISHED")
    assert client.get_run(run_id).info.lifecycle_stage == "active"


def test_finish_again_replaces_table_documents_and_figures(runs, sweep, tmp_path, monkeypatch):
    figure = tmp_path / "scores.svg"
    for r2 in ([0.25, 0.5], [0.75, math.nan]):
        mirror = open_sweep(runs, sweep)
        run_id = mirror.run_id
        figure.write_text(f"<svg>{r2[0]}</svg>")
        mirror.end(
            Ending(
                table={"method": ["SS-LFP", "MS-LFP"], "r2": r2},
                documents={"statistics.json": {"p": r2[0]}},
                figures=[figure],
                metrics={"jobs": 2.0, "R2 best": r2[0]},
                status="FINISHED",
            )
        )
    client = client_of(runs)
    run = client.get_run(run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)  # load_table asks the global store for the run
    table = client.load_table(run.info.experiment_id, "results.json", [run_id])
    assert table["method"].tolist() == ["SS-LFP", "MS-LFP"]
    assert table["r2"][0] == 0.75 and math.isnan(table["r2"][1])
    folder = runs / "artifacts" / run_id / "artifacts"
    assert json.loads((folder / "statistics.json").read_text()) == {"p": 0.75}
    assert (folder / "figures" / "scores.svg").read_text() == "<svg>0.75</svg>"
    assert run.data.metrics == {"training/jobs": 2.0, "R2 best": 0.75} and run.info.status == "FINISHED"
    assert len(client.get_metric_history(run_id, "training/jobs")) == 1
    history = client.get_metric_history(run_id, "R2 best")
    assert [(p.step, p.value) for p in history] == [(0, 0.25), (1, 0.75)]  # no step has two values


def test_job_that_began_again_while_it_was_logged_has_the_points_of_its_last_attempt_only(runs, mirror, sweep):
    first, again = a_job(sweep), a_job(sweep, shift=1000.0)
    mirror.jobs.running(dataclasses.replace(first, history=first.history[:5], metrics={}))
    mirror.jobs.running(dataclasses.replace(again, history=again.history[:2], metrics={}))
    run_id = mirror.jobs.ended(again, "FINISHED")
    assert [c.info.run_id for c in children(runs, mirror.run_id)] == [run_id]
    points = rows(runs, run_id)
    assert len({(key, step) for key, step, _ in points}) == len(points) == 3 * EPOCHS + 1
    assert min(at for _, _, at in points) == 1_700_001_000_000


def test_names_that_mlflow_makes_equal_have_one_point(runs, mirror, sweep):
    history = [{"epoch": 0, "time": 1.7e9, "r2 (x)": 0.25, "r2 [x]": 0.5}]
    run_id = mirror.jobs.ended(a_job(sweep, history=history, metrics={}), "FINISHED")
    assert len(rows(runs, run_id)) == 1


def test_run_that_a_late_answer_left_is_removed_when_the_sweep_is_opened(runs, mirror, sweep):
    kept = mirror.jobs.ended(a_job(sweep), "FINISHED")
    client = client_of(runs)
    experiment = client.get_experiment_by_name(sweep).experiment_id
    tags = {JOB: sweep, "mlflow.parentRunId": mirror.run_id}
    client.create_run(experiment, start_time=1, tags=tags)
    client.create_run(experiment, start_time=1, tags={SWEEP: mirror.sweep.identity})
    assert open_sweep(runs, sweep).run_id == mirror.run_id
    assert {run.info.run_id for run in client.search_runs([experiment])} == {kept, mirror.run_id}


def test_artifacts_of_a_moved_folder_are_written_to_where_it_is_now(runs, mirror, sweep, tmp_path):
    before = mirror.jobs.ended(a_job(sweep), "FINISHED")
    moved = tmp_path / "moved"
    shutil.copytree(runs, moved)
    file = tmp_path / "job.json"
    file.write_text("{}")
    after = open_sweep(moved, sweep).jobs.ended(a_job("new", artifacts=[file]), "FINISHED")
    assert (moved / "artifacts" / after / "artifacts" / "job.json").exists()
    assert not (runs / "artifacts" / after).exists()
    assert client_of(moved).get_run(before).info.artifact_uri == f"{(moved / 'artifacts').as_uri()}/{before}/artifacts"


def test_experiment_that_somebody_else_made_gets_its_artifacts_inside_of_the_folder(runs, mirror, sweep, tmp_path):
    client_of(runs).create_experiment("planted", artifact_location=(tmp_path / "elsewhere").as_uri())
    file = tmp_path / "job.json"
    file.write_text("{}")
    run_id = open_sweep(runs, "planted").jobs.ended(a_job(sweep, artifacts=[file]), "FINISHED")
    assert (runs / "artifacts" / run_id / "artifacts" / "job.json").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_tag_given_to_a_job_that_is_logged_is_added_to_its_run(runs, mirror, sweep):
    run_id = mirror.jobs.ended(a_job(sweep), "FINISHED")
    noted = a_job(sweep, tags={"method": "SS-LFP", "figure": "3"})
    assert open_sweep(runs, sweep).jobs.ended(noted, "FINISHED") == run_id
    assert client_of(runs).get_run(run_id).data.tags["figure"] == "3"


def a_method(name, **metrics):
    return TrackedJob(key=name, name=name, params={"method": name}, tags={"stage": "method"}, metrics=metrics)


def end_with(mirror, *methods):
    mirror.end(Ending(status="FINISHED", methods=methods, note="see {run}"))


def methods_of(runs, mirror):
    """Method -> (id of its run, its metrics)."""
    found = [run for run in children(runs, mirror.run_id) if METHOD in run.data.tags]
    names = [run.data.tags[METHOD] for run in found]
    assert len(set(names)) == len(names) and {run.info.status for run in found} <= {"FINISHED"}
    return {name: (run.info.run_id, run.data.metrics) for name, run in zip(names, found, strict=True)}


def tags_of(runs, sweep):
    return client_of(runs).get_experiment_by_name(sweep).tags


def test_methods_have_one_run_each_which_follows_their_scores(runs, mirror, sweep):
    mirror.jobs.ended(a_job(sweep), "FINISHED")
    end_with(mirror, a_method("SS-LFP", R2=0.25), a_method("MS-LFP", R2=0.5))
    first = methods_of(runs, mirror)
    end_with(open_sweep(runs, sweep), a_method("SS-LFP", R2=0.25), a_method("MS-LFP", R2=0.5))
    assert methods_of(runs, mirror) == first  # nothing twice
    end_with(open_sweep(runs, sweep), a_method("SS-LFP", R2=0.75))
    (name, (run_id, metrics)), *others = methods_of(runs, mirror).items()
    assert (name, metrics, others) == ("SS-LFP", {"R2": 0.75}, []) and run_id != first["SS-LFP"][0]
    assert [JOB in run.data.tags for run in children(runs, mirror.run_id)].count(True) == 1
    assert client_of(runs).get_run(mirror.run_id).data.tags[NOTE] == f"see {mirror.run_id}"


def test_views_list_the_methods_and_jobs_of_this_sweep_only_and_that_of_methods_only_at_its_end(runs, mirror, sweep):
    mirror.jobs.ended(a_job(sweep), "FINISHED")
    end_with(mirror, a_method("SS-LFP", R2=0.25))
    changed = open_sweep(runs, sweep, "e" * 64)
    changed.jobs.ended(a_job("another"), "FINISHED")
    assert tag_of(METHODS) not in tags_of(runs, sweep)  # the methods of the changed sweep have no scores yet
    end_with(changed, a_method("MS-LFP", R2=0.5))
    listed = {}
    for key in (METHODS, JOBS):
        query = json.loads(json.loads(tags_of(runs, sweep)[tag_of(key)])["state"])["searchFilter"]
        found = client_of(runs).search_runs([client_of(runs).get_experiment_by_name(sweep).experiment_id], query)
        listed[key] = {run.info.run_name for run in found}
    assert listed == {METHODS: {"MS-LFP", f"{sweep}: answer and figures"}, JOBS: {"ss_lfp another"}}


def test_sweep_that_an_earlier_version_logged_is_logged_again_with_its_curves(runs, mirror, sweep, monkeypatch):
    before = mirror.jobs.ended(a_job(sweep), "FINISHED")
    for module in ("mirror", "job"):
        monkeypatch.setattr(f"raydistill.tracking.{module}.SCHEME", 1000)
    later = open_sweep(runs, sweep)
    after = later.jobs.ended(a_job(sweep), "FINISHED")
    assert later.run_id != mirror.run_id and after != before
    assert len(rows(runs, before)) == len(rows(runs, after)) == 3 * EPOCHS + 1

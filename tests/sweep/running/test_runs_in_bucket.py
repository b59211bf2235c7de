"""Jobs whose runs folder is in an object store: they move from machine to machine, and end as on a disk."""

import json

import pytest

from raydistill.models.files import WEIGHTS
from raydistill.object_store import StoredFolder
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.job import DONE
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, advance_job, run_session_job
from raydistill.training.history import HISTORY
from tests.buckets import serving
from tests.sweep.baseline_sweep import write_sweep

EPOCHS = 6
JOBS = (
    f"training: {{epochs: {EPOCHS}, patience: {EPOCHS}}}",
    "engine: {checkpoint_every: 1}",
    "jobs: {ss_lfp: {train: lfp, each: every}, again: {finetune: ss_lfp, each: every}}",
    "methods: {SS-LFP: ss_lfp, Again: again}",
)


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with serving() as served:
        yield served


def write(folder):
    """The sweep file, with two jobs of which one starts from the weights of the other."""
    path = write_sweep(folder)
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("jobs:", "methods:"))]
    path.write_text("\n".join((*kept, *JOBS)) + "\n")
    return path


def outcome(runs, job):
    """Weights, losses and scores of a finished job."""
    folder = runs.job_folder(job.key)
    metrics = json.loads((folder / "metrics.json").read_text())
    scores = {name: metrics[name] for name in ("r2", "valid_r2", "best_loss", "epoch")}
    return (folder / WEIGHTS).read_bytes(), (folder / HISTORY).read_text(), scores


def test_training_that_moves_to_another_machine_ends_with_the_bits_of_a_disk(bucket, tmp_path, monkeypatch):
    sweep = load_sweep(write(tmp_path))
    entries, uri = Store(sweep.store).entries(), bucket.uri("runs")

    def machine(name):
        monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / name))
        return RunsFolder.at(uri)

    disk = RunsFolder(tmp_path / "runs")
    first, second = (job for job in plan(sweep, entries, disk).jobs if job.kind in ("train", "finetune"))
    assert second.depends_on == (first.key,)
    for job in (first, second):
        run_session_job(job, JobContext(disk, sweep.store))

    advance_job(first, JobContext(machine("one"), sweep.store), EPOCHS // 2)
    names = StoredFolder(uri).list(f"jobs/{first.key}/checkpoints")
    assert max(name.split("/")[3] for name in names) == f"epoch-{EPOCHS // 2:06d}-step-000000"
    two = machine("two")
    run_session_job(first, JobContext(two, sweep.store))
    assert outcome(two, first) == outcome(disk, first)
    assert not StoredFolder(uri).list(f"jobs/{first.key}/checkpoints")

    three = machine("three")  # which fetches the weights that it starts from
    run_session_job(second, JobContext(three, sweep.store))
    assert outcome(three, second) == outcome(disk, second)

    driver = machine("driver").fetched()
    states = {p.job.key: p.state for p in plan(sweep, entries, driver).planned}
    assert states[first.key] == states[second.key] == DONE
    assert not (driver.job_folder(first.key) / WEIGHTS).exists()
    driver.fetch(first.key)
    assert outcome(driver, first) == outcome(disk, first)


def test_job_that_another_machine_has_finished_is_not_run_again(bucket, tmp_path, monkeypatch):
    sweep = load_sweep(write_sweep(tmp_path))
    job = next(job for job in plan(sweep, Store(sweep.store).entries(), RunsFolder(tmp_path)).jobs if not job.trains)
    for name in ("one", "two"):
        monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / name))
        runs = RunsFolder.at(bucket.uri("runs"))
        metrics = run_session_job(job, JobContext(runs, sweep.store))
        provenance = runs.job_json(job.key)
        if name == "one":
            before = metrics, provenance
    assert (metrics, provenance) == before  # with the seconds of the first run


def test_job_that_is_set_aside_is_run_again_on_every_machine(bucket, tmp_path, monkeypatch):
    sweep = load_sweep(write_sweep(tmp_path))
    job = next(job for job in plan(sweep, Store(sweep.store).entries(), RunsFolder(tmp_path)).jobs if not job.trains)
    folders = []
    for name in ("one", "two"):
        monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / name))
        folders.append(RunsFolder.at(bucket.uri("runs")))
        run_session_job(job, JobContext(folders[-1], sweep.store))
    one, two = folders
    one.set_aside(job.key)
    assert one.aside_folder(job.key).exists() and two.is_done(job.key)
    assert not two.fetched().is_done(job.key)
    run_session_job(job, JobContext(two, sweep.store))
    assert one.fetched().is_done(job.key) and not one.problem_of(job.key)

"""A runs folder in an object store: jobs are published whole, fetched where they are needed, and never mixed."""

import os
import time
import uuid

import pytest

from raydistill import mirrored, object_store
from raydistill.files import write_json
from raydistill.marker import MARKER, damage, write_marker
from raydistill.object_store import StorageError, StoredFolder
from raydistill.ownership import LostFolderError, claim, release
from tests.buckets import serving


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, serving() as served:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield served


@pytest.fixture
def uri(bucket):
    return bucket.uri(uuid.uuid4().hex)


@pytest.fixture
def machines(uri, tmp_path, monkeypatch):
    """The copies of two machines."""

    def copy(name):
        monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / name))
        return mirrored.register(uri)

    return copy("one"), copy("two")


KEY = "a" * 64


def finish_job(root, weights=b"weights", metrics=0.5):
    """A finished job in a copy, which is published."""
    folder = root / "jobs" / KEY
    claim(folder, by_force=True)
    write_json(folder / "job.json", {"key": KEY})
    mirrored.announce(folder)
    (folder / "model.safetensors").write_bytes(weights)
    write_json(folder / "metrics.json", {"r2": metrics})
    write_marker(folder)
    mirrored.publish(folder)
    release(folder)
    return folder


def files_in(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_job_that_is_published_is_whole_on_another_machine_with_its_weights_only_where_asked_for(machines, uri):
    one, two = machines
    source = finish_job(one)
    there = two / "jobs" / KEY
    mirrored.fetch_runs(two)
    assert sorted(files_in(there)) == [MARKER, "job.json", "metrics.json"] and damage(there) == ""
    mirrored.fetch(there)
    assert files_in(there) == files_in(source) and damage(there, everything=True) == ""
    assert sorted(StoredFolder(uri).list()) == [f"jobs/{KEY}/{name}" for name in sorted(files_in(source))]


def test_file_that_is_not_in_the_store_either_is_missing(machines, uri):
    one, two = machines
    finish_job(one)
    StoredFolder(uri).delete(f"jobs/{KEY}/model.safetensors")
    mirrored.fetch_runs(two)
    assert damage(two / "jobs" / KEY) == "model.safetensors is missing"


def test_job_without_marker_in_the_store_is_finished_nowhere_else(machines, uri):
    one, two = machines
    finish_job(one)
    mirrored.fetch(two / "jobs" / KEY)
    mirrored.withdraw(one / "jobs" / KEY)
    mirrored.fetch(two / "jobs" / KEY)
    mirrored.fetch_runs(one)
    assert not (two / "jobs" / KEY / MARKER).exists() and not (one / "jobs" / KEY).exists()
    assert StoredFolder(uri).list() == {}


def test_marker_is_published_after_every_other_file(machines, uri, monkeypatch):
    one, _ = machines
    uploaded, upload = [], StoredFolder.upload

    def upload_and_note(self, file, name, *others):
        upload(self, file, name, *others)
        uploaded.append(name)

    monkeypatch.setattr(StoredFolder, "upload", upload_and_note)
    finish_job(one)
    # job.json is sent when the job begins, and again with the rest.
    assert uploaded[-1] == f"jobs/{KEY}/{MARKER}" and len(uploaded) == 5


def test_job_whose_publication_failed_is_published_by_the_next_command(machines, uri, bucket, monkeypatch):
    one, two = machines
    monkeypatch.setattr(object_store, "PATIENCE_S", 0.0)
    folder = one / "jobs" / KEY
    claim(folder)
    mirrored.announce(folder)
    write_json(folder / "metrics.json", {"r2": 0.5})
    write_marker(folder)
    bucket.fault = "denied"
    try:
        with pytest.raises(StorageError, match="access is denied"):
            mirrored.publish(folder)
    finally:
        bucket.fault = ""
        release(folder)
    mirrored.fetch_runs(one)
    mirrored.publish_left(one)
    mirrored.fetch(two / "jobs" / KEY)
    assert files_in(two / "jobs" / KEY) == files_in(folder) and len(files_in(folder)) == 2


def test_newer_job_replaces_an_older_copy_and_a_copy_that_was_damaged_is_fetched_again(machines):
    one, two = machines
    finish_job(one)
    there = two / "jobs" / KEY
    mirrored.fetch(there)
    time.sleep(1.1)  # the times of this store are whole seconds
    source = finish_job(one, weights=b"newer_w", metrics=0.6)
    mirrored.fetch(there)
    assert files_in(there) == files_in(source)
    about = (there / "model.safetensors").stat()
    (there / "flipped").write_bytes(b"flipped")
    os.utime(there / "flipped", ns=(about.st_mtime_ns, about.st_mtime_ns))
    os.replace(there / "flipped", there / "model.safetensors")
    mirrored.fetch(there)
    assert files_in(there) == files_in(source)


def test_checkpoints_are_those_of_the_store_and_whoever_lost_the_job_cannot_publish_one(machines, uri):
    one, two = machines

    def checkpoint(root, epoch, content):
        folder = root / "jobs" / KEY / "checkpoints" / f"epoch-{epoch:06d}-step-000000"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(content)
        write_marker(folder)
        return folder

    def names(root):
        return sorted(p.name[:12] for p in (root / "jobs" / KEY / "checkpoints").iterdir())

    claim(one / "jobs" / KEY)
    mirrored.announce(one / "jobs" / KEY)
    (one / "jobs" / KEY / "history.jsonl").write_text('{"epoch": 0}\n')
    mirrored.publish_checkpoint(checkpoint(one, 1, b"first"))
    checkpoint(two, 7, b"of an earlier run, never published")
    mirrored.fetch(two / "jobs" / KEY)
    assert names(two) == ["epoch-000001"] and (two / "jobs" / KEY / "history.jsonl").exists()
    (kept,) = (two / "jobs" / KEY / "checkpoints").iterdir()
    assert (kept / "model.safetensors").read_bytes() == b"first" and damage(kept, everything=True) == ""
    claim(two / "jobs" / KEY)
    mirrored.announce(two / "jobs" / KEY)
    with pytest.raises(LostFolderError, match="has taken over this job"):
        mirrored.publish_checkpoint(checkpoint(one, 2, b"late"))
    mirrored.publish_checkpoint(checkpoint(two, 2, b"second"))
    assert sorted({n.split("/")[3][:12] for n in StoredFolder(uri).list(f"jobs/{KEY}/checkpoints")}) == [
        "epoch-000001",
        "epoch-000002",
    ]
    for root in machines:
        release(root / "jobs" / KEY)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("denied", "access is denied; the credentials or the role of this machine must be allowed to list, read"),
        ("expired", "the credentials have expired; renew them"),
        ("unknown key", "the store does not accept these credentials; check AWS_ACCESS_KEY_ID"),
        ("drops", "the store cannot be reached"),
    ],
)
def test_store_that_refuses_is_reported_with_the_way_out(machines, bucket, fault, words):
    bucket.fault = fault
    try:
        with pytest.raises(StorageError) as caught:
            mirrored.fetch_runs(machines[0])
    finally:
        bucket.fault = ""
    assert words in str(caught.value) and "secret" not in str(caught.value)


def test_bucket_that_does_not_exist_is_reported_although_its_list_is_empty(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path))
    with pytest.raises(StorageError, match="s3://none/runs: there is no such bucket"):
        mirrored.fetch_runs(mirrored.register(bucket.uri("runs", bucket="none")))


def test_connection_that_drops_for_some_seconds_delays_and_fails_nothing(machines, bucket):
    import threading

    bucket.fault = "drops"
    threading.Timer(3.0, lambda: setattr(bucket, "fault", "")).start()
    finish_job(machines[0])
    mirrored.fetch(machines[1] / "jobs" / KEY)
    assert damage(machines[1] / "jobs" / KEY, everything=True) == ""


def test_job_that_runs_on_this_machine_is_not_fetched_over(machines):
    """A driver has the copy of its workers: what is in the store may be older than what they have written since."""
    one, _ = machines
    folder = one / "jobs" / KEY
    claim(folder)
    mirrored.announce(folder)
    (folder / "history.jsonl").write_text('{"epoch": 0}\n')
    mirrored.publish(folder)
    (folder / "history.jsonl").write_text('{"epoch": 0}\n{"epoch": 1}\n')
    for fetch in (mirrored.fetch, mirrored.fetch_history, lambda _: mirrored.fetch_runs(one)):
        fetch(folder)
    assert len((folder / "history.jsonl").read_text().splitlines()) == 2
    release(folder)


def test_folder_that_is_no_copy_is_left_alone(tmp_path):
    folder = tmp_path / "jobs" / KEY
    folder.mkdir(parents=True)
    for function in (mirrored.fetch, mirrored.publish, mirrored.announce, mirrored.withdraw, mirrored.publish_left):
        function(folder)
    assert list(tmp_path.rglob("*")) == [folder.parent, folder]

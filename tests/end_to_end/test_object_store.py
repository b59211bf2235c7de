"""Store and runs in an object store: the table of a disk, on any machine, and no secret in any file."""

import os
import shutil
from pathlib import Path

import pytest

from raydistill.cli import main
from raydistill.object_store import StoredFolder
from tests.buckets import serving
from tests.commands import raydistill, read_json
from tests.sweep.baseline_sweep import write_sweep

SECRET = "Pl4ntedS3cret"


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, serving() as served:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield served


def scores(folder, runs):
    """The results without the paths of the machine."""
    return read_json("results", "sweep.yaml", "--runs", runs, cwd=folder)


def test_sweep_in_a_bucket_has_the_table_of_a_disk_and_no_secret_anywhere(bucket, tmp_path, monkeypatch):
    on_disk = write_sweep(tmp_path)
    raydistill("sweep", on_disk, "--runs", tmp_path / "runs", cwd=tmp_path, check=0)
    expected = scores(tmp_path, "runs")

    away = tmp_path / "away"
    away.mkdir()
    store = StoredFolder(bucket.uri("store"))
    for file in (path for path in (tmp_path / "store").rglob("*") if path.is_file()):
        store.upload(file, file.relative_to(tmp_path / "store").as_posix())
    shutil.copy(tmp_path / "shared.yaml", away)
    (away / "sweep.yaml").write_text(on_disk.read_text().replace(str(tmp_path / "store"), store.uri))

    runs = bucket.uri("runs")
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "one"))
    swept = raydistill("sweep", "sweep.yaml", "--runs", runs, cwd=away, check=0)
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "two"))
    elsewhere = scores(away, runs)
    assert elsewhere == expected and len(elsewhere["scores"]) == 1
    assert raydistill("verify", "--runs", runs, cwd=away, check=0).stderr == "4 jobs: no problems\n"
    planned = read_json("plan", "sweep.yaml", "--runs", runs, cwd=away)
    assert planned["counts"]["done"] == len(planned["jobs"]) == 4

    (tmp_path / "bucket").mkdir()
    whole = StoredFolder(bucket.uri(""))
    for number, name in enumerate(whole.list()):
        (tmp_path / "bucket" / str(number)).write_bytes(whole.read(name))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 60 and len(list((tmp_path / "bucket").iterdir())) > 25
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in swept.stdout + swept.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("denied", "access is denied"),
        ("expired", "the credentials have expired"),
        ("drops", "the store cannot be reached"),
    ],
)
@pytest.mark.parametrize("verb", ["sweep", "plan"])
def test_bucket_that_refuses_is_one_line_with_exit_code_2(bucket, tmp_path, monkeypatch, capsys, fault, words, verb):
    path = write_sweep(tmp_path)
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    bucket.fault = fault
    try:
        with pytest.raises(SystemExit) as ended:
            main([verb, str(path), "--runs", bucket.uri("refused")])
    finally:
        bucket.fault = ""
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith("raydistill: s3://lab/refused: ") and words in line


def test_bucket_that_does_not_exist_is_one_line_with_exit_code_2(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(write_sweep(tmp_path)), "--runs", bucket.uri("runs", bucket="none")])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "raydistill: s3://none/runs: there is no such bucket; create it first\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["gc", "--runs", "s3://lab/runs"], "must be on a disk"),
        (["search", "search.yaml", "--runs", "s3://lab/runs"], "must be on a disk"),
        (["archive", "sweep.yaml", "--to", "s3://lab/kept"], "must be on a disk"),
        (["sweep", "sweep.yaml", "--runs", "ftp://lab/runs"], "it must be a folder, or the address of one"),
        (["sweep", "sweep.yaml", "--runs", "s3:/lab/runs"], "or the address of one"),
        (["sweep", "sweep.yaml", "--runs", f"s3://key:{SECRET}@lab/runs"], "an address with a password"),
    ],
)
def test_command_or_address_that_cannot_be_in_a_bucket_is_refused(tmp_path, monkeypatch, capsys, command, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(command)
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and words in said and SECRET not in said
    assert os.listdir(tmp_path) == []


def test_copies_are_where_the_environment_says_and_outside_of_the_working_folder(bucket, tmp_path, monkeypatch):
    from raydistill.sweep.planning.runs_folder import RunsFolder

    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path / "cache"))
    runs = RunsFolder.at(bucket.uri("somewhere"))
    assert runs.path.parent == tmp_path / "cache" / "runs" and str(runs) == "s3://lab/somewhere"
    monkeypatch.delenv("RAYDISTILL_CACHE")
    assert RunsFolder.at(bucket.uri("somewhere")).path.is_relative_to(Path.home() / ".cache" / "raydistill")
    assert RunsFolder.at("here") == RunsFolder(Path("here")) and RunsFolder.at("file:///x") == RunsFolder(Path("/x"))

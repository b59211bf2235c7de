"""What is meant as the address of a folder in an object store, and is none."""

import pytest

from raydistill.cli import main
from raydistill.config.addresses import is_mistyped
from raydistill.errors import ConfigError
from raydistill.sweep.config.reading import load_sweep

MISTYPED = [
    "s3:/lab/runs",
    "s3:lab/runs",
    "S3:/lab",
    "s3//lab/runs",
    "gs:lab",
    "s3://",
    "s3:///runs",
    "file:/x",
    "c:/x",
]


@pytest.mark.parametrize("text", MISTYPED)
def test_address_without_slash_colon_or_bucket_is_mistyped(text):
    assert is_mistyped(text)


@pytest.mark.parametrize(
    "text", ["runs", "/a/runs", "s3/runs", "s3://lab", "gs://lab/runs?x=1", "file:///x", "a:b", "my s3:x"]
)
def test_folder_or_address_is_not_mistyped(text):
    assert not is_mistyped(text)


@pytest.mark.parametrize("runs", [*MISTYPED[:2], "s3://", "", "  ", "ftp://lab/runs"])
def test_runs_folder_that_is_mistyped_is_refused_and_no_folder_is_made(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "sweep.yaml", "--runs", runs])
    message = capsys.readouterr().err
    assert ended.value.code == 2 and message.count("\n") == 1 and "for --runs. it must" in message
    assert not list(tmp_path.iterdir())


def test_store_that_is_mistyped_is_refused_with_its_line_or_override(tmp_path):
    file = tmp_path / "sweep.yaml"
    rest = "sessions: {all: {modality: lfp}}\njobs: {a: {train: lfp, each: all}}\nmethods: {A: a}\n"
    file.write_text(f"name: small\nstore: s3:lab/store\n{rest}")
    with pytest.raises(
        ConfigError, match=r'sweep.yaml:2: store: "s3:lab/store" must be a folder, or the address of one'
    ):
        load_sweep(file)
    file.write_text(f"name: small\nstore: store\n{rest}")
    with pytest.raises(ConfigError, match=r'^--set: store: "gs:/lab" must be a folder'):
        load_sweep(file, ("store=gs:/lab",))

"""Commands on a runs folder, as the command line calls them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from raydistill.cli import main
from raydistill.files import read_mapping, write_json
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.commands import COMMAND
from tests.sweep.baseline_sweep import run_baselines, write_sweep
from tests.test_marker import flip


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A runs folder in which the baselines of sweep.yaml are done, and its training is not."""
    monkeypatch.chdir(tmp_path)
    run_baselines(write_sweep(tmp_path))
    (tmp_path / "runs").rename(tmp_path / "my runs")
    return RunsFolder(tmp_path / "my runs")


def command(capsys, *arguments, code=0):
    """(stdout, stderr) of a command, whose exit code is checked."""
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--runs", "my runs"])
    printed = capsys.readouterr()
    assert done.value.code == code, printed
    return printed.out, printed.err


def job_named(runs, name):
    """The folder of a job."""
    files = (runs.path / "jobs").glob("*/job.json")
    return next(file.parent for file in files if read_mapping(file)["name"] == name)


def state_of(folder):
    return {path.relative_to(folder): path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_reading_commands_write_nothing_and_tell_what_is_missing(runs, capsys):
    before = state_of(runs.path)
    command(capsys, "plan", "sweep.yaml")
    out, _ = command(capsys, "results", "sweep.yaml", code=1)
    assert "missing: ss_lfp: 1 job (a_1/seed0): not run yet" in out
    out, _ = command(capsys, "results", "sweep.yaml", "--json", code=1)
    (missing,) = json.loads(out)["missing"]
    assert (missing["name"], missing["reason"]) == ("ss_lfp/a_1/seed0", "not run yet")
    command(capsys, "report", "sweep.yaml", "--out", "page.html")
    command(capsys, "verify")
    command(capsys, "gc")
    assert state_of(runs.path) == before


def test_edited_score_and_flipped_bit_are_not_in_the_table(runs, capsys):
    flipped, edited, other = (job_named(runs, f"{name}_on_lfp/a_1") for name in ("ridge", "kalman", "wide_ridge"))
    metrics = read_mapping(edited / "metrics.json")
    write_json(edited / "metrics.json", metrics | {"r2": 9.249})
    for folder in (flipped, other):
        flip(folder / "metrics.json", 20)
    out, _ = command(capsys, "verify", code=1)
    named = {f"my runs/jobs/{folder.name}" for folder in (edited, flipped, other)}
    assert {line.partition(": ")[0] for line in out.splitlines()} == named
    out, err = command(capsys, "results", "sweep.yaml", code=1)
    assert out == ""
    assert err == "no job of small is done in my runs; run `raydistill sweep sweep.yaml --runs 'my runs'` first\n"


def test_verify_says_which_jobs_it_has_not_checked(runs, capsys):
    (job_named(runs, "ridge_on_lfp/a_1") / "_SUCCESS").unlink()
    _, err = command(capsys, "verify")
    assert err == "1 unfinished job not checked\n2 jobs: no problems\n"


def test_damage_of_a_store_is_found_with_its_jobs(runs, capsys, tmp_path):
    out, err = command(capsys, "verify", "--store", "store")
    assert out == "" and err == "3 jobs and the store store: no problems\n"
    part = next((tmp_path / "store").rglob("*a_1*/*.parquet"))
    flip(part, part.stat().st_size // 2)
    out, _ = command(capsys, "verify", "--store", "store", code=1)
    assert part.name in out and len(out.splitlines()) == 1


def test_hint_repeats_runs_and_overrides(runs, capsys):
    _, err = command(capsys, "results", "sweep.yaml", "--set", "behavior=[vx]", code=1)
    assert err.endswith("run `raydistill sweep sweep.yaml --runs 'my runs' '--set=behavior=[vx]'` first\n")


def test_run_of_a_job_that_leads_out_of_the_folder_is_refused_and_deletes_nothing(runs, capsys, tmp_path):
    victim, folder = tmp_path / "victim", job_named(runs, "ridge_on_lfp/a_1")
    (victim / "checkpoints").mkdir(parents=True)
    (victim / "_SUCCESS").write_text("{}")
    write_json(folder / "job.json", read_mapping(folder / "job.json") | {"key": "../../victim"})
    _, err = command(capsys, "run", folder.name[:8], code=2)
    assert "is not the job whose folder it is in" in err and len(err.splitlines()) == 1
    assert (victim / "checkpoints").exists() and (victim / "_SUCCESS").exists()


def test_run_names_the_store_that_the_job_reads(runs, capsys, tmp_path):
    folder = job_named(runs, "ridge_on_lfp/a_1")
    _, err = command(capsys, "run", folder.name[:8])
    assert f"ridge_on_lfp/a_1 reads the store {tmp_path / 'store'}, which its job.json names" in err


def test_gc_lists_and_deletes_only_when_told_to(runs, capsys):
    sweep = OpenSweep(load_sweep("sweep.yaml"), runs)
    kept = [job for job in sweep.plan().jobs if job.name != "ridge_on_lfp/a_1"]
    runs.write_keys("small", kept)
    folder = job_named(runs, "ridge_on_lfp/a_1")
    out, err = command(capsys, "gc")
    assert "ridge_on_lfp/a_1: no sweep or search of this folder names the job" in out
    assert err.startswith("1 folder, ") and folder.exists()
    command(capsys, "gc", "--delete")
    assert not folder.exists() and job_named(runs, "kalman_on_lfp/a_1").exists()


def test_note_is_shown_by_results_and_report(runs, capsys):
    key = job_named(runs, "kalman_on_lfp/a_1").name
    assert command(capsys, "note", "sweep.yaml", "first try", "--tag", "figure=3")[0] == "first try [figure=3]\n"
    assert command(capsys, "note", key[:10], "odd")[0] == "odd\n"
    out, _ = command(capsys, "results", "sweep.yaml", code=1)
    assert "note: small: first try [figure=3]" in out and "note: kalman_on_lfp/a_1: odd" in out
    command(capsys, "report", "sweep.yaml", "--out", "page.html")
    assert "Note: small: first try [figure=3]" in Path("page.html").read_text()


def test_archive_is_a_runs_folder_with_the_same_results(runs, capsys):
    out, _ = command(capsys, "results", "sweep.yaml", code=1)
    _, err = command(capsys, "archive", "sweep.yaml", "--to", "archive")
    assert err == "3 of 4 jobs copied to archive and checked; 1 are not done\n"
    with pytest.raises(SystemExit):
        main(["results", "sweep.yaml", "--runs", "archive"])
    assert capsys.readouterr().out == out


def test_reader_of_a_pipe_that_stops_early_ends_the_command_quietly(runs, tmp_path):
    for options in ("--csv", "--json"):
        process = subprocess.Popen(
            [*COMMAND, "results", "sweep.yaml", options, "--runs", "my runs"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=os.environ,
        )  # fmt: skip
        process.stdout.close()
        assert process.wait(120) == 0 and process.stderr.read() == ""


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[" * 100_000])
def test_damaged_files_of_the_runs_folder_are_no_traceback(runs, capsys, content):
    runs.sweep_folder("small").mkdir(parents=True)
    for name in (
        "results.json",
        "cost.json",
        "concluded.json",
        "../small.json",
        "../../rates.json",
        "../../notes.json",
    ):
        (runs.sweep_folder("small") / name).write_text(content)
    folder = job_named(runs, "ridge_on_lfp/a_1")
    for name in ("job.json", "metrics.json", "_SUCCESS"):
        (folder / name).write_text(content)
    command(capsys, "plan", "sweep.yaml")
    out, _ = command(capsys, "results", "sweep.yaml", code=1)
    assert "missing: ridge_on_lfp: 1 job (a_1)" in out
    command(capsys, "report", "sweep.yaml", "--out", "page.html")
    command(capsys, "gc")
    command(capsys, "verify", code=1)
    assert "damaged" in command(capsys, "run", folder.name[:8], code=2)[1]

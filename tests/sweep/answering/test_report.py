"""`raydistill report` on results in a runs folder."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.files import write_json
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.report import write_report
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.baseline_sweep import run_baselines, write_sweep


def test_report_shows_the_configuration_with_overrides_and_includes(tmp_path):
    path, overrides = write_sweep(tmp_path), ("training.epochs=7", "model.dropout=0.25")
    sweep, _, runs = run_baselines(path, overrides)
    out = tmp_path / "page.html"
    write_report(OpenSweep(sweep, runs, overrides=overrides), path, out)
    page = out.read_text()
    configuration = page[page.index("The configuration as it ran") :]
    assert "epochs: 7\n" in configuration and "dropout: 0.25\n" in configuration and "epochs: 3" not in configuration
    folder = f"--runs {runs} --set=training.epochs=7 --set=model.dropout=0.25"
    assert f"raydistill sweep {path} {folder}\nraydistill report {path} --out {out} {folder}" in page
    assert "small+model.dropout=0.25,training.epochs=7 is small with --set training.epochs=7 --set model" in page
    assert "Does the page show what ran?" in page and "Ridge on LFP" in page

    write_report(OpenSweep(load_sweep(path), runs), path, out)
    assert "epochs: 3\n" in out.read_text() and "epochs: 7" not in out.read_text()  # from shared.yaml


def test_report_of_a_sweep_without_finished_jobs_raises_an_error(tmp_path):
    path = write_sweep(tmp_path)
    with pytest.raises(RaydistillError, match=r"no job of small is done in .*runs; run `raydistill sweep "):
        write_report(OpenSweep(load_sweep(path), RunsFolder(tmp_path / "runs")), path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_report_without_scores_says_how_many_jobs_are_done(tmp_path):
    path = write_sweep(tmp_path, "baselines: []", "tune: {trials: 2, space: {training.epochs: [3, 4]}}")
    runs = RunsFolder(tmp_path / "runs")
    own, _ = OpenSweep(load_sweep(path), runs).plan().jobs  # without the second trial, the method has no score
    folder = runs.open_job(own, {})
    write_json(folder / "metrics.json", {"r2": 0.5, "valid_r2": 0.4, "r2_per_axis": {"vx": 0.5, "vy": 0.5}})
    mark_complete(folder)
    with pytest.raises(RaydistillError, match=r"small has no score yet: 1 of its 2 jobs is done in .*runs the others$"):
        write_report(OpenSweep(load_sweep(path), runs), path, tmp_path / "page.html")


def tree(folder):
    """Path -> time of change of everything in a folder."""
    return {path: path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_report_writes_nothing_into_the_runs_folder_and_names_missing_jobs(tmp_path):
    path = write_sweep(tmp_path)
    sweep, _, runs = run_baselines(path)
    before = tree(runs.path)
    write_report(OpenSweep(sweep, runs), path, tmp_path / "page.html")
    assert tree(runs.path) == before
    page = (tmp_path / "page.html").read_text()
    assert "Missing: ss_lfp: 1 job (a_1/seed0): not run yet" in page
    assert "3 jobs by raydistill " in page  # two ridges and a filter on the LFP of the session that is decoded


@pytest.mark.parametrize("content", ["{", "[]", '{"wall_s": "long"}', '{"wall_s": NaN}'])
def test_report_with_a_damaged_cost_file_leaves_the_duration_out(tmp_path, content):
    path = write_sweep(tmp_path)
    sweep, _, runs = run_baselines(path)
    runs.sweep_folder("small").mkdir(parents=True)
    (runs.sweep_folder("small") / "cost.json").write_text(content)
    write_report(OpenSweep(sweep, runs), path, tmp_path / "page.html")
    assert "The last run took" not in (tmp_path / "page.html").read_text()

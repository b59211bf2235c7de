"""`raydistill report` on results in a runs folder."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.answering.report import write_report
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.baseline_sweep import run_baselines, write_sweep


def test_report_shows_the_configuration_with_overrides_and_includes(tmp_path):
    path, overrides = write_sweep(tmp_path), ("training.epochs=7", "model.dropout=0.25")
    sweep, _, runs = run_baselines(path, overrides)
    out = tmp_path / "page.html"
    write_report(sweep, path, overrides, runs, out)
    page = out.read_text()
    configuration = page[page.index("The configuration as it ran") :]
    assert "epochs: 7\n" in configuration and "dropout: 0.25\n" in configuration and "epochs: 3" not in configuration
    assert "--set training.epochs=7 --set model.dropout=0.25" in page
    assert "Does the page show what ran?" in page and "Ridge on spikes" in page

    write_report(load_sweep(path), path, (), runs, out)
    assert "epochs: 3\n" in out.read_text() and "epochs: 7" not in out.read_text()  # from shared.yaml


def test_report_of_a_sweep_without_finished_jobs_raises_an_error(tmp_path):
    path = write_sweep(tmp_path)
    with pytest.raises(RaydistillError, match=r"no job of small is done in .*runs; run `raydistill sweep "):
        write_report(load_sweep(path), path, (), RunsFolder(tmp_path / "runs"), tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()

"""A search that is only read: its result so far, its page, and its trials, from a study on disk."""

import csv
import json
import sqlite3

import pytest

from raydistill.cli import main
from raydistill.errors import DataError, RaydistillError
from raydistill.sweep.config.search import load_search
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.searching.opened import OpenSearch
from raydistill.sweep.searching.report import write_report
from raydistill.sweep.searching.rows import trial_rows
from tests.evaluation.test_report import Page
from tests.sweep.searching.small_search import SmallSearch, finish

WICKED = "<img src=x onerror=alert(1)>"
SPACE = "{model.layers: [1, 2, 3], model.heads: [4, 7]}"
SCORES = {1: 0.25, 2: 0.5, 3: 0.375}
"""Layers -> score; 64 is no multiple of 7 heads, so that half of the points are invalid."""


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = SmallSearch(tmp_path)
    search.runs = RunsFolder(tmp_path / "runs").search_folder("small")
    return search


def opened(small):
    return OpenSearch(load_search(small.folder / "search.yaml"), RunsFolder(small.folder / "runs"))


def page_of(small) -> str:
    write_report(opened(small), small.folder / "search.yaml", small.folder / "page.html")
    return (small.folder / "page.html").read_text()


def try_all(small, *lines, **kinds):
    return finish(
        small.points(SPACE, *lines, "sampler: grid"), score=lambda values: SCORES[values["model.layers"]], **kinds
    )


def command(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    return end.value.code or 0, capsys.readouterr().out


def test_result_of_a_finished_search_is_read_without_writing(small):
    try_all(small)
    before = {path: path.read_bytes() for path in (small.folder / "runs").rglob("*") if path.is_file()}
    result, points = opened(small).result, opened(small).points
    assert points.finished and result.exhausted and result.trials == 3 and len(result.invalid) == 3
    assert result.best.values == {"model.layers": 2, "model.heads": 4} and result.best.valid_r2 == 0.5
    assert result.default == result.best and result.best.test_r2 is None  # no job was trained
    page_of(small)
    assert before == {path: path.read_bytes() for path in (small.folder / "runs").rglob("*") if path.is_file()}


def test_rows_are_ordered_by_state_and_score_and_tell_why(small):
    try_all(small, fails=lambda values: values["model.layers"] == 3)
    rows = trial_rows(opened(small).points)
    assert [(row.state, row.values["model.layers"]) for row in rows[:3]] == [
        ("complete", 2), ("complete", 1), ("failed", 3),
    ]  # fmt: skip
    assert {row.state for row in rows[3:]} == {"pruned"} and all("heads=7" in row.note for row in rows[3:])
    assert rows[0].is_reference and rows[2].note == "TrainingError: the loss is not finite"
    assert [row.valid_r2 for row in rows[:3]] == [0.5, 0.25, None]


def test_point_that_a_kill_interrupted_is_unfinished(small):
    points = small.points(SPACE, "sampler: grid")
    points.end(points.next(), valid_r2=0.5, epoch=3, complete=True)
    interrupted = points.next().values
    read = opened(small)
    assert [row.values for row in trial_rows(read.points) if row.state == "unfinished"] == [interrupted]
    assert not read.points.finished
    assert "The search is not finished: 1 points have ended" in page_of(small)


def test_page_of_one_objective_answers_with_the_best_values_next_to_those_of_the_sweep(small):
    small.edit("preset: tiny", "preset: tiny\nmodel: {layers: 1}")
    try_all(small)
    text = Page(page_of(small)).text
    assert "The best values are layers 2, heads 4, with a validation R² of 0.500; the sweep's own values have a" in text
    assert "a validation R² of 0.250." in text and "The space is exhausted" in text
    assert "6 points: 3 complete, 3 pruned." in text and "every point of the grid, seed 0" in text
    assert "raydistill search" in text and "Pareto" not in text


def test_page_of_two_objectives_answers_with_the_pareto_front(small):
    try_all(small, "objectives: [valid_r2, parameters]")
    text = Page(page_of(small)).text
    assert "The Pareto front has 2 points, from " in text  # 3 layers are larger than 2, and worse
    front = opened(small).result.front
    assert [point.valid_r2 for point in front] == [0.25, 0.5]
    assert f"{front[0].parameters:,} parameters with a validation R² of 0.250 (layers 1, heads 4) to " in text


def test_page_escapes_the_names_and_causes_of_a_stranger(small):
    points = small.points(SPACE, "sampler: grid", f"# Question: {WICKED}")
    points.end(points.next(), valid_r2=0.5, epoch=3, complete=True)
    points.fail(points.next(), f"failed by {WICKED}")
    page = page_of(small)
    assert WICKED not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") >= 3  # title, heading, cause
    for _, attributes in Page(page).tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all(attributes.get(name, "#").startswith(("data:", "#")) for name in ("src", "href"))


def test_page_is_labelled_for_screen_readers(small):
    try_all(small, "objectives: [valid_r2, parameters]", fails=lambda values: values["model.layers"] == 3)
    tags = Page(page_of(small)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids)) and {"front-table", "trials-table", "space-table", "reasons-table"} <= set(ids)
    assert all(attributes["scope"] in ("row", "col") for tag, attributes in tags if tag == "th")
    assert all(attributes["aria-labelledby"] in ids for _, attributes in tags if "aria-labelledby" in attributes)


def test_results_of_a_search_file_are_printed_as_table_json_and_csv(small, capsys):
    try_all(small, fails=lambda values: values["model.layers"] == 3)
    code, text = command(capsys, "results", "search.yaml")
    assert code == 1 and "TrialError" not in text and "TrainingError: the loss is not finite" in text
    code, text = command(capsys, "results", "search.yaml", "--json")
    assert code == 1 and json.loads(text)["best"]["valid_r2"] == 0.5
    _, text = command(capsys, "results", "search.yaml", "--csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["state"] for row in rows] == ["complete", "complete", "failed", "pruned", "pruned", "pruned"]
    assert (rows[0]["model.layers"], rows[0]["valid_r2"], rows[0]["epoch"]) == ("2", "0.5", "3")
    code, text = command(capsys, "report", "search.yaml", "--out", "other.html")
    assert code == 0 and text == "other.html\n" and "Trials" in (small.folder / "other.html").read_text()


def test_search_without_trials_says_how_to_run_it(small):
    small.searched(SPACE)
    with pytest.raises(RaydistillError, match=r"small has no trial in .*runs; run `raydistill search`"):
        _ = opened(small).result
    assert not (small.folder / "runs").exists()
    try_all(small)
    small.searched("{model.layers: [1, 2]}")
    with pytest.raises(RaydistillError, match=r"earlier versions of it \(1 study\) are of another space, job or data"):
        _ = opened(small).result


def test_search_whose_trials_all_failed_names_their_cause(small):
    try_all(small, fails=lambda values: True)
    with pytest.raises(DataError, match="no trial ran to its last epoch: TrainingError: the loss is not finite"):
        page_of(small)


@pytest.mark.parametrize(
    ("key", "value"),
    [("valid_r2", '"much"'), ("valid_r2", "[1]"), ("values", '"none"'), ("identity", "7"), ("parameters", "null")],
)
def test_study_with_forged_trials_is_refused_in_one_line(small, key, value):
    try_all(small)
    with sqlite3.connect(small.runs / "optuna.db") as database:
        database.execute("update trial_user_attributes set value_json = ? where key = ?", (value, key))
    with pytest.raises(DataError, match=r"cannot be read as a database of trials .*; move it away"):
        _ = opened(small).result


def test_damaged_database_is_refused_in_one_line(small):
    try_all(small)
    database = small.runs / "optuna.db"
    database.write_bytes(database.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read as a database of trials"):
        _ = opened(small).result

"""Where runs are logged, and that no secret of that address is shown."""

from pathlib import Path

import pytest

from raydistill.tracking.location import cause_of, database_file, location, place, shown


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http://me:s3cret@host:5000", "API request to http://me:s3cret@host:5000/api failed"),
        ("postgresql://me:s3%40cret@host/db", 'FATAL: password "s3@cret" refused for "s3%40cret"'),
        ("postgresql://host/db?user=me&password=s3cret", "cannot use dsn host/db?user=me&password=s3cret"),
    ],
)
def test_cause_of_an_error_has_no_secret_of_the_address(uri, text):
    cause = cause_of(RuntimeError(text), uri)
    assert "cret" not in cause and cause != ""
    assert "cret" not in shown(uri) and "host" in shown(uri)


def test_cause_of_an_error_has_no_token_of_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert cause_of(RuntimeError("Bearer t0ken was refused\nmore"), "http://host") == "Bearer *** was refused"


def test_place_of_the_own_database_is_the_same_wherever_the_folder_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert place(tmp_path / "a") == place(tmp_path / "b") == "mlflow.db"
    assert location(tmp_path)[1] == (tmp_path / "artifacts").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:s3cret@host/x?token=s3cret")
    assert place(tmp_path) == "https://host/x" and location(tmp_path)[1] is None


def test_database_file_is_absolute_and_without_options():
    assert database_file("sqlite:////runs/x.db?timeout=3") == Path("/runs/x.db")
    assert database_file("sqlite:///x.db") == Path.cwd() / "x.db"
    assert database_file("postgresql://host/db") is None

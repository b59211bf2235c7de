"""Notes and tags on sweeps and jobs."""

import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.files import read_mapping
from raydistill.sweep.planning.notes import Note, read_notes, write_note
from raydistill.sweep.planning.runs_folder import RunsFolder


@pytest.fixture
def runs(tmp_path):
    return RunsFolder(tmp_path)


def test_note_is_kept_changed_and_removed(runs):
    write_note(runs, sweep="demo", text="first try", tags=["figure=3", "by=me"])
    write_note(runs, job="a" * 64, text="odd curve", tags=[])
    assert read_notes(runs).of_sweep("demo") == Note("first try", {"figure": "3", "by": "me"})
    assert read_notes(runs).of_job("a" * 64).in_words() == "odd curve" and not read_notes(runs).of_job("b" * 64)
    changed = write_note(runs, sweep="demo", text=None, tags=["by=", "figure=4"])
    assert changed == read_notes(runs).of_sweep("demo") == Note("first try", {"figure": "4"})
    assert changed.in_words() == "first try [figure=4]"
    assert changed.to_tags() == {"note": "first try", "note.figure": "4"}
    write_note(runs, sweep="demo", text="", tags=["figure="])
    assert not read_notes(runs).of_sweep("demo") and read_mapping(runs.path / "notes.json")["sweeps"] == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"sweeps": 3}', '{"sweeps": {"demo": 3}}'])
def test_damaged_notes_are_left_out(runs, content):
    (runs.path / "notes.json").write_text(content)
    assert not read_notes(runs).of_sweep("demo")
    assert write_note(runs, sweep="demo", text="new", tags=[]).text == "new"


def test_invalid_tags_and_long_texts_are_refused(runs):
    with pytest.raises(ConfigError, match="--tag takes name=value"):
        write_note(runs, sweep="demo", text=None, tags=["figure"])
    with pytest.raises(DataError, match="tag name"):
        write_note(runs, sweep="demo", text=None, tags=["a b=1"])
    with pytest.raises(ConfigError, match="up to 2000 characters"):
        write_note(runs, sweep="demo", text="x" * 2001, tags=[])
    assert not (runs.path / "notes.json").exists()

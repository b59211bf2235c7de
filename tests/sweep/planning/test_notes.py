"""Notes and tags on sweeps and jobs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.files import read_mapping
from raydistill.sweep.planning.notes import Note, read_notes, write_note
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.verify import problems_of_documents


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
def test_damaged_notes_are_left_out_but_never_overwritten(runs, content):
    file = runs.path / "notes.json"
    file.write_text(content)
    assert not read_notes(runs).of_sweep("demo")
    with pytest.raises(DataError, match=r"notes\.json is damaged, and writing it would lose the notes in it"):
        write_note(runs, sweep="demo", text="new", tags=[])
    assert file.read_text() == content
    assert list(problems_of_documents(runs)) == [
        f"{file}: it is damaged; repair it, or delete it and write the notes again"
    ]
    file.unlink()
    assert write_note(runs, sweep="demo", text="new", tags=[]).text == "new"


def test_notes_written_at_the_same_time_are_all_kept(runs):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_note(runs, job=str(n) * 64, text=f"note {n}", tags=[]), range(8)))
    assert {n: read_notes(runs).of_job(str(n) * 64).text for n in range(8)} == {n: f"note {n}" for n in range(8)}


def test_invalid_tags_and_long_texts_are_refused(runs):
    with pytest.raises(ConfigError, match="--tag takes name=value"):
        write_note(runs, sweep="demo", text=None, tags=["figure"])
    with pytest.raises(DataError, match="tag name"):
        write_note(runs, sweep="demo", text=None, tags=["a b=1"])
    with pytest.raises(ConfigError, match="up to 2000 characters"):
        write_note(runs, sweep="demo", text="x" * 2001, tags=[])
    assert not (runs.path / "notes.json").exists()

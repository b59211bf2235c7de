"""The table of layouts, and what follows from it: the command line, the docs, and the check of readers."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from raydistill.cli import app
from raydistill.errors import DataError
from raydistill.recordings.layouts import LAYOUTS, folder_layouts, layouts_by_ending, open_raw
from raydistill.recordings.recording import RecordingSource
from raydistill.simulation.layouts import WRITERS
from tests.paths import ROOT

READERS = ROOT / "raydistill" / "recordings" / "readers"


def test_each_layout_that_folders_are_searched_for_has_a_writer():
    assert set(WRITERS) == set(folder_layouts())


def choices(command, name):
    (argument,) = [a for a in app[command].assemble_argument_collection(parse_docstring=True) if a.name == name]
    return argument.get_choices()


def test_choices_of_the_command_line_are_the_layouts():
    assert choices("ingest", "--dataset") == folder_layouts()
    assert choices("synth", "--layout") == (*folder_layouts(), "paper")


def test_docs_list_each_layout_with_its_name_files_and_sessions():
    lines = (ROOT / "docs" / "datasets.md").read_text().splitlines()
    start = lines.index("| layout | recordings | files | from | sessions are called |")
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines[start + 2 : start + 2 + len(LAYOUTS)]]
    documented = [(name.strip("`"), title, files, sessions) for name, title, files, _, sessions in rows]
    assert documented == [(t.name, t.title, t.files, t.sessions) for t in LAYOUTS.values()]


@pytest.mark.parametrize("name", LAYOUTS)
def test_reader_opens_with_the_common_signature(name):
    assert list(inspect.signature(LAYOUTS[name].open).parameters) == ["path", "source", "bin_width_ms"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_options_of_a_layout_are_all_optional(name):
    options = LAYOUTS[name].options()
    assert dataclasses.is_dataclass(options)
    source = RecordingSource(layout=name, options=options)
    with pytest.raises(DataError, match="no such file"), open_raw(Path("none.mat"), source, 10.0):
        pass


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_can_be_found_in_a_folder_or_described_by_a_manifest(name):
    layout = LAYOUTS[name]
    assert layout.find is not None or layout.describe is not None
    assert bool(layout.endings or layout.takes_folder) == (layout.describe is not None)


def test_suffix_of_a_file_decides_its_layout():
    assert {ending: layout.name for ending, layout in layouts_by_ending().items()} == {
        ".nwb": "nwb",
        ".zarr": "nwb",
        ".h5": "arrays",
        ".hdf5": "arrays",
        ".mat": "arrays",
        ".npz": "arrays",
        ".npy": "arrays",
        **dict.fromkeys((".nev", ".ns1", ".ns2", ".ns3", ".ns4", ".ns5", ".ns6"), "neo"),
        **dict.fromkeys((".plx", ".smr", ".smrx", ".rhd", ".rhs"), "neo"),
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_name_of_a_layout_is_a_literal_of_its_reader_only(name):
    files = [path for path in READERS.parent.rglob("*.py") if f'"{name}"' in path.read_text()]
    assert files == [READERS / f"{name}.py"]

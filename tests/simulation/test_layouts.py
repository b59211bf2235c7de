"""Synthetic files of every layout, written with default options from the command line and found again."""

import pytest

from raydistill.cli import main
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.planning.discover import plan_sources
from raydistill.simulation.layouts import WRITERS, layout_config, write_layout
from tests.commands import raydistill

SESSIONS = {"makin": 6, "flint": 12, "gallego": 9, "neurotask": 9, "nwb": 9}
SMALL = ("duration_s=25", "min_units=4", "max_units=5", "min_channels=2", "max_channels=2")


@pytest.mark.parametrize("layout", WRITERS)
def test_defaults_of_a_layout_fit_it_and_all_sessions_are_found_again(layout, tmp_path, capsys):
    arguments = [word for text in SMALL for word in ("--set", text)]
    with pytest.raises(SystemExit) as done:
        main(["synth", str(tmp_path / "raw"), "--layout", layout, *arguments])
    assert done.value.code == 0
    files = capsys.readouterr().out.splitlines()
    with pytest.raises(SystemExit) as done:
        main(["ingest", str(tmp_path / "raw"), "--store", str(tmp_path / "store"), "--dry-run"])
    assert done.value.code == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "store, bins of" in line]
    assert len(lines) == SESSIONS[layout]
    assert {line.split()[-1] for line in lines} == set(files)
    assert {r.source.layout for r in plan_sources(tmp_path / "raw")} == {layout}


def test_defaults_of_a_layout_can_be_overridden():
    assert layout_config("nwb") == SyntheticConfig()
    assert layout_config("flint").subjects == 1 and layout_config("flint", ["subjects=2"]).subjects == 2


def test_rates_that_a_layout_cannot_hold_are_refused(tmp_path):
    config = layout_config("flint", [*SMALL, "lfp_rate_hz=500"])
    with pytest.raises(DataError, match="simulate with `lfp_rate_hz: 2000`"):
        list(write_layout("flint", config, tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("layout", "arrays", "limit"), [("flint", 2, 1), ("neurotask", 2, 1), ("makin", 3, 2)])
def test_arrays_that_a_layout_cannot_tell_apart_are_refused(layout, arrays, limit, tmp_path):
    config = layout_config(layout, [*SMALL, f"arrays={arrays}", "min_channels=3", "max_channels=3"])
    with pytest.raises(ConfigError, match=f"layout {layout} holds at most {limit} .* S1_01 has {arrays} .*`arrays`"):
        list(write_layout(layout, config, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_more_arrays_than_channels_are_refused_in_one_line_by_synth(tmp_path):
    done = raydistill("synth", "raw", "--set", "arrays=3", "--set", "min_channels=2", cwd=tmp_path, check=2)
    assert "`arrays` must be at most `min_channels`" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

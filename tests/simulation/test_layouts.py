"""Synthetic files of every layout, written with default options from the command line and found again."""

import pytest

from raydistill.cli import main
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.discover import plan_sources
from raydistill.simulation.layouts import WRITERS, layout_config, write_layout

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

"""Recordings in and out from the command line, in every layout."""

import pytest

from ..commands import raydistill, read_json

SMALL = {"subjects": 1, "sessions_per_subject": 1, "duration_s": 66, "min_units": 4, "max_units": 5}
SMALL |= {"min_channels": 4, "max_channels": 4}
SET = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize("layout", ["makin", "flint", "gallego", "neurotask"])
def test_synthetic_files_of_a_layout_are_found_again(tmp_path, layout):
    raydistill("synth", "raw", "--layout", layout, *SET, cwd=tmp_path, check=0)
    listed = raydistill("ingest", "raw", "--store", "store", "--dataset", layout, "--dry-run", cwd=tmp_path, check=0)
    assert len(listed.stdout.splitlines()) == 1 and not (tmp_path / "store").exists()


def test_layout_without_room_is_refused(tmp_path):
    done = raydistill("synth", "raw", "--layout", "makin", cwd=tmp_path, check=2)
    assert "has room for 2 subjects, not 3" in done.stderr


def test_exported_session_comes_in_again(finished_sweep, tmp_path):
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    raydistill("export", "S1_01", "--store", store, "--nwb", tmp_path / "out.nwb", cwd=tmp_path, check=0)
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        assert io.read().session_id == "S1_01"
    assert "S1_01" in [s["session"] for s in read_json("sessions", "--store", store, cwd=tmp_path)]

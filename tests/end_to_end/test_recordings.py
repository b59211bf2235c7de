"""Recordings in and out from the command line, in every layout."""

import pytest

from tests.commands import raydistill, read_json

SMALL = {"subjects": 1, "sessions_per_subject": 1, "duration_s": 66, "min_units": 4, "max_units": 5}
SMALL |= {"min_channels": 4, "max_channels": 4}
SET = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize("layout", ["makin", "flint", "gallego", "neurotask"])
def test_synthetic_files_of_a_layout_are_found_again(tmp_path, layout):
    raydistill("synth", "raw", "--layout", layout, *SET, cwd=tmp_path, check=0)
    listed = raydistill("ingest", "raw", "--store", "store", "--dataset", layout, "--dry-run", cwd=tmp_path, check=0)
    session, *missing = listed.stdout.splitlines()
    assert " store, bins of " in session and "raw/" in session and not (tmp_path / "store").exists()
    assert len(missing) == 1 and ": 1 of the paper's " in missing[0]


def test_dry_run_lists_what_is_stored_changed_or_missing(tmp_path):
    raydistill("synth", "raw", "--layout", "makin", *SET, cwd=tmp_path, check=0)
    command = ("ingest", "raw", "--store", "store", "--set", "ingest.splits.parent_s=6")
    raydistill(*command, cwd=tmp_path, check=0)
    listed = lambda *more: raydistill(*command, "--dry-run", *more, cwd=tmp_path, check=0).stdout  # noqa: E731
    assert "skip, unless its file has changed" in listed()
    assert "store again: the settings have changed" in listed(
        "--set", "units=sorted", "--set", "ingest.bin_width_ms=20"
    )
    (tmp_path / "raw" / "indy_20160622_01.nwb").unlink()
    assert "no broadband file for MonkeyI_20160622_01" in listed()
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("sessions: [{file: gone.h5, subject: a, bin_width_ms: 10, spikes: spikes}]")
    gone = raydistill("ingest", manifest, "--store", "store", "--dry-run", cwd=tmp_path, check=2)
    assert "fail: no file gone.h5" in gone.stdout and "gone.h5: no such file" in gone.stderr


def test_scale_belongs_to_the_layout_of_the_paper(tmp_path):
    done = raydistill("synth", "raw", "--scale", "tiny", cwd=tmp_path, check=2)
    assert "--layout paper" in done.stderr and len(done.stderr.splitlines()) == 1


def test_more_subjects_than_a_layout_holds_are_refused(tmp_path):
    done = raydistill("synth", "raw", "--layout", "makin", "--set", "subjects=3", cwd=tmp_path, check=2)
    assert "holds up to 2 subjects, but got 3" in done.stderr


def test_exported_session_opens_as_nwb(finished_sweep, tmp_path):
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    raydistill("export", "S1_01", "--store", store, "--nwb", tmp_path / "out.nwb", cwd=tmp_path, check=0)
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        assert io.read().session_id == "S1_01"
    assert "S1_01" in [s["session"] for s in read_json("sessions", "--store", store, cwd=tmp_path)]

"""Recordings in and out from the command line, in every layout."""

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.store.session import Session
from raydistill.store.store import Store
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


@pytest.mark.parametrize("layout", ["makin", "flint", "gallego", "neurotask", "nwb"])
def test_synth_never_writes_over_a_recording(tmp_path, layout):
    raydistill("synth", "raw", "--layout", layout, *SET, cwd=tmp_path, check=0)
    files = sorted(p for p in (tmp_path / "raw").iterdir() if not p.name.startswith("."))
    for file in files:
        file.write_bytes(b"the only copy")
    done = raydistill("synth", "raw", "--layout", layout, *SET, cwd=tmp_path, check=2)
    assert "this file exists already; give another name, or delete it first" in done.stderr
    assert [p.read_bytes() for p in files] == [b"the only copy"] * len(files)
    assert sorted((tmp_path / "raw").iterdir()) == files


def test_exported_session_is_ingested_as_the_same_session(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"spikes": rng.poisson(1, (1000, 4)), "lfp": rng.normal(size=(1000, 3))}
    session = Session.from_arrays("S1_01", subject="S1", bin_width_ms=20.0, **arrays)
    splits = Splits(segment_s=1, parent_s=1)
    store = Store(tmp_path / "store")
    entry = store.write(session, IngestConfig(bin_width_ms=20.0, splits=splits), "f" * 64)
    store.publish()
    command = ("export", "S1_01", "--store", "store", "--nwb")
    done = raydistill(*command, "S1_01.h5", cwd=tmp_path, check=2)
    assert "--nwb S1_01.h5: the name must end in .nwb" in done.stderr
    raydistill(*command, "S1_01.nwb", cwd=tmp_path, check=0)
    done = raydistill(*command, "S1_01.nwb", cwd=tmp_path, check=2)
    assert "S1_01.nwb: this file exists already; give another name, or `--overwrite`" in done.stderr
    raydistill(*command, "S1_01.nwb", "--overwrite", cwd=tmp_path, check=0)
    (tmp_path / "mine.nwb").write_bytes(b"the only copy")
    done = raydistill(*command, "mine.nwb", "--overwrite", cwd=tmp_path, check=2)
    assert "mine.nwb: raydistill did not write this file and never overwrites it" in done.stderr
    assert (tmp_path / "mine.nwb").read_bytes() == b"the only copy"
    made = raydistill("ingest", "S1_01.nwb", "--store", "again", cwd=tmp_path, check=0)
    assert "4 units, 3 LFP channels of session S1_01 as exported: 20 segments" in made.stdout + made.stderr
    assert Store(tmp_path / "again").entry("S1_01").content == entry.content


def test_exported_session_opens_as_nwb(finished_sweep, tmp_path):
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    raydistill("export", "S1_01", "--store", store, "--nwb", tmp_path / "out.nwb", cwd=tmp_path, check=0)
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(tmp_path / "out.nwb", "r") as io:
        assert io.read().session_id == "S1_01"
    assert "S1_01" in [s["session"] for s in read_json("sessions", "--store", store, cwd=tmp_path)]

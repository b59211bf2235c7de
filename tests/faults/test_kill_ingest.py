"""SIGKILL of an ingest: the same command continues, and the store equals that of an undisturbed ingest."""

import os
import signal
from pathlib import Path

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from tests.commands import raydistill, read_json, start, wait_until
from tests.faults.killing import descendants

SESSIONS = 6
SETTINGS = ("--set", "ingest.bin_width_ms=20", "--set", "ingest.splits.parent_s=5")


def markers(store):
    return {p.parent.name: p.stat().st_mtime_ns for p in store.glob("segments/*/session.json")}


def test_ingest_killed_midway_continues_and_ends_with_the_same_store(tmp_path):
    recordings, store = tmp_path / "recordings", tmp_path / "store"
    size = ("--set", "subjects=2", "--set", "sessions_per_subject=3", "--set", "duration_s=60")
    raydistill("synth", recordings, *size, cwd=tmp_path, check=0)
    command = ("ingest", recordings, "--store", store, "--workers", 1, *SETTINGS)

    process = start(*map(str, command), cwd=tmp_path)
    wait_until(lambda: len(markers(store)) >= 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = markers(store)
    assert 2 <= len(before) < SESSIONS and not (store / "sessions.parquet").exists()

    again = raydistill(*command, cwd=tmp_path, check=0)
    unchanged = int(again.stderr.split(" unchanged")[0].split()[-1])
    assert len(before) <= unchanged < SESSIONS  # the recording that was being ingested may have been finished
    assert {name: time for name, time in markers(store).items() if name in before} == before
    assert not list(store.rglob("*.tmp"))

    undisturbed = Store(str(tmp_path / "undisturbed"))
    for recording in plan_sources(recordings, overrides=SETTINGS[1::2]):
        assert ingest_one(recording, undisturbed.uri, None).state == "stored"
    content = lambda uri: {e.session: e.content for e in Store(uri).publish()}  # noqa: E731
    assert content(str(store)) == content(undisturbed.uri)
    assert len(read_json("sessions", "--store", store, cwd=tmp_path)) == SESSIONS


def test_killed_worker_of_an_ingest_prints_nothing_of_ray(tmp_path):
    recordings, store = tmp_path / "recordings", tmp_path / "store"
    size = ("--set", "subjects=2", "--set", "sessions_per_subject=3", "--set", "duration_s=60")
    raydistill("synth", recordings, *size, cwd=tmp_path, check=0)
    process = start("ingest", str(recordings), "--store", str(store), "--workers", "1", *SETTINGS, cwd=tmp_path)
    wait_until(lambda: len(markers(store)) >= 1, process)
    workers = []
    wait_until(
        lambda: workers.extend(p for p in descendants(process.pid) if "ray::_ingest" in title(p)) or workers, process
    )
    os.kill(workers[0], signal.SIGKILL)
    assert process.wait(120) == 0
    *stored, end = (tmp_path / "log.txt").read_text().splitlines()
    assert end == f"{SESSIONS} stored, 0 unchanged, 0 failed; store {store}"
    assert len(stored) == SESSIONS and all(line.startswith("stored") for line in stored)


def title(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""

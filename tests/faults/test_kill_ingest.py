"""SIGKILL of an ingest: the same command continues, and the store equals that of an undisturbed ingest."""

import os
import signal

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from tests.commands import raydistill, read_json, start, wait_until

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

"""A local Ray: on loopback, in a folder of its owner alone, and gone with the process that started it."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

PROGRAM = """
import json, os, sys, time, psutil
from raydistill.cluster import connected

with connected():
    import ray

    @ray.remote
    def work():
        return os.getpid()

    ray.get([work.remote() for _ in range(2)])
    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    listening = {c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"}
    session = ray._private.worker._global_node.get_session_dir_path()
    print(json.dumps({"listening": sorted(listening), "session": session, "pids": [p.pid for p in processes]}))
    sys.stdout.flush()
    if sys.argv[1] == "wait":
        time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    """Start the program, which prints what it sees of its Ray."""

    def start(mode):
        environment = os.environ | {"RAY_TMPDIR": "/tmp"}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, mode], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment
        )
        return process, json.loads(process.stdout.readline())

    return start


def private_folder(seen):
    return Path(seen["session"]).parents[1]


def test_local_ray_listens_on_loopback_only_and_leaves_nothing(start):
    process, seen = start("end")
    assert process.wait(60) == 0
    assert set(seen["listening"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"} and seen["listening"]
    assert not private_folder(seen).exists() and not left_after(20, seen["pids"])  # one may be about to end


def left_after(seconds, pids):
    """Those of the processes that are still there after so many seconds; as soon as there is none, the empty list."""
    end = time.monotonic() + seconds
    while (pids := [pid for pid in pids if psutil.pid_exists(pid)]) and time.monotonic() < end:
        time.sleep(0.2)
    return pids


def test_killed_driver_leaves_no_process_and_no_folder_within_seconds(start):
    process, seen = start("wait")
    mode = private_folder(seen).stat()
    assert stat.S_IMODE(mode.st_mode) == 0o700 and mode.st_uid == os.getuid()
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20  # Ray's own agents would stay for 60 s
    left = left_after(20, seen["pids"])
    while private_folder(seen).exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert not left and not private_folder(seen).exists()


def test_interrupted_driver_leaves_no_process_and_no_folder(start):
    process, seen = start("wait")
    for child in psutil.Process(process.pid).children(recursive=True):  # as one who ends the whole tree at once
        child.kill()
    process.send_signal(signal.SIGINT)
    process.wait(60)
    end = time.monotonic() + 20
    while private_folder(seen).exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not private_folder(seen).exists()


def test_folder_whose_guard_was_killed_too_is_removed_by_the_next_start(tmp_path, monkeypatch):
    from filelock import FileLock

    from raydistill.cluster.folder import LOCK, ray_folder

    place = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(place))
    left, used, foreign = (place / f"rd-{name}" for name in ("left", "used", "foreign"))
    for folder in (left, used, foreign):
        folder.mkdir()
        if folder != foreign:
            (folder / LOCK).touch()
        os.utime(folder, (time.time() - 3600, time.time() - 3600))
    with FileLock(used / LOCK), ray_folder() as own:
        assert own.parent in place.iterdir()
        assert not left.exists() and used.exists() and foreign.exists()
    shutil.rmtree(place)


def test_ray_goes_to_tmp_where_the_path_of_a_socket_would_be_too_long(tmp_path, monkeypatch):
    from raydistill.cluster.folder import ray_folder

    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with ray_folder() as folder:
        assert folder.parents[1] == Path("/tmp")
    monkeypatch.setenv("RAY_TMPDIR", "/var/tmp")
    with ray_folder() as folder:
        assert folder.parents[1] == Path("/var/tmp")
        (folder / "log").mkdir(parents=True)
    assert not folder.parent.exists()

"""An MLflow server as a process of its own, and waits, for the tests of tracking."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    return urllib.request.urlopen(url, timeout=10).read()


def wait_for(ready, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process is None or process.poll() is None, f"ended with code {process.returncode}"
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready after {seconds} s")


def start_server(folder, port, database=None):
    """A tracking server with artifacts and, by default, database in a folder; it ends with its standard input."""
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": database or f"sqlite:///{folder / 'server.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "server-artifacts"),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "raydistill.tracking.serving", str(port)]
    server = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=(folder / "server.log").open("a"))
    wait_for(lambda: get(f"http://127.0.0.1:{port}/health") == b"OK", server)
    return server

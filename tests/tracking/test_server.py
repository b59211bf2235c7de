"""Ending the MLflow server: nothing of it is left, even if it does not end when it is asked."""

import subprocess
import sys
import time

import psutil

from raydistill.tracking.server import _end

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_server_that_ignores_the_signal_is_killed_with_its_workers():
    server = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(server.stdout.readline()))
    _end(server, patience_s=0.2)
    assert server.poll() is not None
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker still runs"
        time.sleep(0.05)

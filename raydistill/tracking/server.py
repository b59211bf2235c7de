"""The MLflow UI of a runs folder, as a local server."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from raydistill.errors import RaydistillError, without_password
from raydistill.tracking.location import database_file, location


def serve(runs: Path, port: int = 5000) -> None:
    """Serve the MLflow UI of a runs folder on the loopback interface until Ctrl-C or SIGTERM.

    Raises:
        RaydistillError: the runs folder has no runs, the port cannot be used, or the server fails.
    """
    uri, artifacts = location(runs)
    if artifacts is None:
        print(f"MLFLOW_TRACKING_URI is already a server: open {without_password(uri)}", file=sys.stderr)
        return
    file = database_file(uri)
    if file is not None and not file.exists():
        raise RaydistillError(
            f"{file} does not exist: run `raydistill sweep` first, name the folder of its runs with `--runs`, or set "
            "MLFLOW_TRACKING_URI"
        )
    _check_port(port)
    server = _start(uri, artifacts, port)
    try:
        if code := server.wait():
            raise RaydistillError(f"the MLflow server ended with code {code}; its own message is above")
    except KeyboardInterrupt:
        pass
    finally:
        _end(server)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise RaydistillError(f"port {port} cannot be used: {error}; choose another with `--port`") from error


def _start(uri: str, artifacts: str, port: int) -> subprocess.Popen:
    # The address goes through the environment, because a list of processes would show its password.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    print(f"MLflow at http://127.0.0.1:{port} in a few seconds (Ctrl-C ends it)", file=sys.stderr, flush=True)
    # A shell that starts a command in the background makes it ignore Ctrl-C; both signals end it in any case.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    # In its own session the server does not receive the terminal's Ctrl-C, only the signal from `_end`.
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _end(server: subprocess.Popen, patience_s: float = 5.0) -> None:
    """Ask the server to end; kill it with its workers if it still waits for a browser to close its connection."""
    server.terminate()
    try:
        server.wait(patience_s)
    except subprocess.TimeoutExpired:
        import psutil

        for process in (*psutil.Process(server.pid).children(recursive=True), server):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()

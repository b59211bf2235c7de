"""The MLflow UI of a runs folder, as a local server."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from raydistill.errors import RaydistillError
from raydistill.tracking.database import mend_locations, prepare
from raydistill.tracking.landing import landing_address, sweeps_of
from raydistill.tracking.location import OWN_DATABASE, database_file, location, shown
from raydistill.tracking.locations import locations_outside


def serve(runs: Path, port: int = 5000) -> None:
    """Serve the MLflow UI of a runs folder on the loopback interface until Ctrl-C, SIGTERM or SIGHUP.

    Of its own database, only artifacts inside of the runs folder are served; a folder that cannot be written is served
    from a copy of its database.

    Raises:
        RaydistillError: the runs folder has no runs, the port cannot be used, or the server fails.
    """
    uri, artifacts = location(runs)
    if artifacts is None:
        print(f"MLFLOW_TRACKING_URI is already a server: open {shown(uri)}", file=sys.stderr)
        return
    file = database_file(uri)
    if file is not None and not file.exists():
        raise RaydistillError(
            f"{file} does not exist: run `raydistill sweep` first, name the folder of its runs with `--runs`, or set "
            "MLFLOW_TRACKING_URI"
        )
    _check_port(port)
    with contextlib.ExitStack() as stack:
        root = None
        if file is not None and file == runs.resolve() / OWN_DATABASE:
            root = runs.resolve()
            uri = f"sqlite:///{_checked(file, root, artifacts, stack)}"
        server = _start(uri, artifacts, port, root)
        try:
            if _answers(server, port):
                _say_addresses(database_file(uri), port)
            if code := server.wait():
                raise RaydistillError(f"the MLflow server ended with code {code}; its own message is above")
        except KeyboardInterrupt:
            pass
        finally:
            _end(server)


def _checked(file: Path, root: Path, artifacts: str, stack: contextlib.ExitStack) -> Path:
    """The database to serve: the file itself or a copy, whose artifacts lie where the runs folder is now."""
    try:
        if file.resolve() != file:
            raise RaydistillError(
                f"{file} leads to {file.resolve()}, outside of the runs folder; put the file itself there"
            )
        if os.access(file, os.W_OK) and os.access(root, os.W_OK):
            prepare(file, artifacts)
        else:
            file = _copied(file, artifacts, Path(stack.enter_context(TemporaryDirectory(prefix="raydistill-ui-"))))
        outside = locations_outside(file, root)
    except (sqlite3.Error, OSError) as error:
        raise RaydistillError(f"cannot open {file}: {error}") from error
    if outside:
        names = ", ".join(outside[:3]) + (f" and {len(outside) - 3} more" if len(outside) > 3 else "")
        print(f"not served, because they are outside of {root}: artifacts in {names}", file=sys.stderr)
    return file


def _copied(file: Path, artifacts: str, folder: Path) -> Path:
    """A copy of a database in a folder that can be written."""
    copy = folder / file.name
    for ending in ("", "-wal"):
        if (source := file.with_name(file.name + ending)).exists():
            shutil.copyfile(source, folder / source.name)
    with contextlib.closing(sqlite3.connect(copy)) as database, database:
        mend_locations(database, artifacts)
    return copy


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise RaydistillError(f"port {port} cannot be used: {error}; choose another with `--port`") from error


def _start(uri: str, artifacts: str, port: int, root: Path | None) -> subprocess.Popen:
    # The address goes through the environment, because a list of processes would show its password.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    # With -P, a file in the working folder is not imported in the place of a module.
    command = [sys.executable, "-P", "-m", "raydistill.tracking.serving", str(port), *([str(root)] if root else [])]
    print("MLflow starts, which takes some seconds (Ctrl-C ends it)", file=sys.stderr, flush=True)
    # A shell that starts a command in the background makes it ignore Ctrl-C; both signals end it in any case. `nohup`
    # makes a command ignore the end of its terminal on purpose.
    endings = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        endings.add(signal.SIGHUP)
    for ending in endings:
        signal.signal(ending, signal.default_int_handler)
    # In its own session the server does not receive the terminal's Ctrl-C, only the signal from `_end`. The pipe is
    # closed when this process ends, even if it is killed, and ends the server.
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)


def _answers(server: subprocess.Popen, port: int) -> bool:
    """Wait until the server takes connections; False if it ends before."""
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.2)
    return False


def _say_addresses(database: Path | None, port: int) -> None:
    """Print the address of each sweep, or of MLflow if its database is no file."""
    root = f"http://127.0.0.1:{port}"
    sweeps = sweeps_of(database) if database else []
    width = max((len(name) for name in sweeps), default=0)
    lines = [f"{name:<{width}}  {landing_address(root, name)}" for name in sweeps]
    for line in lines or [f"MLflow at {root}/#/experiments?workflowType=machine_learning"]:
        print(line, file=sys.stderr, flush=True)


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

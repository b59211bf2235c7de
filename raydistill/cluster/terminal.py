"""Keeping the terminal for the lines that are meant for the user: everything else goes to a log file.

Ray, MLflow and the C++ code under them write warnings, tracebacks and abort messages, dozens of lines for one event.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from raydistill.interrupts import terminals

STDERR = 2


@contextlib.contextmanager
def reserved(log: Path) -> Iterator[TextIO]:
    """Let what this process prints, and those that it starts, go to a log file; yields a stream to the terminal.

    The terminal is where stderr went before. If the log cannot be written, everything still goes there.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = open(log, "a", buffering=1)  # noqa: SIM115 - loggers that Ray creates keep it
    except OSError:
        yield sys.stderr
        return
    sys.stderr.flush()
    before, streams = os.dup(STDERR), (sys.stdout, sys.stderr)
    # In tests, sys.stderr is not the stream of the process.
    is_of_process = sys.stderr is sys.__stderr__
    terminal = open(os.dup(before), "w", buffering=1) if is_of_process else sys.stderr  # noqa: SIM115
    os.dup2(file.fileno(), STDERR)
    sys.stdout = sys.stderr = file  # threads of Ray print to both
    terminals.append(terminal)
    try:
        yield terminal
    finally:
        terminals.remove(terminal)
        sys.stdout, sys.stderr = streams
        os.dup2(before, STDERR)
        os.close(before)
        with contextlib.suppress(OSError):
            terminal.flush()

"""Events that end a command before its time: Ctrl-C, the signals of schedulers and terminals, a time limit, a lost Ray.

Each of them is raised in the main thread as `Interrupted`, so that every command ends in the same way: what is running
is stopped, what is finished is kept. Libraries that no exception may interrupt, such as Ray Tune, run in other threads.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP, which a closed terminal sends",
}
"""The signals that end a command, and what is printed."""
TOGETHER_S = 0.5
"""Signals that come within this time count as one: a terminal or a scheduler may send several."""
_WAKE = signal.SIGURG  # ignored by default, and used by no library here

terminals: list[TextIO] = []
"""Streams to the terminal, the last of which is used while stderr goes elsewhere."""
_first: list[float] = []
"""Time of the first signal."""
_thrown: list["Interrupted"] = []
_raised: list["Interrupted"] = []
"""Those that were raised: C++ code of Ray that is interrupted raises a KeyboardInterrupt of its own instead."""


class Interrupted(KeyboardInterrupt):
    """The command ends before its time; finished work is kept, and the same command continues.

    Args:
        code: exit code of the command; of a signal 128 plus its number, as a shell reports it.
    """

    def __init__(self, message: str, code: int = 130):
        super().__init__(message)
        self.code = code


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Let the signals raise Interrupted in the main thread; a signal that is ignored, as by nohup, stays ignored.

    A second signal ends this process and those that it started at once.
    """
    _first.clear()
    _raised.clear()
    with kept():
        if threading.current_thread() is threading.main_thread():
            for number in (*SIGNALS, _WAKE):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, _handle)
        try:
            yield
        except KeyboardInterrupt as err:
            if _raised and not isinstance(err, Interrupted):
                raise _raised[0] from err
            raise


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back the handlers of the signals at the end, where a library sets its own."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, _WAKE)}
    try:
        yield
    except SystemExit as err:  # by Ray's handler of SIGTERM
        if err.code != signal.SIGTERM:
            raise
        raise Interrupted(SIGNALS[signal.SIGTERM], 128 + signal.SIGTERM) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def throw(err: Interrupted) -> None:
    """Raise `err` in the main thread, from any other thread."""
    _thrown.append(err)
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, _WAKE)  # a signal also ends a system call that waits


def end_at_once(code: int, message: str) -> None:
    """Print a line, then end this process and all that it started, without any clean-up."""
    import psutil

    with contextlib.suppress(OSError, ValueError):
        print(f"raydistill: {message}", file=terminals[-1] if terminals else sys.stderr, flush=True)
    with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
        terminal.write("\x1b[?25h\n")  # show the cursor, which a live table hides
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(code)


def _handle(number: int, frame: object) -> None:
    if _thrown:
        _raised.append(_thrown.pop())
    elif number == _WAKE:
        return
    elif not _first:
        _first.append(time.monotonic())
        _raised.append(Interrupted(SIGNALS[signal.Signals(number)], 128 + number))
    elif time.monotonic() - _first[0] > TOGETHER_S:
        end_at_once(128 + number, "ended at once; finished work is kept")
    else:
        return
    raise _raised[-1]

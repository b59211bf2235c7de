"""Events that end a command before its time: Ctrl-C, the signals of schedulers and terminals, a time limit, a lost Ray.

Each of them is raised in the main thread as `Interrupted`, so that every command ends in the same way: what is running
is stopped, what is finished is kept. Libraries that no exception may interrupt, such as Ray Tune, run in other threads.
Compiled code of a library may drop an exception that is raised in the middle of it: it is then raised again.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TextIO

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP, which a closed terminal sends",
}
"""The signals that end a command, and what is printed."""
CONTINUES = "finished work is kept; run the same command again to continue"
"""What is printed after the cause."""
TOGETHER_S = 0.5
"""Signals that come within this time count as one: a terminal or a scheduler may send several."""
_AGAIN_S = 0.1
"""Time until an interrupt that was dropped is raised again."""
_WAKE = signal.SIGURG  # ignored by default, and used by no library here

terminals: list[TextIO] = []
"""Streams to the terminal, the last of which is used while stderr goes elsewhere."""
_first: list[float] = []
"""Time of the first signal, or of the first interrupt by another thread."""
_thrown: list["Interrupted"] = []
_raised: list[tuple[str, int]] = []
"""Messages and codes of those that were raised: interrupted C++ code of Ray raises a KeyboardInterrupt of its own."""
_alive: list["weakref.ref[Interrupted]"] = []
"""The one that was raised last, while `handled` is active."""
_dropped: list[tuple[str, int]] = []
"""Message and code of one that is gone although the command has not ended."""


class Interrupted(KeyboardInterrupt):
    """The command ends before its time; finished work is kept, and the same command continues.

    Args:
        code: exit code of the command; of a signal 128 plus its number, as a shell reports it.
        then: what is left of the command, and what the same command would do.
    """

    def __init__(self, message: str, code: int = 130, then: str = CONTINUES):
        super().__init__(message)
        self.code, self.then = code, then


@contextlib.contextmanager
def leaving(then: str) -> Iterator[None]:
    """Let an interrupt say this instead of `CONTINUES`, in commands that cannot continue."""
    try:
        yield
    except KeyboardInterrupt as err:
        raise Interrupted(str(err) or SIGNALS[signal.SIGINT], getattr(err, "code", 130), then) from err


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Let the signals raise Interrupted in the main thread; a signal that is ignored, as by nohup, stays ignored.

    A second signal ends this process and those that it started at once.
    """
    _first.clear()
    _raised.clear()
    _alive.clear()
    with kept():
        if threading.current_thread() is threading.main_thread():
            for number in (*SIGNALS, _WAKE):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, _handle)
        try:
            yield
        except KeyboardInterrupt as err:
            if _raised and not isinstance(err, Interrupted):
                raise Interrupted(*_raised[0]) from err
            raise
        finally:
            _alive.clear()
            _dropped.clear()


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
    """Raise `err` in the main thread, from any other thread, unless that thread is ending by an earlier interrupt."""
    _thrown.append(err)
    _wake()


def _wake() -> None:
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
    if _thrown or _dropped:
        err = _thrown.pop() if _thrown else Interrupted(*_dropped.pop())
        if _is_ending():  # a second exception would end the clean-up halfway
            return
    elif number == _WAKE:
        return
    elif not _first:
        err = Interrupted(SIGNALS[signal.Signals(number)], 128 + number)
    elif time.monotonic() - _first[0] > TOGETHER_S:
        end_at_once(128 + number, "ended at once; finished work is kept")
    else:
        return
    if not _first:
        _first.append(time.monotonic())
    message, code = str(err), err.code
    _raised.append((message, code))
    # Code that cannot pass on an exception drops it.
    _alive[:] = [weakref.ref(err, lambda _: _raise_again(message, code))]
    try:
        raise err
    finally:
        del err  # the traceback holds this frame, which must not hold the exception


def _raise_again(message: str, code: int) -> None:
    _dropped.append((message, code))
    # Later: an exception that is raised within a callback, where this runs, would be dropped as well.
    timer = threading.Timer(_AGAIN_S, _wake)
    timer.daemon = True
    timer.start()


def _is_ending() -> bool:
    """Whether an interrupt is on its way through the main thread, where this is called."""
    err = sys.exception()
    while err is not None and not isinstance(err, KeyboardInterrupt):
        err = err.__context__
    return err is not None

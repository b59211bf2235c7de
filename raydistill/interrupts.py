"""Events that end a command before its time: Ctrl-C, the signals of schedulers and terminals, the time limit, a lost Ray.

Each of them is raised in the main thread as `Interrupted`, so that every command ends in the same way: what is running
is stopped, what is finished is kept. Other threads do the work that no exception may interrupt, such as Ray Tune's.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import psutil

SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "ended by SIGTERM",
    signal.SIGHUP: "ended by SIGHUP, the terminal was closed",
}
"""The signals that end a command, and what is printed."""

_received: list[signal.Signals] = []
_thrown: list["Interrupted"] = []


class Interrupted(KeyboardInterrupt):
    """The command ends before its time; finished work is kept, and the same command continues.

    Args:
        code: exit code of the command; of a signal 128 plus its number, as a shell reports it.
    """

    def __init__(self, message: str, code: int = 130):
        super().__init__(message)
        self.code = code


def install() -> None:
    """Let the signals raise Interrupted in this thread, the main one; a signal that is ignored, as by nohup, stays so.

    A second signal ends this process and those that it started at once.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep the handlers of the signals where a library sets its own, and let its SystemExit be an interrupt."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    except SystemExit as err:  # Ray's handler of SIGTERM
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
    signal.pthread_kill(ident, signal.SIGTERM)  # a signal also ends a system call that waits


def end_at_once(code: int) -> None:
    """End this process and all that it started, without any clean-up."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(code)


def _handle(number: int, frame: object) -> None:
    if _thrown:
        raise _thrown.pop()
    if _received:
        end_at_once(128 + number)
    _received.append(signal.Signals(number))
    raise Interrupted(SIGNALS[signal.Signals(number)], 128 + number)

"""Running something in another thread, so that Ctrl-C is a KeyboardInterrupt in the main one."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

_threads: list[threading.Thread] = []


def in_a_thread(function: Callable[[], object]) -> Future:
    """Run `function` in another thread, which ends with the process.

    In the main thread Ray Train would install its own signal handler, end the process without a message, and leave
    the handler behind.
    """
    future: Future = Future()

    def run():
        try:
            future.set_result(function())
        except BaseException as err:
            future.set_exception(err)

    thread = threading.Thread(target=run, daemon=True)  # an executor's thread would delay the end of the process
    _threads[:] = [other for other in _threads if other.is_alive()] + [thread]
    thread.start()
    return future


def any_running() -> bool:
    """Whether a thread of `in_a_thread` has not ended.

    Ray must not be shut down then: a thread that calls Ray at that moment ends the process, with exit code 1 or by a
    segmentation fault, before the command has cleaned up.
    """
    for thread in _threads:
        thread.join(0.1)  # one whose result is known takes a moment to end
    return any(thread.is_alive() for thread in _threads)

"""Running something in another thread, so that Ctrl-C is a KeyboardInterrupt in the main one."""

import threading
from collections.abc import Callable
from concurrent.futures import Future


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

    threading.Thread(target=run, daemon=True).start()  # an executor's thread would delay the end of the process
    return future

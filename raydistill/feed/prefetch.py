"""Preparing the next items in a thread while the current one is used."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Prefetcher(Iterator[T]):
    """Iterates over `items` in a thread, up to `depth` items ahead; `waited_s` is how long the consumer has waited.

    An error in the thread is raised where the next item is requested. Use this as a context manager; at its end the
    thread ends.
    """

    def __init__(self, items: Iterable[T], depth: int = 2):
        self.waited_s = 0.0
        self._items: queue.Queue = queue.Queue(maxsize=depth)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), daemon=True)

    def __enter__(self) -> "Prefetcher[T]":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._left.set()
        self._thread.join()

    def __next__(self) -> T:
        started = time.perf_counter()
        kind, item = self._items.get()
        self.waited_s += time.perf_counter() - started
        if kind == "item":
            return item
        raise StopIteration if kind == "end" else item

    def _run(self, items):
        try:
            for item in items:
                if not self._put(("item", item)):
                    return
            self._put(("end", None))
        except BaseException as err:  # the consumer raises it
            self._put(("error", err))

    def _put(self, entry) -> bool:
        """Wait until there is room for the entry; False if the consumer has left the context."""
        while not self._left.is_set():
            try:
                self._items.put(entry, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

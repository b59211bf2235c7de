"""Preparing the next items in a thread while the current one is used."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Prefetcher(Iterator[T]):
    """Iterates in its own thread, up to `depth` items ahead, and measures how long the consumer waited.

    An error in the thread is raised where the item is requested. Use as a context manager: leaving it ends the thread.
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
        """False when the consumer has left."""
        while not self._left.is_set():
            try:
                self._items.put(entry, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

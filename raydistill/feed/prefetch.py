"""Doing the next pieces of work in a thread while the current one is used."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Ahead(Iterator[T]):
    """Iterates in a thread of its own, `depth` items ahead, and counts how long its user had to wait.

    What the thread raises is raised where the item is asked for. Use as a context: leaving it ends the thread.
    """

    def __init__(self, items: Iterable[T], depth: int = 2):
        self.waited_s = 0.0
        self._items: queue.Queue = queue.Queue(maxsize=depth)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), daemon=True)

    def __enter__(self) -> "Ahead[T]":
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
        except BaseException as err:  # an error of the items belongs to whoever uses them
            self._put(("error", err))

    def _put(self, told) -> bool:
        """False once nobody waits for it any more."""
        while not self._left.is_set():
            try:
                self._items.put(told, timeout=0.05)
                return True
            except queue.Full:
                continue
        return False

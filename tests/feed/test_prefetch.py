"""Preparing items in a thread: the same items in the same order, errors where they are requested, no thread left."""

import threading
import time

import pytest

from raydistill.feed.prefetch import Prefetcher


def test_items_come_in_order_and_end():
    with Prefetcher(range(20)) as items:
        assert list(items) == list(range(20))


def test_error_of_an_item_is_raised_where_it_is_asked_for():
    def items():
        yield 1
        raise ValueError("broken")

    with Prefetcher(items()) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="broken"):
            next(ahead)


def test_leaving_early_ends_the_thread_and_closes_the_items():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    before = threading.active_count()
    with Prefetcher(items()) as ahead:
        next(ahead)
    assert closed.wait(5) and threading.active_count() == before


def test_no_more_than_the_depth_is_made_ahead():
    made = []

    def items():
        for i in range(100):
            made.append(i)
            yield i

    with Prefetcher(items(), depth=2) as ahead:
        next(ahead)
        time.sleep(0.3)
        assert len(made) <= 5


def test_waiting_is_counted():
    def slow():
        for i in range(3):
            time.sleep(0.05)
            yield i

    with Prefetcher(slow()) as ahead:
        list(ahead)
    assert 0.1 < ahead.waited_s < 5

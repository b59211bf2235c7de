"""A clock that is set back while a local Ray runs."""

import time

import pytest

from raydistill.cluster.processes import SystemClock


@pytest.fixture
def set_clock(monkeypatch):
    """Set the clock by so many seconds."""
    real, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])
    return lambda seconds: shift.__setitem__(0, shift[0] + seconds)


def test_clock_that_was_set_back_is_noticed_once(set_clock):
    clock = SystemClock()
    set_clock(-3600)
    assert clock.set_back_s() == pytest.approx(3600, abs=1)
    assert clock.set_back_s() == pytest.approx(0, abs=1)


def test_clock_that_was_set_forward_and_back_again_is_noticed_when_it_goes_back(set_clock):
    clock = SystemClock()
    set_clock(3600)
    assert clock.set_back_s() < 0
    set_clock(-3600)
    assert clock.set_back_s() == pytest.approx(3600, abs=1)

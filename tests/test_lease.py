"""One command at a time has the lease of a folder in an object store; a dead one's is taken over."""

import json

import pytest

from raydistill import lease
from raydistill.errors import RaydistillError
from raydistill.lease import FOLDER, Lease, LeaseLostError
from raydistill.object_store import StoredFolder
from tests.buckets import serving


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, serving() as served:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield served


@pytest.fixture
def store(bucket, request):
    return StoredFolder(bucket.uri(request.node.name))


def of_other_machine(lease_, **changes):
    """Let a lease look as if another machine had it."""
    lease_._about |= {"host": "elsewhere", "pid": 7} | changes
    return lease_


def test_lease_that_a_living_command_has_is_refused_and_given_after_its_release(store):
    first = of_other_machine(Lease(store))
    first.acquire(lambda line: None)
    lines, second = [], Lease(store)

    def wait_and_beat(seconds):
        import time

        time.sleep(1.1)  # the times of this store are whole seconds
        first.beat()

    with pytest.raises(RaydistillError, match=r"another raydistill process is using these runs \(process 7 on elsewh"):
        second.acquire(lines.append, wait_and_beat)
    assert len(lines) == 1 and "may have ended" in lines[0]
    first.check()
    assert len(store.list(FOLDER)) == 1  # the refused one has left nothing
    first.release()
    second.acquire(lines.append)
    assert json.loads(store.read(second._name))["holds"]
    second.release()
    assert store.list(FOLDER) == {}


def test_lease_of_a_command_that_died_elsewhere_is_taken_when_it_has_expired(store, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRES_S", 2.0)
    of_other_machine(Lease(store)).acquire(lambda line: None)
    lines, second = [], Lease(store)
    second.acquire(lines.append, lambda seconds: __import__("time").sleep(1.0))
    assert list(store.list(FOLDER)) == [second._name] and len(lines) == 1


def test_lease_of_a_command_that_died_on_this_machine_is_taken_at_once(store):
    dead = Lease(store)
    dead._about |= {"pid": 2**22 - 1}  # no such process
    dead.acquire(lambda line: None)
    second = Lease(store)
    second.acquire(pytest.fail, pytest.fail)
    assert list(store.list(FOLDER)) == [second._name]


def test_command_that_was_cut_off_finds_that_another_has_taken_over_and_stops(store, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRES_S", 2.0)
    first = of_other_machine(Lease(store))
    first.acquire(lambda line: None)
    second = of_other_machine(Lease(store), pid=8)
    second.acquire(lambda line: None, lambda seconds: __import__("time").sleep(1.0))
    first.beat()
    with pytest.raises(LeaseLostError, match="process 8 on elsewhere"):
        first.check()
    second.beat()
    second.check()


def test_two_commands_that_ask_at_the_same_moment_never_both_have_it(store):
    """Each lists after the other has written, which is the worst order."""
    first, second = of_other_machine(Lease(store)), of_other_machine(Lease(store), pid=8)
    turns = []

    class Meanwhile:
        """While the first waits, the second asks."""

        def __call__(self, seconds):
            turns.append(seconds)
            store.delete(second._name)  # the second has withdrawn, too

    second._write(holds=False)
    first.acquire(pytest.fail, Meanwhile())
    assert len(turns) == 1 and list(store.list(FOLDER)) == [first._name]


def test_store_that_does_not_answer_stops_no_heartbeat_and_loses_no_lease(store, bucket):
    one = Lease(store)
    one.acquire(lambda line: None)
    bucket.fault = "denied"
    try:
        one.beat()
    finally:
        bucket.fault = ""
    one.check()
    one.beat()
    one.check()
    one.release()

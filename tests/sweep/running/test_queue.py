"""The queue: a job starts once its sources are done, and a failure also stops the jobs that need it."""

from hypothesis import given
from hypothesis import strategies as st

from raydistill.sweep.running.queue import Queue, longest_paths
from tests.sweep.jobs import make_job

JOBS = [make_job("a"), make_job("b", "a"), make_job("c", "b"), make_job("d"), make_job("e", "a", "d")]


def test_queue_returns_jobs_when_their_sources_are_done():
    queue = Queue(JOBS, set())
    assert [queue.next().key, queue.next().key, queue.next()] == ["a", "d", None]
    queue.succeed("a")
    assert [queue.next().key, queue.next()] == ["b", None]
    queue.succeed("d")
    assert queue.next().key == "e" and not queue.exhausted


def test_queue_counts_jobs_that_were_done_before():
    assert Queue(JOBS[1:], {"a"}).next().key == "b"


def test_queue_failure_stops_every_job_that_needs_the_failed_one():
    queue = Queue(JOBS, set())
    queue.next()
    stopped = queue.fail("a", "boom")
    assert [(job.key, cause) for job, cause in stopped] == [
        ("a", "boom"),
        ("b", "needs a, which failed"),
        ("c", "needs b, which failed"),
        ("e", "needs a, which failed"),
    ]
    assert queue.next().key == "d" and queue.next() is None


def test_queue_with_a_job_that_was_stopped_starts_neither_it_nor_another():
    queue = Queue([make_job("ms", session=None), make_job("alone")], set())
    queue.next(pretraining=True)
    queue.put_back("ms")
    assert queue.next(pretraining=True) is None and queue.next() is None
    assert queue.exhausted and sorted(queue.waiting) == ["alone", "ms"]


def test_queue_lets_pretrainings_and_session_jobs_wait_for_each_other():
    jobs = [make_job("ms", session=None), make_job("teacher", "ms"), make_job("ms_distilled", "teacher", session=None)]
    queue = Queue([*jobs, make_job("student", "ms_distilled"), make_job("alone")], set())
    assert queue.next(pretraining=True).key == "ms" and queue.next(pretraining=True) is None
    queue.succeed("ms")
    assert [queue.next().key, queue.next().key] == ["teacher", "alone"] and not queue.exhausted
    queue.succeed("teacher"), queue.succeed("alone")
    assert queue.exhausted and queue.waiting
    assert queue.next(pretraining=True).key == "ms_distilled"
    queue.succeed("ms_distilled")
    assert not queue.exhausted and queue.next().key == "student"


@given(st.data())
def test_queue_ends_with_every_job_done_or_failed(data):
    n = data.draw(st.integers(1, 8))
    parents = [data.draw(st.sets(st.integers(0, i - 1), max_size=2)) if i else set() for i in range(n)]
    jobs = [make_job(str(i), *map(str, sorted(p))) for i, p in enumerate(parents)]
    queue, done, failed = Queue(jobs, set()), set(), set()
    while not queue.exhausted:
        while (job := queue.next()) is not None:
            assert done.issuperset(job.depends_on)
        key = data.draw(st.sampled_from(sorted(queue.running)))
        if data.draw(st.booleans()):
            done.add(queue.succeed(key).key)
        else:
            failed |= {job.key for job, _ in queue.fail(key, "boom")}
    assert done | failed == {job.key for job in jobs} and not done & failed


def test_queue_begins_with_the_longest_path():
    jobs = [make_job("alone"), make_job("first"), make_job("second", "first"), make_job("third", "second")]
    seconds = {"alone": 5.0, "first": 1.0, "second": 3.0, "third": 2.0}
    assert longest_paths(jobs, seconds) == {"alone": 5.0, "first": 6.0, "second": 5.0, "third": 2.0}
    queue = Queue(jobs, set(), seconds=seconds)
    assert [queue.peek(False).key, queue.next().key] == ["first", "first"]
    queue.succeed("first")
    assert [queue.next().key, queue.next().key, queue.next()] == ["alone", "second", None]


def test_queue_is_exhausted_while_only_a_pretraining_runs():
    queue = Queue([make_job("ms", session=None), make_job("teacher", "ms")], set())
    queue.next(pretraining=True)
    assert queue.exhausted and queue.session_jobs_running == 0
    queue.succeed("ms")
    assert not queue.exhausted

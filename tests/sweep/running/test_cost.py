"""The cost of a run: seconds per line of the sweep file, overhead per job, CPU utilisation."""

import time

import pytest

from raydistill.sweep.answering.cost import Cost, LineCost, duration, in_words, total
from raydistill.sweep.running.meter import Meter
from tests.sweep.jobs import make_job


def job(name):
    return make_job(name, session="S1")


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_meter_divides_the_time_of_the_fan_out_among_its_jobs():
    meter = Meter(slots=2, several_machines=False)
    with meter.fanning_out():
        spin(0.4)
    meter.add(job("ss_lfp/S1/seed0"), 0.1)
    meter.add(job("ss_lfp/S2/seed0"), 0.3)
    cost = meter.cost()
    assert [(line.name, line.jobs) for line in cost.lines] == [("ss_lfp", 2)]
    assert cost.lines[0].seconds == pytest.approx(0.4)
    # Two slots were occupied during the fan-out; the jobs themselves used 0.4 s of that time.
    assert 0.399 < meter.fan_out_s < cost.wall_s
    assert cost.overhead_s_per_job == pytest.approx((2 * meter.fan_out_s - 0.4) / 2)
    assert 0 < cost.busy_share <= 1


def test_meter_on_several_machines_leaves_out_what_describes_one():
    meter = Meter(slots=2, several_machines=True)
    meter.add(job("ss_lfp/S1/seed0"), 0.1)
    cost = meter.cost()
    assert (cost.busy_share, cost.overhead_s_per_job, cost.peak_memory_gb) == (None, None, None)
    assert in_words(cost) == "1 job in 0 s"


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (95, "1 min 35 s"), (7260, "2 h 1 min")])
def test_duration_has_at_most_two_units(seconds, text):
    assert duration(seconds) == text


def test_cost_in_words_is_one_line():
    line = LineCost("ss_lfp", jobs=3, seconds=2.0)
    cost = Cost(wall_s=95.0, busy_share=0.5, overhead_s_per_job=0.67, peak_memory_gb=1.25, lines=(line,))
    assert in_words(cost) == "3 jobs in 1 min 35 s, CPU utilisation 50%, 0.67 s overhead per job, 1.2 GB of memory"


def test_cost_of_trials_and_comparison_is_that_of_both_weighed_by_what_each_ran():
    ran = {"busy_share": 0.5, "overhead_s_per_job": 1.0, "peak_memory_gb": 2.0, "session_jobs": 3}
    trials = Cost(wall_s=30.0, lines=(LineCost("tuning of A", 3, 6.0), LineCost("a", 1, 1.0)), **ran)
    second = {"busy_share": 0.9, "overhead_s_per_job": 2.0, "peak_memory_gb": 1.0, "session_jobs": 1}
    both = total([trials, Cost(wall_s=10.0, lines=(LineCost("a", 2, 3.0),), **second)])
    assert both == Cost(
        wall_s=40.0,
        busy_share=pytest.approx((0.5 * 30 + 0.9 * 10) / 40),
        overhead_s_per_job=pytest.approx((3 * 1.0 + 1 * 2.0) / 4),
        peak_memory_gb=2.0,
        lines=(LineCost("tuning of A", 3, 6.0), LineCost("a", 3, 4.0)),
        session_jobs=4,
    )
    assert [(line.jobs, line.seconds) for line in trials.lines] == [(3, 6.0), (1, 1.0)], "the parts are not changed"


def test_total_of_costs_leaves_out_what_one_part_does_not_know():
    known = Cost(wall_s=1.0, busy_share=0.5, overhead_s_per_job=1.0, peak_memory_gb=1.0, lines=(), session_jobs=2)
    unknown = Cost(wall_s=1.0, busy_share=None, overhead_s_per_job=None, peak_memory_gb=None, lines=(), session_jobs=1)
    both = total([known, unknown])
    assert (both.wall_s, both.busy_share, both.overhead_s_per_job, both.peak_memory_gb) == (2.0, None, None, None)
    assert total([]) is None

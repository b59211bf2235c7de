"""Settings of a manifest that contradict each other, or would have no effect, are refused."""

import pytest

from raydistill.config.manifest import Behavior, Interval, Lfp, Spikes, Trials
from raydistill.errors import ConfigError


@pytest.mark.parametrize(
    ("section", "settings", "names"),
    [
        (Spikes, {"times": "t", "rate_hz": 1000, "time_unit": "ms"}, "time_unit: ms"),
        (Spikes, {"counts": "c", "time_unit": "ms"}, "time_unit"),
        (Lfp, {"values": "x", "times": "t", "start_s": 5}, "start_s"),
        (Lfp, {"values": "x", "start_s": 5}, "start_s"),
        (Behavior, {"values": "x", "times": "t", "start_s": 5}, "start_s"),
        (Behavior, {"values": "x", "start_s": 5}, "start_s"),
        (Trials, {"start_s": "a", "stop_s": "b", "rate_hz": 1000}, "time_unit: samples"),
        (Trials, {"start_s": "a", "stop_s": "b", "outside": "zero"}, "outside: zero"),
        (Trials, {"labels": "a", "time_unit": "ms"}, "time_unit: ms"),
        (Interval, {"start_s": 30, "stop_s": 10}, "start_s: 30"),
        (Interval, {"start_s": float("nan"), "stop_s": 10}, "start_s: nan"),
    ],
)
def test_setting_without_effect_is_refused_by_name(section, settings, names):
    with pytest.raises(ConfigError, match=names):
        section(**settings)


def test_sample_numbers_may_be_said_in_two_ways():
    assert Spikes(times="t", rate_hz=1000).seconds_per_unit == 0.001
    assert Spikes(times="t", rate_hz=1000, time_unit="samples").seconds_per_unit == 0.001

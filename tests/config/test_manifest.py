"""Settings of a manifest that contradict each other, are no numbers, or would have no effect, are refused."""

import pytest

from raydistill.config.load import Where, build
from raydistill.config.manifest import Behavior, Interval, Lfp, SessionEntry, Spikes, Trials
from raydistill.config.recordings import IngestConfig
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
        (Lfp, {"values": "x", "scale": 0}, "scale"),
        (Lfp, {"values": "x", "bands": 0}, "bands"),
        (Lfp, {"values": "x", "rate_hz": float("inf")}, "rate_hz"),
        (Lfp, {"values": "x", "rate_hz": 1000, "start_s": float("nan")}, "start_s"),
        (Behavior, {"values": "x", "smooth_s": -1}, "smooth_s"),
        (Behavior, {"values": "x", "max_speed": 0}, "max_speed"),
        (Spikes, {"times": "t", "offset_s": float("nan")}, "offset_s"),
        (Spikes, {"times": "t", "time_scale": float("inf")}, "time_scale"),
        (SessionEntry, {"bin_width_ms": float("nan")}, "bin_width_ms"),
        (IngestConfig, {"min_rate_hz": float("nan")}, "min_rate_hz"),
        (Interval, {"start_s": 30, "stop_s": 10}, "start_s: 30"),
        (Interval, {"start_s": float("nan"), "stop_s": 10}, "`start_s` must be a finite number"),
    ],
)
def test_setting_that_cannot_be_meant_is_refused_by_name(section, settings, names):
    with pytest.raises(ConfigError, match=names):
        section(**settings)


def test_sample_numbers_may_be_said_in_two_ways():
    assert Spikes(times="t", rate_hz=1000).seconds_per_unit == 0.001
    assert Spikes(times="t", rate_hz=1000, time_unit="samples").seconds_per_unit == 0.001


def test_path_in_a_list_of_behaviors_is_refused_with_the_way_to_write_it():
    with pytest.raises(
        ConfigError, match=r"`behavior.1` must be a mapping of Behavior .*write a path as \{values: 'y'\}"
    ):
        build(SessionEntry, {"behavior": [{"values": "x"}, "y"]}, Where("lab.yaml"))


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        (
            Trials,
            {"labels": "a", "where": {"good": [1, [], 3]}},
            "`where.good.1` must be true or false, a number or a word, got []",
        ),
        (IngestConfig, {"drop_units": ""}, "`drop_units.0` must be a whole number, got ''"),
    ],
)
def test_empty_value_of_another_type_is_refused_where_emptiness_is_allowed(section, settings, message):
    with pytest.raises(ConfigError) as error:
        build(section, settings, Where("lab.yaml"))
    assert str(error.value) == f"lab.yaml: {message}"


def test_empty_text_and_empty_list_are_taken_where_they_are_meant():
    assert build(Trials, {"labels": "a", "where": {"good": ["", 3]}}, Where("lab.yaml")).where == {"good": ("", 3.0)}
    assert build(IngestConfig, {"drop_units": []}, Where("lab.yaml")).drop_units == ()

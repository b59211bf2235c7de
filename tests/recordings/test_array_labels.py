"""Trials of arrays: what labels mean, starts and stops in other units, and the choice of trials."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from tests.recordings.matlab_files import write_matlab


@pytest.fixture
def session(tmp_path, manifest):
    """The session of variables that are written to a MATLAB file, with 12000 bins of 10 ms of counts."""

    def make(trials, **variables):
        counts = np.random.default_rng(0).poisson(1, (12_000, 3)).astype(float)
        write_matlab(tmp_path / "t.mat", "5", {"c": counts} | variables)
        text = f"sessions: [{{file: t.mat, subject: s, bin_width_ms: 10, spikes: c, trials: {trials}}}]"
        (recording,) = plan_sources(manifest(text), tmp_path)
        with open_raw(recording.path, recording.source, 10.0) as raw:
            return to_session(recording, raw, {})

    return make


def labels(outside, first=1):
    """20 trials of 400 bins from number `first` on, with 200 bins of `outside` before each."""
    values = np.full(12_000, outside, dtype=float)
    for k in range(20):
        values[k * 600 + 50 : k * 600 + 450] = k + first
    return values


@pytest.mark.parametrize(
    ("outside", "value"), [("negative", -1), ("negative", -7), ("zero", 0), ("zero", -1), ("nan", np.nan), ("nan", -1)]
)
def test_labels_outside_of_trials_are_as_stated(outside, value, session):
    made, _ = session(f"{{labels: tr, outside: {outside}}}", tr=labels(value))
    expected = labels(-1).astype(int)
    assert np.array_equal(made.trial, expected)


def test_zero_between_trials_and_nan_without_the_setting_are_errors_that_name_it(session):
    with pytest.raises(DataError, match=r"trial label 0 comes 21 times.*outside: zero"):
        session("tr", tr=labels(0))
    message = (
        "tr holds NaN in 4000 of 12000 bins; if NaN means outside of trials, set `trials: {labels: tr, outside: nan"
    )
    with pytest.raises(DataError, match=message):
        session("tr", tr=labels(np.nan))
    with pytest.raises(DataError, match=r"tr \(float64\) holds values that are not trial numbers"):
        session("tr", tr=labels(-1) + 0.5)


def test_trials_in_samples_counted_from_one_include_their_stop(session):
    on, off = np.arange(20) * 6000 + 1, np.arange(20) * 6000 + 4000  # samples at 1000 Hz, as MATLAB counts them
    made, _ = session("{start_s: on, stop_s: off, time_unit: samples, rate_hz: 1000, one_based: true}", on=on, off=off)
    expected = np.repeat(np.arange(20), 600)
    expected[np.tile(np.arange(600) >= 400, 20)] = -1
    assert np.array_equal(made.trial, expected)


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 1e3), ("us", 1e6)])
def test_trials_in_other_units_are_brought_to_seconds(unit, per_second, session):
    on = np.arange(20) * 6.0 * per_second
    made, _ = session(f"{{start_s: on, stop_s: off, time_unit: {unit}}}", on=on, off=on + 4 * per_second)
    assert [(made.trial == k).sum() for k in (-1, 0, 19)] == [4000, 400, 400]


def test_trials_outside_of_the_recording_are_an_error_that_asks_for_their_unit(session):
    on = np.arange(20) * 5000.0 + 1000
    with pytest.raises(DataError, match=r"all 20 trials \(1000 to 99000 s\) are outside .*`time_unit` of `trials`"):
        session("{start_s: on, stop_s: off}", on=on, off=on + 3000)


def test_starts_of_trials_in_a_struct_array_are_read(session):
    rows = [
        {"on": 6.0 * k, "off": 6.0 * k + 4, "good": float(k % 2), "kind": "reach" if k < 10 else "rest"}
        for k in range(20)
    ]
    made, _ = session("{start_s: trial/on, stop_s: trial/off}", trial=rows)
    assert [(made.trial == k).sum() for k in (-1, 0, 19)] == [4000, 400, 400]
    made, notes = session(
        "{start_s: trial/on, stop_s: trial/off, where: {trial/good: [1], trial/kind: [reach]}}", trial=rows
    )
    assert np.flatnonzero(np.diff(made.trial) > 0).tolist() == [599 + 1200 * k for k in range(5)]
    assert np.unique(made.trial).tolist() == [-1, 1, 3, 5, 7, 9]  # their places in the file
    assert "`where` leaves out 15 of 20 trials" in notes


@pytest.mark.parametrize("form", ["per trial", "per bin"])
def test_where_chooses_labels_by_a_value_per_trial_or_bin(form, session):
    good = np.arange(20) % 2 == 0
    per_bin = np.zeros(12_000)
    for k in range(20):
        per_bin[k * 600 : k * 600 + 600] = good[k]
    values = good.astype(float) if form == "per trial" else per_bin
    made, _ = session("{labels: tr, outside: zero, where: {good: [true]}}", tr=labels(0), good=values)
    expected = labels(-1).astype(int)
    expected[np.isin(expected, np.flatnonzero(~good) + 1)] = -1
    assert np.array_equal(made.trial, expected)


@pytest.mark.parametrize(
    ("where", "values", "message"),
    [
        ("{good: [1]}", np.ones(19), r"good has 19 values; one per trial \(20\) or per bin \(12000\) is needed"),
        ("{good: [2]}", np.arange(20) % 2, "no trial has 2 in good; its values are 0, 1"),
        ("{good: [yes please]}", np.arange(20) % 2, 'good holds numbers .0, 1., but `where` asks for "yes please"'),
        ("{god: [1]}", np.ones(20), 'no variable "god"; did you mean "good"'),
        ("{good: [1]}", np.arange(12_000) % 2, "good changes within trial 1"),
    ],
)
def test_where_that_cannot_be_applied_is_an_error(where, values, message, session):
    with pytest.raises(DataError, match=message):
        session(f"{{labels: tr, outside: zero, where: {where}}}", tr=labels(0), good=values.astype(float))

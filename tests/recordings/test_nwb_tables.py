"""Trials and intervals of NWB files: rows by the values of columns, other tables, units of time."""

import numpy as np
import pytest

from raydistill.errors import DataError
from tests.recordings.nwb_reading import made, read


@pytest.fixture
def path(make_nwb):
    def tweak(nwb):
        for name in ("is_good", "result", "block"):
            nwb.add_trial_column(name, "by hand")
        for k in range(6):
            nwb.add_trial(
                start_time=9.0 * k, stop_time=9.0 * k + 8, is_good=k % 2 == 0, result="RFA"[k % 3], block=k // 2
            )
        nwb.trials.add_column(name="tag", description="t", data=[["a"], ["a", "b"], [], ["b"], [], ["a"]], index=True)

    return make_nwb(tweak=tweak)


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("{is_good: [1]}", [0, 2, 4]),
        ("{is_good: ['True']}", [0, 2, 4]),
        ("{is_good: [false]}", [1, 3, 5]),
        ("{result: [R, A]}", [0, 2, 3, 5]),
        ("{block: [1.0]}", [2, 3]),
        ("{tag: [a]}", [0, 1, 5]),
        ("{is_good: [1], result: [R]}", [0]),
    ],
)
def test_trials_are_selected_by_columns_as_numbers_booleans_or_text(path, where, rows):
    raw = read(path, f"trials={{table: trials, where: {where}}}")
    assert raw.trial_intervals.tolist() == [[9.0 * k, 9.0 * k + 8] for k in rows]
    assert raw.taken[-1].startswith(f"{len(rows)} of 6 trials from intervals/trials (")


def test_selected_trials_are_labelled_by_their_rows(path):
    session = made(path, "trials={table: trials, where: {is_good: [false]}}")
    times = session.start_s + (np.arange(session.n_bins) + 0.5) * session.bin_width_ms / 1000
    assert {k: times[session.trial == k].min() // 9 for k in set(session.trial) - {-1}} == {1: 1, 3: 3, 5: 5}


def test_trials_without_a_selection_are_all_rows(path):
    raw = read(path, "trials=trials")
    assert len(raw.trial_intervals) == 6 and raw.taken[-1] == "6 trials from intervals/trials"
    assert set(made(path, "trials=trials").trial) == {-1, 0, 1, 2, 3, 4, 5}


def test_trials_by_a_column_that_is_not_there_are_an_error_with_the_nearest(path):
    with pytest.raises(DataError, match=r'rec\.nwb: intervals/trials has no column "isgood"; did you mean "is_good"'):
        read(path, "trials={table: trials, where: {isgood: [1]}}")


def test_trials_of_which_none_is_left_are_an_error_that_lists_the_values(path):
    with pytest.raises(DataError, match=r"where` result X leaves none of the 6 rows .*; values of result: A, F, R"):
        read(path, "trials={table: trials, where: {result: [X]}}")


def test_trials_in_milliseconds_are_seconds_with_time_unit(make_nwb):
    tweak = lambda nwb: nwb.add_trial(start_time=1000.0, stop_time=9000.0)  # noqa: E731
    assert read(make_nwb(tweak=tweak), "trials={table: trials, time_unit: ms}").trial_intervals.tolist() == [[1.0, 9.0]]


def test_table_of_intervals_in_a_processing_module_is_named_by_its_path(make_nwb):
    from pynwb.epoch import TimeIntervals

    def tweak(nwb):
        reaches = TimeIntervals(name="reaches", description="d")
        reaches.add_interval(start_time=3.0, stop_time=4.5)
        nwb.processing["behavior"].add(reaches)

    raw = read(make_nwb(tweak=tweak), "trials=processing/behavior/reaches")
    assert raw.trial_intervals.tolist() == [[3.0, 4.5]]


def test_several_intervals_of_a_table_are_as_many_windows(make_nwb):
    path = make_nwb(epochs=[(5.0, 20.0, "run"), (20.0, 40.0, "rest"), (40.0, 50.0, "run")])
    rows = "{table: epochs, value: run, index: 0}, {table: epochs, value: run, index: 1}"
    assert read(path, f"interval=[{rows}]").windows == ((5.0, 20.0), (40.0, 50.0))


def test_interval_by_a_column_that_is_not_there_is_an_error_with_the_nearest(path):
    with pytest.raises(DataError, match=r'intervals/trials has no column "resul"; did you mean "result"'):
        read(path, "interval={table: trials, column: resul, value: R}")


def test_interval_without_duration_is_an_error(make_nwb):
    path = make_nwb(epochs=[(5.0, np.nan, "run")])
    with pytest.raises(DataError, match="`interval` epochs, tags run has no duration"):
        read(path, "interval={table: epochs, value: run}")

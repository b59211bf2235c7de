"""Clocks of NWB series: rates that are none, time stamps with gaps, units of time."""

import h5py
import numpy as np
import pytest

from raydistill.errors import ConfigError, DataError
from tests.recordings.conftest import electrical_series
from tests.recordings.nwb_reading import BEHAVIOR, LFP, made, read, session_and_notes

UNIFORM = np.arange(15000) / 250


def stamped(stamps, **options):
    return {"rate": None, "starting_time": None, "timestamps": stamps} | options


def with_gaps(*gaps):
    """15000 stamps at 250 Hz, with (number of the stamp after it, seconds) of each gap."""
    stamps = UNIFORM.copy()
    for first, seconds in gaps:
        stamps[first:] += seconds
    return stamps


def runs(raw):
    return [(run.first, run.stop, round(run.start_s, 6)) for run in raw.lfp[0].runs]


def test_lfp_with_gaps_is_cut_into_runs_that_are_told(make_nwb):
    path = make_nwb(lfp=stamped(with_gaps((5000, 3.0), (9000, 0.4))))
    raw = read(path)
    assert runs(raw) == [(0, 5000, 0.0), (5000, 9000, 23.0), (9000, 15000, 39.4)]
    assert raw.lfp[0].rate_hz == pytest.approx(250, rel=1e-9)
    assert raw.notes == (
        f"{LFP} has 2 gaps of 3.4 s in all in its time stamps, first: time stamp 5000 at 23.0000 s follows 19.9960 s; "
        "no filter or segment crosses a gap",
    )


def test_lfp_with_gaps_has_right_values_on_both_sides_and_no_bin_in_the_gap(make_nwb):
    stamps = with_gaps((5000, 3.0))
    data = np.round(1000 * np.sin(2 * np.pi * stamps))[:, None] * np.ones(3)
    path = make_nwb(lfp=stamped(stamps, data=data, conversion=1e-3), series={})
    session = made(path, "ingest.filters=null", "spikes=null")
    times = session.start_s + (np.arange(session.n_bins) + 0.5) * 0.02
    assert set(np.flatnonzero(session.piece < 0)) == set(np.flatnonzero((times > 20) & (times < 23)))
    for piece in (0, 1):
        inner = np.flatnonzero(session.piece == piece)[20:-20]
        assert np.allclose(session.lfp[inner, 0], np.sin(2 * np.pi * times[inner]), atol=0.02)


def test_interval_before_a_gap_gives_a_session_without_pieces_in_between(make_nwb):
    path = make_nwb(lfp=stamped(with_gaps((5000, 3.0))))
    session = made(path, "interval={start_s: 1, stop_s: 19}")
    assert session.n_bins == 900 and set(session.piece) == {0}


def test_lfp_recorded_in_trials_has_a_run_for_each(make_nwb):
    starts = 2.5 * np.arange(50)
    stamps = (starts[:, None] + np.arange(300) / 250).ravel()
    raw = read(make_nwb(lfp=stamped(stamps), series={}))
    assert len(raw.lfp[0].runs) == 50 and raw.lfp[0].rate_hz == pytest.approx(250, rel=1e-9)
    assert [run.start_s for run in raw.lfp[0].runs] == pytest.approx(starts)
    assert {run.stop - run.first for run in raw.lfp[0].runs} == {300}


def test_lfp_whose_clock_differs_between_runs_is_cut_where_it_is_off(make_nwb):
    stamps = np.r_[UNIFORM[:7500], 40 + np.arange(7500) / 250 * (1 + 2e-3)]
    signal = read(make_nwb(lfp=stamped(stamps), series={})).lfp[0]
    first = {run.first for run in signal.runs}
    assert {0, 7500} <= first
    for run in signal.runs:
        own = run.start_s + np.arange(run.stop - run.first) / signal.rate_hz
        assert np.abs(own - stamps[run.first : run.stop]).max() < 5e-3


def test_lfp_whose_clock_drifts_is_cut_and_told(make_nwb):
    stamps = UNIFORM + 0.05 * (UNIFORM / 60) ** 2
    path = make_nwb(lfp=stamped(stamps))
    session, notes = session_and_notes(path)
    note = next(note for note in notes if "drift" in note)
    assert "drift from a clock of 249.79" in note and "by more than 2 ms: it is cut at 1" in note
    assert len(set(session.piece)) > 5


def test_time_stamps_rounded_to_milliseconds_are_one_clock(make_nwb):
    raw = read(make_nwb(lfp=stamped(np.round(np.arange(15000) / 625, 3)), series={}))
    assert raw.lfp[0].runs == () and raw.lfp[0].rate_hz == pytest.approx(625, rel=1e-4)


def test_gap_in_time_stamps_rounded_to_milliseconds_is_found(make_nwb):
    stamps = np.round(np.arange(15000) / 625 + np.where(np.arange(15000) < 6000, 0, 0.1), 3)
    raw = read(make_nwb(lfp=stamped(stamps), series={}))
    assert [run.first for run in raw.lfp[0].runs] == [0, 6000] and raw.lfp[0].rate_hz == pytest.approx(625, rel=1e-4)


def test_irregular_time_stamps_are_an_error_that_names_the_first(make_nwb):
    stamps = np.sort(np.random.default_rng(0).uniform(0, 60, 15000))
    with pytest.raises(DataError, match=r"not sampled uniformly: more than \d+ time stamps .* the first is \d+ at 0\."):
        read(make_nwb(lfp=stamped(stamps)))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: np.where(np.arange(15000) == 700, np.nan, t), r"time stamp 700 is nan, so that its sample has no"),
        (lambda t: np.full(15000, np.nan), "time stamp 0 is nan"),
        (lambda t: np.full(15000, 2.5), r"has no ascending time stamps: all are 2\.5000 s"),
        (
            lambda t: np.r_[t[:8000], t[:7000]],
            r"time stamp 8000 at 0\.0000 s is earlier than the one before it \(31\.9960 s\): the clock was set back",
        ),
    ],
    ids=["one NaN", "all NaN", "all equal", "set back"],
)
def test_lfp_with_damaged_time_stamps_is_an_error(make_nwb, damage, message):
    with pytest.raises(DataError, match=rf"rec\.nwb: {LFP}.*{message}"):
        read(make_nwb(lfp=stamped(damage(UNIFORM))))


def test_lfp_and_time_stamps_of_different_length_are_an_error(make_nwb):
    path = make_nwb(lfp=stamped(UNIFORM))
    with h5py.File(path, "a") as file:
        values, attributes = file[f"{LFP}/timestamps"][:-1], dict(file[f"{LFP}/timestamps"].attrs)
        del file[f"{LFP}/timestamps"]
        file[f"{LFP}/timestamps"] = values
        file[f"{LFP}/timestamps"].attrs.update(attributes)
    with pytest.raises(DataError, match=r"rec\.nwb: .*ElectricalSeries has 15000 samples but 14999 time stamps"):
        read(path)


def test_series_of_one_sample_is_an_error(make_nwb):
    with pytest.raises(DataError, match="ElectricalSeries has 1 sample; at least 2 are needed"):
        read(make_nwb(lfp=stamped(np.array([3.0]), data=np.zeros((1, 3)))))


@pytest.mark.parametrize(("rate", "shown"), [(0.0, "0"), (-250.0, "-250"), (np.nan, "nan"), (np.inf, "inf")])
@pytest.mark.parametrize(("place", "key"), [(LFP, "lfp"), (f"{BEHAVIOR}/position", "behavior")])
def test_rate_that_is_none_is_an_error_unless_the_series_is_left_out(make_nwb, rate, shown, place, key):
    path = make_nwb()
    with h5py.File(path, "a") as file:
        file[f"{place}/starting_time"].attrs["rate"] = rate
    with pytest.raises(DataError, match=rf"rec\.nwb: {place} has a rate of {shown} Hz, .*above 0.*`{key}: null`"):
        read(path)
    assert made(path, f"{key}=null").spikes.shape[1] == 8


def test_starting_time_that_is_nan_is_an_error(make_nwb):
    path = make_nwb()
    with h5py.File(path, "a") as file:
        file[f"{LFP}/starting_time"][()] = np.nan
    with pytest.raises(DataError, match="ElectricalSeries has a starting_time of nan s"):
        read(path)


def test_rate_that_is_a_whole_number_is_a_rate(make_nwb):
    path = make_nwb()
    with h5py.File(path, "a") as file:
        file[f"{LFP}/starting_time"].attrs["rate"] = np.int32(250)
    assert read(path).lfp[0].rate_hz == 250.0


def test_time_stamps_of_lfp_and_behavior_in_other_units(make_nwb):
    walk = {"data": np.zeros((100, 2)), "timestamps": 1e6 * (1 + np.arange(100) / 2)}
    path = make_nwb(lfp=stamped(30000 * (2 + UNIFORM)), series={"walk": walk})
    raw = read(path, "lfp={time_unit: samples, rate_hz: 30000}", "behavior.time_unit=us")
    assert (raw.lfp[0].start_s, raw.lfp[0].rate_hz) == (pytest.approx(2.0), pytest.approx(250.0))
    assert np.allclose(raw.behavior[0].times, 1 + np.arange(100) / 2)


def test_lfp_in_milliseconds_asks_for_the_unit(make_nwb):
    path = make_nwb(lfp={"timestamps": 4.0 * np.arange(15000), "rate": None, "starting_time": None})
    with pytest.raises(DataError, match=r"sampled at 0\.25 Hz, .* .*`time_unit` of its time stamps"):
        made(path)


def test_unit_of_time_stamps_of_a_series_without_any_is_an_error(make_nwb):
    with pytest.raises(DataError, match="has a rate and no time stamps, so that `time_unit: ms` does not apply"):
        read(make_nwb(), "lfp.time_unit=ms")


@pytest.mark.parametrize("key", ["lfp", "behavior"])
def test_rate_that_would_be_ignored_is_an_error(make_nwb, key):
    with pytest.raises(ConfigError, match=f"`{key}.rate_hz` describes a file of arrays"):
        read(make_nwb(), f"{key}.rate_hz=100")


def test_two_series_of_lfp_are_stored_side_by_side_each_on_its_clock(make_nwb):
    slow = electrical_series_at(0.5, 100.0)
    path = make_nwb(tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "probe2", **slow)))
    settings = f"lfp=[{{values: {LFP}}}, {{values: acquisition/probe2}}]"
    raw = read(path, settings)
    assert [(s.rate_hz, s.start_s) for s in raw.lfp] == [(250.0, 0.0), (100.0, 0.5)]
    session, notes = session_and_notes(path, settings, "ingest.filters=null")
    times = session.start_s + (np.arange(session.n_bins) + 0.5) * 0.02
    assert session.lfp.shape == (session.n_bins, 6)
    assert np.allclose(session.lfp[20:-20, 3], np.sin(2 * np.pi * times)[20:-20], atol=0.03)
    assert f"LFP of 3 channels from {LFP}, LFP of 3 channels from acquisition/probe2" in notes[0]


def electrical_series_at(start_s, rate_hz):
    """A sine of 1 Hz."""
    t = start_s + np.arange(int(59 * rate_hz)) / rate_hz
    data = np.sin(2 * np.pi * t)[:, None] * np.ones(3)
    return {"data": data, "rate": rate_hz, "starting_time": start_s, "conversion": 1.0}

"""What is taken from an NWB file without any setting, what is seen and passed over, and the setting that takes it."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from tests.recordings.conftest import electrical_series
from tests.recordings.nwb_reading import BEHAVIOR, LFP, made, read, session_and_notes

STILL = {"position": {"data": np.zeros((3000, 2)), "rate": 50.0, "starting_time": 0.0}}


def lines(path, *settings):
    return session_and_notes(path, *settings)[1]


def add_series(module, name, **options):
    """A tweak that adds a vector of 60 s at 30 Hz to a module, or to acquisition."""
    from pynwb import TimeSeries

    def tweak(nwb):
        given = {"data": np.arange(1800.0), "rate": 30.0, "starting_time": 0.0, "unit": "cm/s"} | options
        series = TimeSeries(name=name, **given)
        if module == "acquisition":
            nwb.add_acquisition(series)
        else:
            (nwb.processing.get(module) or nwb.create_processing_module(module, "m")).add(series)

    return tweak


def add_units(nwb):
    from pynwb.misc import Units

    units = Units(name="units", description="sorted")
    for k in range(3):
        units.add_unit(spike_times=np.sort(np.random.default_rng(k).uniform(0, 60, 300)))
    nwb.create_processing_module("sorting", "s").add(units)


def test_nwb_line_says_what_was_taken_from_where(make_nwb):
    position = f"behavior position_x, position_y from {BEHAVIOR}/position"
    assert lines(make_nwb()) == (f"8 units from units, LFP of 3 channels from {LFP}, {position}",)


def test_lfp_in_acquisition_is_named_with_the_setting_that_takes_it(make_nwb):
    path = make_nwb(lfp=False, tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "LFP_probe0")))
    note = "no LFP: acquisition/LFP_probe0 is not in an LFP container; set `lfp: acquisition/LFP_probe0`"
    assert lines(path)[1:] == (note,)
    session, notes = session_and_notes(path, "lfp=acquisition/LFP_probe0")
    assert session.lfp.shape == (3000, 3) and "LFP of 3 channels from acquisition/LFP_probe0" in notes[0]
    assert len(lines(path, "lfp=null")) == 1


def test_several_series_outside_of_containers_are_listed_up_to_four(make_nwb):
    def tweak(nwb):
        for k in range(6):
            nwb.add_acquisition(electrical_series(nwb, f"probe{k}"))

    (note,) = lines(make_nwb(lfp=False, tweak=tweak))[1:]
    assert note == (
        "no LFP: acquisition/probe0, acquisition/probe1, acquisition/probe2, acquisition/probe3 and 2 more are not in "
        "an LFP container; set `lfp: acquisition/probe0`"
    )


def test_lfp_in_a_module_without_a_container_is_named_and_can_be_taken(make_nwb):
    tweak = lambda nwb: nwb.create_processing_module("ecephys", "e").add(electrical_series(nwb, "lfp"))  # noqa: E731
    path = make_nwb(lfp=False, tweak=tweak)
    assert "set `lfp: processing/ecephys/lfp`" in lines(path)[1]
    assert made(path, "lfp=processing/ecephys/lfp").lfp.shape == (3000, 3)


def test_broadband_beside_lfp_is_told_and_lfp_is_taken(make_nwb):
    path = make_nwb(tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "raw")))
    taken, note = lines(path)
    assert LFP in taken and note == "seen but not taken as LFP: acquisition/raw; `lfp: PATH` takes one"


@pytest.mark.parametrize(("module", "path"), [("running", "processing/running/speed"), ("acquisition", None)])
def test_behavior_elsewhere_is_named_with_the_setting_that_takes_it(make_nwb, module, path):
    path = path or "acquisition/speed"
    file = make_nwb(series={}, tweak=add_series(module, "speed"))
    assert lines(file)[1:] == (f"no behavior: {path} is not under processing/behavior; set `behavior: {path}`",)
    session = made(file, f"behavior={path}")
    assert session.behavior_names == ("speed",) and session.behavior_units == ("cm/s",)
    times = (np.arange(3000) + 0.5) / 50
    inner = times < 59.9
    assert session.behavior[inner, 0] == pytest.approx((30 * times)[inner], abs=1.01)


def test_behavior_with_options_but_nowhere_to_be_found_is_an_error_that_names_what_there_is(make_nwb):
    file = make_nwb(series={}, tweak=add_series("running", "speed"))
    with pytest.raises(DataError, match=r"no behavior: processing/running/speed is not under .*set `behavior: proc"):
        read(file, "behavior.derive=velocity")


def add_licks(nwb):
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralEvents

    times = np.sort(np.random.default_rng(0).uniform(0, 60, 40))
    licks = TimeSeries(name="licks", data=np.ones(40), timestamps=times, unit="n")
    module = nwb.processing.get("behavior") or nwb.create_processing_module("behavior", "b")
    module.add(BehavioralEvents(time_series=licks))


def test_events_beside_samples_are_told_and_the_samples_are_taken(make_nwb):
    taken, note = lines(make_nwb(tweak=add_licks))
    assert f"behavior position_x, position_y from {BEHAVIOR}/position" in taken
    events = "processing/behavior/BehavioralEvents/licks"
    assert note == f"seen but not taken as behavior: {events}; `behavior: PATH` takes one"


def test_events_alone_are_no_behavior_and_told(make_nwb):
    path = make_nwb(series={}, tweak=add_licks)
    assert lines(path)[1:] == ("no behavior: processing/behavior/BehavioralEvents/licks holds events, not samples",)


def test_powers_of_lfp_by_band_are_told_with_their_shape(make_nwb):
    def tweak(nwb):
        from pynwb.misc import DecompositionSeries

        powers = DecompositionSeries(name="lfp_power", data=np.ones((600, 3, 5)), metric="power", unit="V2", rate=10.0)
        nwb.create_processing_module("ecephys", "e").add(powers)

    note = "no LFP: processing/ecephys/lfp_power has the shape (600, 3, 5), which is no (samples, channels) matrix"
    assert lines(make_nwb(lfp=False, tweak=tweak))[1:] == (note,)


def test_intervals_in_behavior_are_not_taken_as_samples(make_nwb):
    from pynwb.behavior import BehavioralEpochs
    from pynwb.misc import IntervalSeries

    def tweak(nwb):
        licks = IntervalSeries(name="licks", data=np.array([1, -1], dtype=np.int8), timestamps=[3.0, 4.0])
        nwb.create_processing_module("behavior", "b").add(BehavioralEpochs(interval_series=licks))

    path = make_nwb(series={}, tweak=tweak)
    assert read(path).behavior == ()
    with pytest.raises(DataError, match="licks holds starts and stops of intervals, not samples"):
        read(path, "behavior=processing/behavior/BehavioralEpochs/licks")


def test_units_in_a_processing_module_are_named_and_can_be_taken(make_nwb):
    path = make_nwb(trains=[], tweak=add_units)
    note = "no spikes: the file has no table units; set `spikes: processing/sorting/units`"
    assert lines(path)[1:] == (note,)
    session, notes = session_and_notes(path, "spikes=processing/sorting/units")
    assert session.spikes.shape == (3000, 3) and session.spikes.sum() == 900
    assert notes[0].startswith("3 units from processing/sorting/units")
    assert lines(path, "spikes=null")[1:] == ()


def test_second_table_of_units_is_told(make_nwb):
    note = "seen but not taken as spikes: processing/sorting/units; `spikes: PATH` takes one"
    assert note in lines(make_nwb(tweak=add_units))


def test_table_of_units_that_is_not_there_is_an_error_with_the_nearest(make_nwb):
    with pytest.raises(DataError, match='table of units for `spikes` at "processing/sorting/unit"; did you mean "proc'):
        read(make_nwb(tweak=add_units), "spikes=processing/sorting/unit")


def test_units_without_spike_times_are_told_and_an_error_if_nothing_else_is_there(make_nwb, spike_trains):
    path = make_nwb(trains=spike_trains[:2], quality=["good", "good"])
    with h5py.File(path, "a") as file:
        del file["units/spike_times"], file["units/spike_times_index"]
        file["units"].attrs["colnames"] = ["quality"]
    session, notes = session_and_notes(path)
    assert session.spikes is None and session.lfp.shape == (3000, 3)
    assert notes[1:] == ("no spikes: units has no spike_times, only quality",)
    with pytest.raises(DataError, match=r"rec\.nwb: .*neither spikes nor LFP. no spikes: units has no spike_times"):
        made(path, "lfp=null")
    with pytest.raises(DataError, match=r"rec\.nwb: units has no spike_times, only quality"):
        read(path, "spikes=units")


def test_empty_table_of_units_is_told(make_nwb):
    from pynwb.misc import Units

    def tweak(nwb):
        nwb.units = Units(name="units", description="none sorted")

    assert lines(make_nwb(trains=[], tweak=tweak))[1:] == ("no spikes: units is empty",)


def test_invalid_times_are_told_because_they_are_used(make_nwb):
    path = make_nwb(tweak=lambda nwb: nwb.add_invalid_time_interval(start_time=3.0, stop_time=5.5))
    assert lines(path)[1].startswith("intervals/invalid_times marks 2.5 s in 1 intervals as invalid, which are used")


def test_file_that_a_link_names_and_that_is_not_there_is_told(make_nwb):
    probe, session = make_nwb("probe.nwb"), make_nwb("session.nwb")
    with h5py.File(session, "a") as file:
        del file["processing/ecephys/LFP"]
        file["processing/ecephys/LFP"] = h5py.ExternalLink("probe.nwb", "/processing/ecephys/LFP")
    taken = lines(session)
    assert f"LFP of 3 channels from {LFP}" in taken[0] and len(taken) == 1
    probe.unlink()
    assert lines(session)[1:] == ("no LFP: processing/ecephys/LFP is a link to probe.nwb, which is not there",)
    assert lines(session, "lfp=null")[1:] == ()
    with pytest.raises(DataError, match=r"session\.nwb: processing/ecephys/LFP is a link to probe.nwb, which is not"):
        read(session, f"lfp={LFP}")


def test_linked_time_stamps_that_are_not_there_are_told_with_the_file_that_lacks(make_nwb):
    path = make_nwb(series={"walk": {"data": np.zeros((100, 2)), "timestamps": np.arange(100) / 50}})
    with h5py.File(path, "a") as file:
        del file[f"{BEHAVIOR}/walk/timestamps"]
        file[f"{BEHAVIOR}/walk/timestamps"] = h5py.ExternalLink("moved.nwb", "/t")
    (note,) = lines(path)[1:]
    assert f"{BEHAVIOR}/walk/timestamps is a link to moved.nwb, which is not there" in note


def test_data_in_a_file_that_is_not_there_are_an_error_that_names_it(make_nwb):
    path = make_nwb()
    with h5py.File(path, "a") as file:
        del file[f"{LFP}/data"]
        file[f"{LFP}/data"] = h5py.ExternalLink("moved.nwb", "/data")
    with pytest.raises(DataError, match=rf"{LFP}/data is a link to moved.nwb, which is not there; `lfp: null` leaves"):
        read(path)


def test_series_is_found_by_the_name_of_a_link_to_it(make_nwb):
    path = make_nwb(tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "raw")))
    with h5py.File(path, "a") as file:
        file["acquisition/probe7"] = h5py.SoftLink(f"/{LFP}")
    assert read(path, "lfp=acquisition/probe7").taken[1] == f"LFP of 3 channels from {LFP}"


def test_series_in_a_linked_file_is_found_by_the_name_of_the_link_and_of_its_own(make_nwb):
    make_nwb("probe.nwb", tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "raw")))
    path = make_nwb("session.nwb", lfp=False)
    with h5py.File(path, "a") as file:
        file["acquisition/probe7"] = h5py.ExternalLink("probe.nwb", "/acquisition/raw")
    assert "set `lfp: acquisition/raw`" in read(path).notes[0]
    for name in ("acquisition/raw", "acquisition/probe7"):
        assert read(path, f"lfp={name}").lfp[0].n_channels == 3


def test_spectrogram_is_not_proposed_as_lfp(make_nwb):
    def tweak(nwb):
        add_series("acquisition", "lfp_spectrogram", data=np.ones((1800, 3, 4)))(nwb)
        add_series("acquisition", "lfp_envelope", data=np.ones((1800, 3)))(nwb)

    (note,) = lines(make_nwb(lfp=False, tweak=tweak))[1:]
    assert "acquisition/lfp_spectrogram has the shape (1800, 3, 4), which is no (samples, channels) matrix" in note
    assert note.endswith("acquisition/lfp_envelope is not in an LFP container; set `lfp: acquisition/lfp_envelope`")

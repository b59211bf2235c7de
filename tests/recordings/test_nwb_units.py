"""Units of NWB files: filters and the qualities they name, units of time, damaged tables, where units were recorded."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from tests.recordings.nwb_reading import made, read, session_and_notes

QUALITY = ["excellent", "good", "ok", "good", "mua"]


@pytest.fixture
def mixed(make_nwb, spike_trains):
    return make_nwb(trains=spike_trains[:5], quality=QUALITY)


def test_units_of_every_quality_are_taken_and_counted_in_a_note(mixed):
    session, notes = session_and_notes(mixed)
    assert session.spikes.shape == (3000, 5)
    assert notes[1] == (
        "units of every quality are taken: 2 good, 1 excellent, 1 ok, 1 mua; "
        "`unit_filter: {column: quality, keep: [good]}` selects"
    )


@pytest.mark.parametrize(
    ("name", "values", "keep", "rows"),
    [
        ("is_good", [True, False, True], "True", (0, 2)),
        ("accept", [0, 1, 1], "1", (1, 2)),
        ("isolation", ["SUA", "MUA", "SUA"], "SUA", (0, 2)),
        ("decision", ["reject", "accept", "reject"], "accept", (1,)),
        ("cluster_quality", [3.0, 2.0, 3.0], "3.0", (0, 2)),
    ],
)
def test_units_that_differ_in_another_column_of_quality_are_told_and_can_be_selected(
    make_nwb, spike_trains, name, values, keep, rows
):
    path = make_nwb(trains=spike_trains[:3], tweak=lambda nwb: nwb.add_unit_column(name, "by hand", data=values))
    (note,) = read(path).notes
    setting = f"{{column: {name}, keep: [{keep}]}}"
    assert f"`unit_filter: {setting}` selects" in note
    raw = read(path, f"unit_filter={setting}")
    assert raw.spikes.ids == rows and f"{3 - len(rows)} of 3 units left out: {name} is" in raw.notes[0]


def test_units_that_each_have_a_label_of_their_own_give_no_note(make_nwb, spike_trains):
    path = make_nwb(
        trains=spike_trains[:3], tweak=lambda n: n.add_unit_column("label", "by hand", data=["4", "7", "9"])
    )
    assert read(path).notes == ()


def test_units_of_one_quality_give_no_note(make_nwb, spike_trains):
    assert read(make_nwb(trains=spike_trains[:2], quality=["good", "good"])).notes == ()


def test_unit_filter_tells_what_it_leaves_out(mixed):
    raw = read(mixed, "unit_filter={keep: [good]}")
    assert raw.spikes.ids == (1, 3)
    assert raw.notes == ("3 of 5 units left out: quality is excellent, mua, ok",)
    assert raw.taken[0] == "2 units from units"


def test_unit_filter_on_a_column_that_is_not_there_is_told(mixed):
    raw = read(mixed, "unit_filter={column: qualty, keep: [good]}")
    assert raw.spikes.ids == (0, 1, 2, 3, 4)
    assert 'no unit out, because units has no column "qualty"; did you mean "quality"' in raw.notes[0]


def test_unit_filter_compares_numbers_as_numbers(make_nwb, spike_trains):
    def tweak(nwb):
        nwb.add_unit_column("is_good", "by hand", data=[1, 0, 1])

    path = make_nwb(trains=spike_trains[:3], tweak=tweak)
    assert read(path, "unit_filter={column: is_good, keep: ['1']}").spikes.ids == (0, 2)


def test_units_none_of_the_wanted_quality_is_an_error_that_lists_what_there_is(make_nwb, spike_trains):
    path = make_nwb(trains=spike_trains[:2], quality=["fair", "poor"])
    with pytest.raises(DataError, match="no unit has quality sorted or good; values in the file: fair, poor; set"):
        read(path, "unit_filter={}")


def test_spike_times_in_milliseconds_are_an_error_and_right_with_time_unit(make_nwb, spike_trains):
    path = make_nwb(trains=[1000 * times for times in spike_trains])
    with pytest.raises(DataError, match=r"spikes .* are outside the recording .*`time_unit`"):
        made(path)
    session = made(path, "spikes.time_unit=ms")
    assert session.spikes.sum() == sum(map(len, spike_trains)) and session.n_bins == 3000


def test_spike_times_in_minutes_are_an_error_that_asks_for_the_unit(make_nwb, spike_trains):
    path = make_nwb(trains=[times / 60 for times in spike_trains])
    with pytest.raises(DataError, match=r"extend from 0.00 to 1.00 s only, of 0.00 to 60.00 s \(98% .* in seconds,"):
        made(path)
    assert made(path, "ingest.max_lost=1").spikes.sum() == sum(map(len, spike_trains))


def test_spike_times_in_samples_need_their_rate(make_nwb, spike_trains):
    path = make_nwb(trains=[np.round(30000 * times) for times in spike_trains])
    spikes = read(path, "spikes={time_unit: samples, rate_hz: 30000}").spikes
    assert np.allclose(spikes.times[3], spike_trains[3], atol=1 / 30000)


def test_unsorted_spike_times_are_an_error_naming_unit_and_file(make_nwb, spike_trains):
    path = make_nwb(trains=[spike_trains[0], spike_trains[1][::-1]])
    with pytest.raises(DataError, match=r"rec\.nwb: unit 1: spike 1 .* is earlier than spike 0"):
        made(path)


def test_units_without_a_spike_are_an_error_unless_a_rate_is_asked_for(make_nwb, spike_trains):
    path = make_nwb(trains=[np.array([]), spike_trains[0], np.array([])])
    with pytest.raises(DataError, match=r"rec\.nwb: unit 0 has no spike .*\(2 such units\); drop .*\[0, 2\]"):
        made(path)
    assert made(path, "ingest.min_rate_hz=0.1").spikes.shape == (3000, 1)


# Damage


def without_index(path, spikes):
    """Take the index away, so that the times are one long vector."""
    with h5py.File(path, "a") as file:
        del file["units/spike_times_index"], file["units/spike_times"]
        file["units/spike_times"] = spikes
        attributes = {"neurodata_type": "VectorData", "namespace": "hdmf-common", "description": "d"}
        file["units/spike_times"].attrs.update(attributes | {"object_id": "c3b9a0e2-0d5e-4a4e-8b88-5c3f9b0f3c52"})


def test_spike_times_without_index_are_told_and_an_error_if_asked_for(make_nwb, spike_trains):
    path = make_nwb(trains=spike_trains[:3])
    without_index(path, np.sort(np.concatenate(spike_trains[:3])))
    session, notes = session_and_notes(path)
    assert (
        session.spikes is None
        and "no spikes: units cannot be read (Must provide same number of ids as length of columns)" in notes[1]
    )
    with pytest.raises(DataError, match=r"rec\.nwb: units cannot be read \(Must provide same number of ids"):
        read(path, "spikes=units")


def test_one_spike_time_for_each_unit_without_index_is_an_error(make_nwb, spike_trains):
    path = make_nwb(trains=spike_trains[:3])
    without_index(path, np.array([1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match=r"rec\.nwb: units/spike_times has no index \(spike_times_index\)"):
        read(path)


@pytest.mark.parametrize("ends", [[1200, 600, 3600], [1200, 2400, 9999]], ids=["falls", "beyond"])
def test_index_that_does_not_fit_is_an_error(make_nwb, spike_trains, ends):
    path = make_nwb(trains=spike_trains[:3])
    with h5py.File(path, "a") as file:
        attributes = dict(file["units/spike_times_index"].attrs)
        del file["units/spike_times_index"]
        file["units/spike_times_index"] = np.array(ends, dtype=np.uint32)
        file["units/spike_times_index"].attrs.update(attributes)
    with pytest.raises(DataError, match=r"rec\.nwb: units/spike_times_index does not fit its 3600 spike times"):
        read(path)


def test_spike_times_that_are_text_are_an_error(make_nwb, spike_trains):
    path = make_nwb(trains=spike_trains[:1])
    with h5py.File(path, "a") as file:
        attributes = dict(file["units/spike_times"].attrs)
        del file["units/spike_times"]
        file["units/spike_times"] = ["late"] * 1200
        file["units/spike_times"].attrs.update(attributes)
    with pytest.raises(DataError, match=r"rec\.nwb: units/spike_times holds object values, not a vector of numbers"):
        read(path)


# Where


def test_units_know_their_first_electrode(make_nwb):
    def tweak(nwb):
        for electrodes in ([2, 0], [1], []):
            nwb.add_unit(spike_times=np.arange(1.0, 50.0), electrodes=electrodes)

    channels = read(make_nwb(trains=[], tweak=tweak)).spikes.channels
    assert channels.electrode == ("2", "1", "") and channels.array == ("g", "g", "")
    assert channels.region == ("CA1", "CA1", "") and channels.x_um == (None, None, None)


def test_units_without_electrodes_know_the_group(make_nwb, spike_trains):
    def tweak(nwb):
        for times in spike_trains[:2]:
            nwb.add_unit(spike_times=times, electrode_group=nwb.electrode_groups["g"])

    channels = read(make_nwb(trains=[], tweak=tweak)).spikes.channels
    assert channels.array == ("g", "g") and channels.region == ("CA1", "CA1") and channels.electrode == ("", "")


def test_units_of_which_nothing_is_known_have_no_table(make_nwb):
    assert read(make_nwb()).spikes.channels is None


def test_units_left_out_by_a_filter_are_left_out_of_the_table(make_nwb):
    def tweak(nwb):
        nwb.add_unit_column("quality", "by hand")
        for electrode, quality in ((0, "mua"), (1, "good"), (2, "good")):
            nwb.add_unit(spike_times=np.arange(1.0, 50.0), electrodes=[electrode], quality=quality)

    session = made(make_nwb(trains=[], tweak=tweak), "unit_filter={keep: [good]}", "ingest.drop_units=[1]")
    assert session.unit_channels.electrode == ("2",)


def test_unit_observed_for_less_time_than_the_others_is_named(make_nwb, spike_trains):
    def tweak(nwb):
        observed = [[[0.0, 60.0]], [[0.0, 60.0]], [[0.0, 10.0], [50.0, 60.0]]]
        for times, spans in zip(spike_trains[:3], observed, strict=True):
            inside = np.any([(times >= a) & (times < b) for a, b in spans], axis=0)
            nwb.add_unit(spike_times=times[inside], obs_intervals=spans, is_long=len(spans) == 1)

    def add(nwb):
        nwb.add_unit_column("is_long", "observed all the time")
        tweak(nwb)

    path = make_nwb(trains=[], tweak=add)
    raw = read(path)
    assert raw.pieces.tolist() == [[0, 10], [50, 60]]
    assert "at the same time in 20.0 of 60.0 s (obs_intervals; unit 2 in 20.0 s), and no other" in raw.notes[0]
    raw = read(path, "unit_filter={column: is_long, keep: [true]}")
    assert raw.pieces is None and raw.notes == ("1 of 3 units left out: is_long is False",)


def test_unit_observed_for_so_little_time_that_most_spikes_are_lost_is_the_cause_that_is_named(make_nwb, spike_trains):
    def tweak(nwb):
        nwb.add_unit_column("is_long", "observed all the time")
        for times, (start, stop) in zip(spike_trains[:3], ((0.0, 60.0), (0.0, 60.0), (20.0, 28.0)), strict=True):
            inside = times[(times >= start) & (times < stop)]
            nwb.add_unit(spike_times=inside, obs_intervals=[[start, stop]], is_long=stop - start == 60)

    path = make_nwb(trains=[], tweak=tweak)
    with pytest.raises(
        DataError, match=r"are outside 20\.00 to 28\.00 s, in which all units were observed.*`unit_filter`"
    ):
        made(path)
    assert made(path, "unit_filter={column: is_long, keep: [true]}").spikes.shape[1] == 2

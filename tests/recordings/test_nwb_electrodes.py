"""Where channels of LFP were recorded, and which of them are marked as bad, from the electrodes of an NWB file."""

import numpy as np
import pytest

from tests.recordings.nwb_reading import made, read, session_and_notes


def electrodes(nwb, **columns):
    for name, values in columns.items():
        if name in nwb.electrodes.colnames:
            nwb.electrodes[name].data[:] = values
        else:
            nwb.add_electrode_column(name, "as published", data=list(values))


def channels(make_nwb, **columns):
    return read(make_nwb(tweak=lambda nwb: electrodes(nwb, **columns))).lfp[0].channels


def test_channels_know_electrode_array_and_region(make_nwb):
    table = channels(make_nwb, location=["CA1", "unknown", "CA3"])
    assert table.electrode == ("0", "1", "2") and table.array == ("g",) * 3
    assert table.region == ("CA1", "", "CA3") and table.x_um == (None,) * 3


def test_channels_have_their_names_where_the_file_names_them(make_nwb):
    assert channels(make_nwb, channel_name=["AD01", "AD02", "AD03"]).electrode == ("AD01", "AD02", "AD03")


def test_positions_are_micrometres_and_nan_is_unknown(make_nwb):
    table = channels(make_nwb, x=[0.0, 20.0, np.nan], y=[1.0, 2.0, 3.0])
    assert table.x_um == (0.0, 20.0, None) and table.y_um == (1.0, 2.0, 3.0) and table.z_um == (None,) * 3


def test_positions_that_are_all_zero_are_unknown(make_nwb):
    zero = [0.0, 0.0, 0.0]
    assert channels(make_nwb, x=zero, y=zero, z=zero).x_um == (None,) * 3


def test_positions_on_the_probe_are_used_where_those_in_the_brain_are_unknown(make_nwb):
    table = channels(make_nwb, x=[np.nan] * 3, rel_x=[0.0, 0.0, 16.0], rel_y=[0.0, 20.0, 40.0])
    assert table.x_um == (0.0, 0.0, 16.0) and table.y_um == (0.0, 20.0, 40.0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bad", [False, True, False]),
        ("is_bad_channel", ["false", "True", "false"]),
        ("bad_channel", [0, 1, 0]),
        ("good", [True, False, True]),
        ("valid_data", [1.0, 0.0, np.nan]),
        ("quality", ["good", "bad", "fair"]),
        ("bad", ["good", "bad", "good"]),
        ("good_channel", ["yes", "no", "yes"]),
        ("bad_electrode", [0.0, 1.0, 0.0]),
        ("noisy", [False, True, False]),
        ("include", [True, False, True]),
        ("channel_status", ["ok", "Noise", "out"]),
        ("channel_label", ["good", "dead", "good"]),
    ],
)
def test_channels_that_the_file_marks_as_bad_are_left_out_and_told(make_nwb, name, values):
    path = make_nwb(tweak=lambda nwb: electrodes(nwb, **{name: values}))
    assert read(path).lfp[0].bad == (1,)
    session, notes = session_and_notes(path)
    assert session.lfp.shape == (3000, 2) and session.lfp_channels.electrode == ("0", "2")
    assert any("1 LFP channels are marked as bad and were left out: 1" in note for note in notes)
    assert made(path, "ingest.bad_channels=keep").lfp.shape == (3000, 3)


def test_channels_of_a_manifest_are_used_instead_of_those_of_the_file(make_nwb, tmp_path):
    (tmp_path / "map.csv").write_text("electrode,array,bad\n7,A,\n8,A,1\n9,B,\n")
    path = make_nwb()
    signal = read(path, f"lfp.channels={tmp_path / 'map.csv'}").lfp[0]
    assert signal.channels.electrode == ("7", "8", "9") and signal.bad == (1,)


def test_electrodes_of_another_number_than_channels_are_unknown(make_nwb):
    data = np.random.default_rng(0).normal(size=(15000, 2))
    with pytest.warns(UserWarning, match="second dimension of data does not match"):
        path = make_nwb(lfp={"data": data})
    assert read(path).lfp[0].channels is None

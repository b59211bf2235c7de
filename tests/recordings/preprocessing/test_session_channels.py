"""Tables of channels through preprocessing: rows stay with their units and electrodes, whatever is left out."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.raw import Counts, Raw, SpikeTrains
from raydistill.recordings.readers.arrays import ArrayOptions
from raydistill.recordings.recording import Recording, RecordingSource
from raydistill.store.channels import channel_table
from tests.recordings.signals import signal

SECONDS = 20.0
LEVELS = {"A": [1.0, 2.0, 3.0], "B": [4.0, 5.0, 6.0]}
"""Volts of the channels of two series, by which a stored column is recognised."""


def session(raw, **config):
    recording = Recording(
        name="s",
        path=Path("s.h5"),
        source=RecordingSource(layout="arrays", options=ArrayOptions()),
        config=IngestConfig(**({"filters": None} | config)),
    )
    return to_session(recording, raw, {})[0]


def lfp(array, bands=1, table=True, bad=()):
    """A series with constant channels and the numbers 1 and up; with bands, each column is one of an electrode."""
    levels = np.repeat(LEVELS[array], bands) + np.tile(np.arange(bands) / 10, len(LEVELS[array]))
    made = signal(lambda t: np.ones((len(t), 1)) * levels, 250.0, SECONDS)
    channels = channel_table(3, electrode=[1, 2, 3], array=[array] * 3) if table else None
    return dataclasses.replace(made, bands=bands, channels=channels, bad=bad)


def trains(*rates_hz, **columns):
    """Units that fire regularly, with a place 10 um times their number."""
    times = tuple(np.arange(0.5 / rate, SECONDS, 1 / rate) for rate in rates_hz)
    n = len(times)
    return SpikeTrains(times=times, ids=tuple(range(n)), channels=channel_table(n, x_um=[10 * i for i in range(n)]))


def stored(made):
    """Array and electrode of each row -> the level of its column."""
    table = made.lfp_channels
    levels = made.lfp[0, :: made.lfp_bands].round(3).tolist()
    return list(zip(table.array, table.electrode, levels, strict=True))


def test_equal_numbers_of_two_series_stay_with_their_columns():
    made = session(Raw(lfp=(lfp("A"), lfp("B"))))
    assert stored(made) == [("A", "1", 1), ("A", "2", 2), ("A", "3", 3), ("B", "1", 4), ("B", "2", 5), ("B", "3", 6)]


def test_dropped_and_bad_channels_of_several_series_take_their_rows_along():
    made = session(Raw(lfp=(lfp("A", bad=(2,)), lfp("B", bad=(0,)))), drop_channels=(0, 5))
    assert stored(made) == [("A", "2", 2), ("B", "2", 5)]


def test_bad_channels_that_are_kept_keep_their_rows():
    made = session(Raw(lfp=(lfp("A", bad=(2,)),)), bad_channels="keep")
    assert stored(made) == [("A", "1", 1), ("A", "2", 2), ("A", "3", 3)]


def test_bands_share_the_row_of_their_electrode():
    raw = Raw(lfp=(lfp("A", bands=3), lfp("B", bands=3, bad=(0, 1, 2))))
    made = session(raw, drop_channels=(3, 4, 5, 15, 16, 17))
    assert stored(made) == [("A", "1", 1), ("A", "3", 3), ("B", "2", 5)] and made.lfp.shape[1] == 9


@pytest.mark.parametrize("first", [True, False])
def test_series_without_a_table_beside_one_with_it_has_unknown_rows(first):
    raw = Raw(lfp=(lfp("A", bands=2, table=first), lfp("B", bands=2, table=not first)))
    made = session(raw, drop_channels=(2, 3, 6, 7))
    known = {"A": [("A", "1", 1), ("A", "3", 3)], "B": [("B", "2", 5), ("B", "3", 6)]}
    unknown = {"A": [("", "", 1), ("", "", 3)], "B": [("", "", 5), ("", "", 6)]}
    assert stored(made) == (known if first else unknown)["A"] + (unknown if first else known)["B"]


def test_series_of_which_no_channel_is_left_leaves_no_row():
    assert stored(session(Raw(lfp=(lfp("A"), lfp("B"))), drop_channels=(0, 1, 2))) == [
        ("B", "1", 4),
        ("B", "2", 5),
        ("B", "3", 6),
    ]
    made = session(Raw(lfp=(lfp("A", table=False), lfp("B"))), drop_channels=(3, 4, 5))
    assert made.lfp_channels is None and made.lfp.shape[1] == 3


def test_pieces_keep_the_rows_of_dropped_channels():
    pieces = np.array([[0.0, 8.0], [12.0, 20.0]])
    made = session(Raw(lfp=(lfp("A"), lfp("B")), pieces=pieces), drop_channels=(1, 4))
    assert stored(made) == [("A", "1", 1), ("A", "3", 3), ("B", "1", 4), ("B", "3", 6)]


def test_average_of_an_array_is_subtracted_from_its_channels_alone():
    """Channels of array A are 1, 2 and 3 V; without the first, their mean is 2.5 V."""
    filters = LfpFilters(common_average="array", highpass_hz=None, notch_hz=None, lowpass_hz=None)
    made = session(Raw(lfp=(lfp("A"), lfp("B"))), drop_channels=(0,), filters=filters)
    assert made.lfp[1000].round(3).tolist() == [-0.5, 0.5, -1, 0, 1]


def test_dropped_and_slow_units_take_their_rows_along():
    made = session(Raw(spikes=trains(5, 4, 0.5, 3, 2), lfp=(lfp("A"),)), drop_units=(0,), min_rate_hz=1.0)
    assert made.unit_channels.x_um == (10, 30, 40) and made.spikes.sum(axis=0).tolist() == [80, 60, 40]


def test_units_numbered_by_their_file_are_dropped_by_number_and_not_by_place():
    spikes = dataclasses.replace(trains(5, 4, 3), ids=(7, 11, 2))
    made = session(Raw(spikes=spikes, lfp=(lfp("A"),)), drop_units=(2, 7))
    assert made.unit_channels.x_um == (10,) and made.spikes.sum(axis=0).tolist() == [80]


def test_counts_take_the_rows_of_their_units_along():
    counts = Counts(values=np.tile([1, 0, 3], (400, 1)), channels=channel_table(3, electrode=[5, 5, 8]))
    made = session(Raw(spikes=counts, n_bins=400), bin_width_ms=50, min_rate_hz=0.1)
    assert made.unit_channels.electrode == ("5", "8") and made.spikes[0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (Raw(spikes=dataclasses.replace(trains(5, 4), channels=channel_table(3))), "3 rows but there are 2 units"),
        (Raw(spikes=dataclasses.replace(trains(5, 4), channels=channel_table(1))), "1 rows but there are 2 units"),
        (
            Raw(lfp=(dataclasses.replace(lfp("A", bands=2), channels=channel_table(6)),)),
            "6 rows but there are 3 LFP electrodes",
        ),
    ],
)
def test_table_of_another_length_is_refused_before_rows_are_left_out(raw, message):
    with pytest.raises(DataError, match=f"`channels` has {message}"):
        session(raw)

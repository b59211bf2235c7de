"""Guides of Gallego's files: each column has its electrode, and what a guide does not say stays unknown."""

import dataclasses

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.readers.gallego import find, open_raw
from raydistill.simulation.writers.gallego import BANDS
from raydistill.store.channels import channel_table
from tests.recordings.sources import changed as changed_source

NUMBERS = {"M1": [96.0, 4.0, 4.0], "PMd": [4.0, 7.0]}
"""Electrodes of the units of each array; 4 is one of either."""


def trial(number, *, without=(), **changed):
    """Electrodes 7 and 4 of either array have LFP; the spikes of unit i are i + 1 in every bin."""
    guide = np.array([(e, *band) for band in BANDS for e in (7.0, 4.0)])  # band by band
    fields = {"date": "10-21-2016", "trial_id": float(number), "result": "R", "bin_size": 0.03}
    fields["vel"] = np.random.default_rng(number).normal(size=(400, 2))
    for array, numbers in NUMBERS.items():
        lfp = np.random.default_rng(number).normal(size=(400, len(guide))) + guide[:, 0]
        fields |= {
            f"{array}_spikes": np.tile(np.arange(1.0, len(numbers) + 1), (400, 1)),
            f"{array}_unit_guide": np.column_stack([numbers, np.arange(len(numbers))]),
            f"{array}_lfp": lfp,
            f"{array}_lfp_guide": guide,
        }
    return {name: value for name, value in (fields | changed).items() if name not in without}


def recording(folder, *trials, arrays=("M1", "PMd"), **config):
    path = folder / "Chewie_CO_20162110.mat"
    with matlab73.new_file(path) as file:
        matlab73.write_struct_array(file, "trial_data", list(trials))
    (found,) = find(folder)
    source = changed_source(found.source, arrays=arrays)
    return dataclasses.replace(found, source=source, config=dataclasses.replace(found.config, **config))


def read(folder, *trials, **changed):
    """The `Raw`, and the session made from it."""
    found = recording(folder, *trials, **changed)
    with open_raw(found.path, found.source, 30.0) as raw:
        return raw, to_session(found, raw, {})[0]


def rows(table):
    return list(zip(table.array, table.electrode, strict=True))


def test_equal_electrode_numbers_of_two_arrays_stay_apart(tmp_path):
    raw, session = read(tmp_path, trial(1), trial(2))
    assert rows(session.lfp_channels) == [("M1", "4"), ("M1", "7"), ("PMd", "4"), ("PMd", "7")]
    units = [("M1", "96"), ("M1", "4"), ("M1", "4"), ("PMd", "4"), ("PMd", "7")]
    assert rows(session.unit_channels) == units and session.unit_channels.region == tuple(a for a, _ in units)
    assert (session.lfp.shape[1], raw.lfp[0].bands, raw.notes) == (4 * 9, 9, ())


def test_electrode_with_units_and_without_lfp_is_among_the_units_alone(tmp_path):
    _, session = read(tmp_path, trial(1), trial(2), arrays=("M1",))
    assert ("M1", "96") in rows(session.unit_channels) and ("M1", "96") not in rows(session.lfp_channels)


def test_rows_follow_dropped_bands_and_slow_units(tmp_path):
    """All bands of the first and the third electrode are dropped, and unit 0 of M1 is slow."""
    spikes = trial(1)["M1_spikes"]
    spikes[:, 0] = 0
    spikes[3, 0] = 1
    trials = [trial(i, M1_spikes=spikes) for i in (1, 2)]
    dropped = (*range(9), *range(18, 27))
    _, session = read(tmp_path, *trials, drop_channels=dropped, drop_units=(3,), min_rate_hz=1.0)
    assert rows(session.lfp_channels) == [("M1", "7"), ("PMd", "7")]
    power = [np.hstack([t["M1_lfp"][:, ::2], t["PMd_lfp"][:, ::2]]) for t in trials]  # the columns of electrode 7
    assert np.array_equal(session.lfp, np.concatenate(power).astype(np.float32))
    assert rows(session.unit_channels) == [("M1", "4"), ("M1", "4"), ("PMd", "7")]
    assert session.spikes[0].tolist() == [2, 3, 2]


def test_area_of_the_sensory_array_is_its_region(tmp_path):
    names = {f"M1_{field}": f"LeftS1Area2_{field}" for field in ("spikes", "unit_guide", "lfp", "lfp_guide")}
    trials = [{names.get(name, name): value for name, value in trial(i).items()} for i in (1, 2)]
    _, session = read(tmp_path, *trials, arrays=("LeftS1Area2",))
    for table in (session.lfp_channels, session.unit_channels):
        assert set(zip(table.array, table.region, strict=True)) == {("LeftS1Area2", "area 2")}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"without": ("M1_unit_guide",)}, "there is no M1_unit_guide"),
        ({"M1_unit_guide": np.ones((2, 2))}, "trial 1: M1_unit_guide has the shape (2, 2), not (3, 2)"),
        ({"M1_unit_guide": np.ones((3, 1))}, "trial 1: M1_unit_guide has the shape (3, 1), not (3, 2)"),
        ({"M1_unit_guide": np.empty((0, 0))}, "trial 1: M1_unit_guide has the shape (0, 0), not (3, 2)"),
    ],
)
def test_units_without_a_guide_that_fits_have_an_array_and_no_electrode(change, note, tmp_path):
    raw, session = read(tmp_path, trial(1, **change), trial(2, **change), arrays=("M1", "PMd"))
    assert session.unit_channels == channel_table(
        5,
        electrode=["", "", "", "4", "7"],
        array=["M1"] * 3 + ["PMd"] * 2,
        region=["M1"] * 3 + ["PMd"] * 2,
    )
    assert raw.notes == (f"{note}; the electrodes of M1_spikes are unknown",)


def test_guides_that_name_other_units_in_another_trial_are_refused(tmp_path):
    other = trial(2)["M1_unit_guide"][[1, 0, 2]]
    trials = trial(1), trial(2, M1_unit_guide=other)
    found = recording(tmp_path, *trials)
    message = "trial 2: M1_unit_guide names other units than that of trial 1"
    with pytest.raises(DataError, match=message), open_raw(found.path, found.source, 30.0):
        pass
    found.path.unlink()
    raw, _ = read(tmp_path, *trials, arrays=("PMd",))  # a guide that is not needed is not read
    assert rows(raw.spikes.channels) == [("PMd", "4"), ("PMd", "7")]


def test_unit_whose_electrode_is_nan_has_none(tmp_path):
    guide = trial(1)["M1_unit_guide"]
    guide[1, 0] = np.nan
    _, session = read(tmp_path, trial(1, M1_unit_guide=guide), trial(2, M1_unit_guide=guide), arrays=("M1",))
    assert session.unit_channels.electrode == ("96", "", "4")

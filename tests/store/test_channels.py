"""Tables of channels: what is unknown stays unknown, rows follow their channels, and stores keep them."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.store.channels import (
    array_names,
    arrays_in,
    channel_table,
    joined,
    table_from_json,
    table_to_json,
)
from raydistill.store.session import Session
from raydistill.store.show import to_json
from raydistill.store.store import Store

TWO_ARRAYS = channel_table(4, electrode=[1, 2, 1, 2], array=["A", "A", "B", "B"], region=["M1", "M1", "", "S1"])


def session(**tables):
    """Two minutes of 3 units and 4 channels."""
    rng = np.random.default_rng(0)
    lfp, spikes = rng.normal(size=(12000, 4)), rng.poisson(1, (12000, 3))
    made = Session.from_arrays("s", subject="m", bin_width_ms=10, spikes=spikes, lfp=lfp)
    return dataclasses.replace(made, **tables)


def test_position_of_zero_is_a_position_and_nan_is_unknown():
    table = channel_table(3, x_um=[0.0, float("nan"), None], y_um=["", "4.5", 7])
    assert table.x_um == (0.0, None, None) and table.y_um == (None, 4.5, 7.0) and table.z_um == (None,) * 3
    assert table.electrode == ("",) * 3 and not table.says_nothing
    assert channel_table(2, electrode=["1", "2"], x_um=[None, None]).says_nothing


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"elektrode": [1, 2]}, 'no column "elektrode"; its columns are electrode, array'),
        ({"array": ["A"]}, "`array` has 1 rows but there are 2 channels"),
        ({"x_um": ["left", 3]}, "`x_um` must hold numbers in micrometres, got 'left'"),
    ],
)
def test_table_that_is_not_one_is_refused(columns, message):
    with pytest.raises(DataError, match=message):
        channel_table(2, **columns)


def test_tables_of_several_series_are_joined_with_unknown_rows_where_one_is_missing():
    whole = joined([(TWO_ARRAYS, 4), (None, 2)])
    assert whole.array == ("A", "A", "B", "B", "", "") and len(whole) == 6
    assert joined([(None, 2), (None, 3)]) is None


def test_table_survives_json():
    table = channel_table(2, electrode=["a", "b"], x_um=[0.1, None])
    assert table_from_json(table_to_json(table)) == table and table_from_json(table_to_json(None)) is None


def test_store_gives_tables_back_and_shows_the_arrays(tmp_path):
    units = TWO_ARRAYS.rows([2, 0, 0])
    store = Store(str(tmp_path))
    store.write(session(unit_channels=units, lfp_channels=TWO_ARRAYS), IngestConfig(), "f" * 64)
    (entry,) = store.publish()
    assert (entry.unit_channels, entry.lfp_channels) == (units, TWO_ARRAYS)
    assert store.entries() == [entry]
    assert to_json(entry)["arrays"] == {
        "B": {"units": 1, "electrodes": 2, "regions": ["S1"]},
        "A": {"units": 2, "electrodes": 2, "regions": ["M1"]},
    }
    assert array_names(units, TWO_ARRAYS) == "B (S1), A (M1)" and arrays_in(None, None) == {}


def test_content_changes_with_a_table_and_not_without(tmp_path):
    contents = []
    for name, tables in (("none", {}), ("again", {}), ("table", {"lfp_channels": TWO_ARRAYS})):
        store = Store(str(tmp_path / name))
        contents.append(store.write(session(**tables), IngestConfig(), "f" * 64).content)
    assert contents[0] == contents[1] != contents[2]


def test_entry_of_a_store_without_tables_is_readable(tmp_path):
    """Entries that were written before tables existed lack their keys."""
    import json

    from raydistill.store.marker import entry_from_json, entry_to_json

    entry = Store(str(tmp_path)).write(session(), IngestConfig(), "f" * 64)
    tree = json.loads(entry_to_json(entry))
    del tree["unit_channels"], tree["lfp_channels"]
    assert entry_from_json(json.dumps(tree)) == entry


def test_table_with_another_number_of_rows_than_channels_is_refused():
    with pytest.raises(DataError, match="`channels` has 4 rows but there are 3 units"):
        session(unit_channels=TWO_ARRAYS)

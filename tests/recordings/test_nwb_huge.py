"""A small NWB file that declares huge series ends in one line, and is not read for hours."""

import h5py
import pytest

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources

DECLARED = 10**10  # samples in 60 s


@pytest.mark.parametrize("word", ["lfp", "position"])
def test_series_of_more_values_than_the_file_can_hold_is_refused(word, make_nwb, tmp_path):
    path = make_nwb()
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        (name,) = [n for n in names if word in n.lower() and n.endswith("/data")]
        series, attributes, (_, width) = file[name].parent, dict(file[name].attrs), file[name].shape
        del series["data"]
        series.create_dataset("data", (DECLARED, width), "f4", chunks=(1 << 16, width)).attrs.update(attributes)
        series["starting_time"].attrs["rate"] = DECLARED / 60
    assert path.stat().st_size < 1 << 20
    (recording,) = plan_sources(path)
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.state == "failed"
    assert f"{name} is said to hold {DECLARED} x {width} values, but the file has only 0 bytes" in result.cause

"""The memory that reading may take: more is refused, and one line names the file, the limit and the way out."""

import resource
import sys

import numpy as np
import pytest
from scipy.io import savemat

from raydistill.errors import DataError
from raydistill.recordings.guard import Guard
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.memory import BASE_GB, PER_SIZE, MemoryLimit
from raydistill.recordings.planning.discover import plan_sources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a limit of memory")


def test_memory_above_the_limit_is_refused_and_the_limit_ends(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MemoryLimit.of([tmp_path / "rec.h5"], 0.2)
    with (
        pytest.raises(DataError, match=r"^rec\.h5: more than 0\.2 GB .* set `--memory-gb` above 0\.2$"),
        limit.enforced(),
    ):
        np.ones(50_000_000)  # 0.4 GB
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert np.ones(50_000_000)[-1] == 1
    with limit.enforced():
        assert np.ones(10_000_000)[-1] == 1


def test_other_errors_inside_the_limit_stay_as_they_are(tmp_path):
    damage = "address of object past end of allocation"  # in the words of HDF5
    with pytest.raises(OSError, match=damage), MemoryLimit.of([tmp_path]).enforced():
        raise OSError(damage)


def test_limit_grows_with_the_files_and_folders_that_are_there(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(bytes(3_000_000))
    (tmp_path / "b").write_bytes(bytes(1_000_000))
    paths = [tmp_path / "folder", tmp_path / "b", tmp_path / "missing"]
    assert MemoryLimit.of(paths).gb == pytest.approx(BASE_GB + PER_SIZE * 0.004)


def test_compressed_file_that_needs_more_memory_is_refused_unless_more_is_allowed(manifest, tmp_path, rng):
    counts = rng.poisson(0.01, (30_000, 400)).astype(float)  # 0.1 GB
    savemat(tmp_path / "rec.mat", {"c": counts}, do_compression=True)
    session = "file: rec.mat, subject: s, bin_width_ms: 10, spikes: c"
    (recording,) = plan_sources(manifest(f"sessions: [{{{session}}}]"))
    refused = ingest_one(recording, str(tmp_path / "store"), None, guard=Guard(memory_gb=0.05))
    assert refused.state == "failed" and refused.cause.startswith("rec.mat: more than 0.05 GB of memory are needed")
    assert ingest_one(recording, str(tmp_path / "store"), None, guard=Guard(memory_gb=2)).state == "stored"


def test_lfp_that_is_read_later_is_within_the_limit(make_nwb):
    # So large that the allocator never takes it from memory that it holds already.
    noise = np.zeros((6_000_000, 3), dtype=np.int16)
    (recording,) = plan_sources(make_nwb(lfp={"data": noise, "rate": 30000.0}))
    with (
        pytest.raises(DataError, match=r"^rec\.nwb: more than 0\.01 GB"),
        open_raw(recording.path, recording.source, 10.0, 0.01) as raw,
    ):
        raw.lfp[0].read(0, 6_000_000)

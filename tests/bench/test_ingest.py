"""`bench ingest` on small recordings: what it reports, and that memory does not grow with the recording."""

import math

import pytest

from raydistill.bench.ingest import bench_ingest
from raydistill.errors import ConfigError
from tests.commands import raydistill


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The report on one minute of 16 channels, and the folder in which the files were."""
    folder = tmp_path_factory.mktemp("short")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        return bench_ingest(minutes=1, channels=16, repeats=2), folder


def test_bench_report_has_the_promised_shape(short):
    report = short[0].to_json()
    assert list(report) == ["what", "device", "threads", "precision", "figures", "versions"]
    assert (report["what"], report["device"], report["threads"]) == ("ingest", "cpu", 1)
    assert {"python", "raydistill", "numpy", "scipy", "h5py"} <= set(report["versions"])
    figures = report["figures"]
    assert (figures["seconds"], figures["channels"]) == (60, 16)
    positive = {"cpu_s", "wall_s", "hash_cpu_s", "peak_mb_above_base", "base_mb", "copy_gb_per_s", "matmul_gflops"}
    assert positive <= set(figures)
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in positive)


def test_bench_leaves_no_file_behind(short):
    assert not list(short[1].iterdir())


def test_bench_finds_no_drift_of_the_lfp(short):
    assert abs(short[0].figures["drift_ms"]) < 0.05


def test_ingest_of_ten_minutes_takes_little_more_memory_than_of_one(short):
    """One minute of 16 channels fills no buffer, and the session itself grows. The raw samples would be 940 MB."""
    one = short[0].figures["peak_mb_above_base"]
    long = bench_ingest(minutes=10, channels=16, repeats=1)
    ten = long.figures["peak_mb_above_base"]
    print(f"\n16 channels: {one:.0f} MB above the base for 1 minute, {ten:.0f} MB for 10")
    assert ten < one + 100 and ten < 600
    assert abs(long.figures["drift_ms"]) < 0.05


def test_bench_of_a_recording_too_short_to_be_split_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"`--minutes` must be at least 0\.75, but got 0\.5"):
        bench_ingest(minutes=0.5)
    done = raydistill("bench", "ingest", "--minutes", "0.5", "--json", cwd=tmp_path, check=2)
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1

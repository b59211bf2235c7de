"""`bench load` on a small store: figures of the promised names, for both signals, and nothing left behind."""

import json
import math

import pytest
import torch

from raydistill.bench.corpus import corpus
from raydistill.bench.load import bench_load

FIGURES = {
    "first_epoch_mb_per_s",
    "later_epoch_mb_per_s",
    "pyarrow_mb_per_s",
    "first_over_pyarrow",
    "ray_data_over_pyarrow",
}


@pytest.fixture(scope="module")
def report(local_ray, tmp_path_factory):
    folder, threads = tmp_path_factory.mktemp("load"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(folder))
        report = bench_load(sessions=2, seconds=40, repeats=2, epochs=2).to_json()
    assert not list(folder.iterdir()) and torch.get_num_threads() == threads
    return report


def test_bench_load_gives_the_promised_figures_for_both_signals(report):
    figures = report["figures"]
    prefixed = {f"{signal}_{name}" for signal in ("lfp", "spikes") for name in FIGURES}
    assert set(figures) == FIGURES | prefixed | {"store_mb", "copy_gb_per_s"}
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    assert (report["what"], report["device"], report["threads"]) == ("load", "cpu", 1)
    json.dumps(report)


def test_bench_load_figures_without_a_prefix_are_those_of_lfp(report):
    assert all(report["figures"][name] == report["figures"][f"lfp_{name}"] for name in FIGURES)
    assert report["figures"]["first_over_pyarrow"] == pytest.approx(
        report["figures"]["pyarrow_mb_per_s"] / report["figures"]["first_epoch_mb_per_s"]
    )


def test_corpus_depends_on_the_seed_alone_and_nine_tenths_of_it_are_train():
    contents = []
    for seed in (0, 0, 1):
        with corpus(sessions=2, seconds=200, units=3, channels=2, seed=seed) as (folder, store):
            entries = store.entries()
        assert [e.splits for e in entries] == [{"train": 36, "valid": 2, "test": 2}] * 2 and not folder.exists()
        contents.append([e.content for e in entries])
    assert contents[0] == contents[1] and not set(contents[0]) & set(contents[2])

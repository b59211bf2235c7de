"""`bench checkpoint` of the tiny model: a checkpoint of the size that its parts add up to."""

import json
import math

from raydistill.bench.checkpoint import bench_checkpoint
from raydistill.models.crossmodal.config import PRESETS


def test_bench_checkpoint_gives_the_promised_figures_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report = bench_checkpoint(config=PRESETS["tiny"], repeats=3).to_json()
    figures = report["figures"]
    assert set(figures) == {"stall_s", "write_s", "size_mb", "parameters", "copy_gb_per_s"}
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    assert figures["stall_s"] <= figures["write_s"]
    # Model, best model and two moments of each parameter, in float32.
    assert 16 * figures["parameters"] / 1e6 < figures["size_mb"] < 20 * figures["parameters"] / 1e6
    assert not list(tmp_path.glob("raydistill-*"))
    assert report["what"] == "checkpoint"
    json.dumps(report)

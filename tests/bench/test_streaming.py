"""`bench stream-vs-memory` on a small store: both trainings learn the same, and every figure is there."""

import json
import math

from raydistill.bench.streaming import bench_streaming


def test_bench_stream_vs_memory_learns_the_same_from_both():
    report = bench_streaming(sessions=2, seconds=30, epochs=2, batch=4).to_json()
    figures = report["figures"]
    assert set(figures) == {"host_epoch_s", "host_data_wait", "stream_epoch_s", "stream_data_wait", "same"}
    assert figures["same"] == 1.0
    assert all(math.isfinite(value) for value in figures.values())
    assert all(
        figures[f"{memory}_epoch_s"] > 0 and 0 <= figures[f"{memory}_data_wait"] <= 1 for memory in ("host", "stream")
    )
    assert report["what"] == "stream-vs-memory"
    json.dumps(report)

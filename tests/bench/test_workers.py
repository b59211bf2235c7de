"""`bench workers` on a small store: both trainings run through Ray Train, and every figure is there."""

import json
import math

from raydistill.bench.workers import bench_workers
from raydistill.models.crossmodal.config import PRESETS

POSITIVE = {"start_s", "one_tokens_per_s", "two_tokens_per_s", "scaling", "report_s", "ray_report_s"}


def test_bench_workers_gives_the_promised_figures(local_ray):
    report = bench_workers(sessions=2, seconds=30, epochs=2, batch=4, config=PRESETS["tiny"]).to_json()
    figures = report["figures"]
    assert set(figures) == POSITIVE | {"data_wait", "checkpoint_stall_s"}
    assert all(math.isfinite(value) for value in figures.values())
    assert all(figures[name] > 0 for name in POSITIVE)
    assert 0 <= figures["data_wait"] <= 1 and figures["checkpoint_stall_s"] >= 0
    assert figures["scaling"] == figures["two_tokens_per_s"] / figures["one_tokens_per_s"]
    assert (report["what"], report["threads"]) == ("workers", 1)
    json.dumps(report)

"""`bench sweep` with few sessions: figures of the promised names."""

import json
import math

from raydistill.bench.sweep import bench_sweep


def test_bench_sweep_gives_the_promised_figures(local_ray):
    report = bench_sweep(sessions=2, seeds=1, epochs=1, listed=6).to_json()
    figures = report["figures"]
    names = {"jobs", "wall_s", "own_s_per_job", "overhead_s_per_job", "busy_share", "again_s"}
    names |= {f"many_{name}" for name in ("sessions", "listing_s", "skip_s", "plan_s", "results_s", "page_s")}
    names |= {"many_tell_s", "many_again_s"}
    assert set(figures) == names and figures["jobs"] == 2 * 2 + 2 * 2
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    assert figures["busy_share"] <= 1
    json.dumps(report)

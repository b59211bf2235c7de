"""`bench sweep` with few sessions: figures of the promised names."""

import json
import math

from raydistill.bench.sweep import bench_sweep


def test_bench_sweep_gives_the_promised_figures(local_ray):
    report = bench_sweep(sessions=2, seeds=1, epochs=1, listed=6).to_json()
    figures = report["figures"]
    names = {"jobs", "wall_s", "own_s_per_job", "overhead_s_per_job", "busy_share", "again_s"}
    steps = ("listing", "skip", "plan", "results", "page", "tell", "again")
    names |= {"many_sessions"} | {f"many_{step}_{unit}" for step in steps for unit in ("s", "cpu_s")}
    assert set(figures) == names and figures["jobs"] == 2 * 2 + 2 * 2
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    assert figures["busy_share"] <= 1
    json.dumps(report)

"""`bench evaluate` on few sequences: figures of the promised names."""

import json

from raydistill.bench.evaluate import bench_evaluate


def test_bench_evaluate_gives_the_promised_figures():
    report = bench_evaluate(sequences=500, width=16, sessions=5).to_json()
    assert set(report["figures"]) == {"seconds", "peak_mb_above_base", "sequences", "width"}
    assert report["figures"]["seconds"] > 0 and report["figures"]["peak_mb_above_base"] >= 0
    json.dumps(report)

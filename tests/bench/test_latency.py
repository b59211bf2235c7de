"""`bench latency`: the time per bin of every model, by PyTorch and by onnxruntime."""

from raydistill.bench.latency import bench_latency
from raydistill.models.crossmodal.config import PRESETS


def test_latency_of_every_model_is_reported_for_both_runtimes():
    figures = bench_latency(bins=5).figures
    names = [f"{preset}_{backbone}" for preset in PRESETS for backbone in ("transformer", "mamba")] + ["realm"]
    for name in names:
        for runtime in ("torch", "onnx"):
            p50, p99, most = (figures[f"{name}_{runtime}_{which}_ms"] for which in ("p50", "p99", "max"))
            assert 0 < p50 <= p99 <= most
    assert figures["realm_parameters"] == 4_857_365 + 514 and figures["realm_read_ms"] > 0  # with its head

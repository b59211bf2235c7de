"""`bench latency`: how long a causal model takes per bin of 96 LFP channels, on one thread.

Untrained models: their time does not depend on their weights. Each is stepped by PyTorch (`LoadedModel.stream`) and, if
it is installed, by onnxruntime (`raydistill deploy`).
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from raydistill.bench import Report, versions
from raydistill.bench.machine import copy_gb_per_s
from raydistill.errors import RaydistillError
from raydistill.feed.patches import patches_per_bin
from raydistill.feed.tokens import pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.crossmodal.backbones import BackboneName
from raydistill.models.crossmodal.config import PRESETS, CrossModalConfig, configure
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.realm import config as realm
from raydistill.models.spec import ModelSpec
from raydistill.models.stream import Stream
from raydistill.stream.replay import Latency, torch_threads
from raydistill.stream.step import StepModule

BACKBONES: tuple[BackboneName, ...] = ("transformer", "mamba")
CHANNELS, BEHAVIOR = 96, ("velocity_x", "velocity_y")
WARM_UP, BIN_MS = 50, 10.0


def bench_latency(*, bins: int = 2000, say: Callable[[str], None] = lambda text: None) -> Report:
    """Median, 99th percentile and maximum of the time per bin, for a transformer and Mamba of each preset and for REALM
    (4.9 million parameters)."""
    figures = {"memory_gb_per_s": copy_gb_per_s()}
    with torch_threads(1):
        for name, config in _configs().items():
            say(f"{name}: {bins} bins")
            figures |= _times(name, config, bins, figures["memory_gb_per_s"])
    return Report(
        what="latency", device="cpu", threads=1, precision="fp32", figures=figures, versions=versions("torch", "numpy")
    )


def _configs() -> dict[str, CrossModalConfig]:
    def made(preset: str, backbone: BackboneName) -> CrossModalConfig:
        return configure(replace(PRESETS[preset], causal=True, backbone=backbone), "lfp", "conv")

    configs = {f"{preset}_{b}": made(preset, b) for preset in PRESETS for b in BACKBONES}
    return configs | {"realm": realm.configure(replace(realm.PRESETS["paper"], causal=True), "lfp", "gated")}


def _times(name: str, config: CrossModalConfig, bins: int, memory_gb_per_s: float) -> dict[str, float]:
    model = CrossModalModel(
        ModelSpec(
            family="realm" if config.space == "none" else "crossmodal",
            config=config,
            sessions={"S": patches_per_bin(config.inputs.widths(bands=1), "lfp", 0, CHANNELS)},
            behavior=BEHAVIOR,
        )
    ).eval()
    inputs = ArrayInputs(model.spec, None)
    stream = Stream(model, inputs)
    values = np.random.default_rng(0).normal(size=(bins + WARM_UP, CHANNELS)).astype(np.float32)
    n_bytes = 4 * sum(p.numel() for p in model.parameters())
    figures = {f"{name}_parameters": n_bytes / 4, f"{name}_read_ms": n_bytes / 1e6 / memory_gb_per_s}
    figures |= _percentiles(f"{name}_torch", lambda row: stream.step(lfp=row), values)
    try:
        from raydistill.stream.deploy import exported, ready
    except RaydistillError:
        return figures
    width = config.width
    weights, bias = np.zeros((width, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)
    module = StepModule(
        model, pack([inputs.tokenize({"lfp": values[:1]})]), stream.first_state(), CHANNELS, weights, bias
    )
    return figures | _percentiles(f"{name}_onnx", ready(module, exported(module)), values)


def _percentiles(name: str, step: Callable[[np.ndarray], object], values: np.ndarray) -> dict[str, float]:
    seconds = []
    for row in values:
        began = time.perf_counter()
        step(row)
        seconds.append(time.perf_counter() - began)
    latency = Latency.of(np.array(seconds[WARM_UP:]), BIN_MS)
    return {f"{name}_{which}": getattr(latency, which) for which in ("p50_ms", "p99_ms", "max_ms")}

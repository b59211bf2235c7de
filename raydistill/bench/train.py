"""`bench train`: training steps of masked autoencoding on spikes with the paper's model, and matrix products alone.

State-space layers of equal size read bins, of which blocks are masked; the transformer reads the visible tokens.

Axes: B segments, T bins, P patches per bin, D width.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Literal

import numpy as np
import torch

from raydistill.bench import Report, versions
from raydistill.bench.model import masked_model
from raydistill.config.objectives import Blocks
from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError
from raydistill.feed.feed import FeedBatch
from raydistill.feed.tokens import Batch, pack
from raydistill.models.crossmodal.backbones import MambaBackbone
from raydistill.models.crossmodal.config import PRESETS, CrossModalSettings, configure
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.inputs import inputs_of
from raydistill.models.layers.mamba import CHUNK
from raydistill.models.layers.precision import compute_exactly, has_bf16
from raydistill.models.spec import ModelSpec
from raydistill.objectives import Draw, masked_autoencoding
from raydistill.store.session import Segment
from raydistill.training.loop import Pass, prepare
from raydistill.training.optim import build_optimizer, set_schedule

MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of a matrix product that is large enough for the highest rate of the device."""
_PATCHES = 2  # per bin
_TRAINING = 3  # a training step costs three forward passes: one forward, two backward


def bench_train(
    *,
    segments: int = 8,
    bins: int = 500,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compiled: bool = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    config: CrossModalSettings = PRESETS["paper"],
    family: Literal["transformer", "mamba"] = "transformer",
    matrix: int | None = None,
    warmup: int = 2,
    repeats: int = 7,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the repeats, after a warm-up that is not counted.

    `tokens_per_s` counts all tokens of a batch, of which a transformer sees the visible 40 %. `fraction_of_peak` is the
    rate of the step's multiplications over that of a matrix product of the same precision, measured in the same run.

    Args:
        segments: segments per batch.
        bins: bins per segment, each of two patches.
        precision: auto: bf16 where the device multiplies in it, else fp32. The report names the one that was used.
        compiled: compile encoder and predictor with torch.compile.
        device: auto: cuda where this machine has a GPU, else cpu. The report names the one that was used.
        config: sizes of the model.
        family: its network; state-space layers have about as many parameters as the transformer of `config`.
        matrix: rows and columns of the matrix product that gives the machine's peak; by default large enough for it.

    Raises:
        ConfigError: the device or the precision is not available on this machine, or `compiled` is asked for with
            `family: mamba`.
    """
    config = replace(config, backbone=family)
    if compiled and family != "transformer":
        raise ConfigError("--compile compiles a transformer; leave it out, or use `--family transformer`")
    device = _available_device(device)
    precision, matrix = _available_precision(precision, device), matrix or MATRIX[device]
    compute_exactly(device)  # as a training does
    recipe = TrainingConfig(precision=precision)
    step, n_tokens = _training_step(config, recipe, segments, bins, device, compiled)
    if compiled:
        say("compiling: a minute or two")
    seconds = _seconds(step, device, warmup, repeats)
    f32 = _matmul_gflops(torch.float32, matrix, device)
    peak = _matmul_gflops(torch.bfloat16, matrix, device) if precision == "bf16" else f32
    flops = step_flops if family == "transformer" else bins_step_flops
    rate = flops(config, recipe.mask_ratio, segments, n_tokens // segments) / seconds / 1e9
    figures = {
        "tokens_per_s": n_tokens / seconds,
        "step_s": seconds,
        "tokens": n_tokens,
        "parameters": _encoder_parameters(config),
        "gflops": rate,
        "matmul_gflops": f32,
        f"matmul_{precision}_gflops": peak,
        "fraction_of_peak": rate / peak,
        "compiled": float(compiled),
    }
    if device == "cuda":
        figures["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return Report(
        what="train",
        device=torch.cuda.get_device_name() if device == "cuda" else device,
        threads=torch.get_num_threads(),
        precision=precision,
        figures=figures,
        versions=versions("torch", "numpy"),
    )


def _available_device(device: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: this machine has no CUDA device; use `--device cpu`")
    return device


def _available_precision(precision: Literal["auto", "fp32", "bf16"], device: str) -> Literal["fp32", "bf16"]:
    if precision == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    if precision == "bf16" and not has_bf16(device):
        raise ConfigError(f"--precision bf16: this {device} does not multiply in bfloat16; use `--precision fp32`")
    return precision


def _training_step(
    config: CrossModalSettings, recipe: TrainingConfig, segments: int, bins: int, device: str, compiled: bool
) -> tuple[Callable[[], None], int]:
    """A training step on one batch of random spikes, and the number of tokens of the batch."""
    spec = masked_model(config, "spikes", {"s": _PATCHES})
    torch.manual_seed(0)
    model = CrossModalModel(spec).to(device).train()
    blocks = None if config.backbone == "transformer" else Blocks(**recipe.blocks)
    objective = masked_autoencoding(recipe.mask_ratio, blocks)
    (batch,) = prepare(objective, [FeedBatch(tokens=_batch(spec, segments, bins))], Draw(0, 0), device)
    count = objective.counts(batch.inputs)["reconstruction"]
    optimizer = build_optimizer(model, recipe)
    set_schedule(optimizer, recipe, 0)
    forward = Pass(model, objective)
    if compiled:
        model.encoder.compile()
        model.predictor.transformer.compile()
    return lambda: _step(forward, model, optimizer, batch.inputs, recipe, device, count), batch.n_tokens


def step_flops(config: CrossModalSettings, mask_ratio: float, segments: int, length: int) -> float:
    """Multiplications and additions of one training step in encoder and predictor, without embeddings and norms.

    Args:
        length: tokens per segment.
    """
    visible = length - int(mask_ratio * length)
    encoder = config.layers * _block_flops(visible, config.width, config.mlp_ratio)
    predictor = config.predictor_layers * _block_flops(length, config.predictor_width, config.mlp_ratio)
    entry = 2 * length * config.width * config.predictor_width
    return _TRAINING * segments * (encoder + predictor + entry)


def bins_step_flops(config: CrossModalSettings, mask_ratio: float, segments: int, length: int) -> float:
    """As `step_flops`, of state-space layers that read bins of `_PATCHES` tokens, masked ones included."""
    model = configure(config, "spikes", "count", predictor=True)
    backbone, predictor = model.backbone, model.bins_predictor
    assert isinstance(backbone, MambaBackbone) and predictor is not None
    n_bins, width = length // _PATCHES, config.width
    layers = backbone.layers * _state_space_flops(n_bins, width, backbone.expand, backbone.states)
    merge = 4 * n_bins * width**2  # of both directions
    if not backbone.causal:
        layers = 2 * layers + backbone.layers * merge
    of_predictor = 2 * _state_space_flops(n_bins, width, 1, predictor.states) + merge + 8 * n_bins * width**2
    return _TRAINING * segments * (layers + of_predictor)


def _state_space_flops(n_bins: int, width: int, expand: int, states: int) -> int:
    """Forward pass of a block in one direction over a segment: its maps, all pairs of bins of a chunk, the states."""
    inner = expand * width
    maps = 2 * n_bins * inner * (3 * width + 2 * states)
    pairs = 2 * n_bins * CHUNK * (inner + states)
    return maps + pairs + 4 * n_bins * inner * states


def _encoder_parameters(config: CrossModalSettings) -> int:
    return configure(config, "spikes", "count").backbone.parameters(config.width)


def _block_flops(length: int, width: int, mlp_ratio: int) -> int:
    """Forward pass of one block over one segment: four matrices of the attention, three of the MLP, the attention."""
    return 2 * length * (4 + 3 * mlp_ratio) * width**2 + 4 * length**2 * width


def _batch(spec: ModelSpec, segments: int, bins: int) -> Batch:
    random = np.random.default_rng(0)
    inputs = inputs_of(spec, [])
    spikes = lambda: random.poisson(0.1, (bins, _PATCHES * spec.patch)).astype(np.uint8)  # noqa: E731
    examples = (Segment("s", i, "train", 0.0, spikes(), None, None) for i in range(segments))
    return pack([inputs.tokenize(segment) for segment in examples])


def _step(forward, model, optimizer, inputs, recipe, device, count):
    with torch.autocast(device, torch.bfloat16, enabled=recipe.precision == "bf16"):
        total = forward(inputs, Draw(0, 0)).sum()
    (total / count).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    optimizer.zero_grad()


def _seconds(work: Callable[[], object], device: str, warmup: int, repeats: int) -> float:
    times = []
    for _ in range(warmup + repeats):
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return median(times[warmup:])


def _matmul_gflops(dtype: torch.dtype, n: int, device: str) -> float:
    a = torch.randn(n, n, device=device).to(dtype)
    return 2 * n**3 / 1e9 / _seconds(lambda: torch.matmul(a, a), device, warmup=1, repeats=7)

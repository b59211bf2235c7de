"""`bench train`: figures of the promised names, and a count of multiplications that adds up."""

import dataclasses
import json
import math

import pytest
import torch

from raydistill.bench.train import bench_train, bins_step_flops, step_flops
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.models.layers.precision import has_bf16
from tests.commands import read_json


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bench_train_gives_the_promised_figures(precision, monkeypatch):
    monkeypatch.setattr("raydistill.bench.train.has_bf16", lambda device: True)  # correct on any CPU, if slow
    report = bench_train(
        segments=2, bins=20, precision=precision, device="cpu", config=PRESETS["tiny"], matrix=64, warmup=1, repeats=2
    ).to_json()
    assert {"tokens_per_s", "matmul_gflops", "fraction_of_peak"} <= set(report["figures"])
    assert all(math.isfinite(v) and v >= 0 for v in report["figures"].values()) and report["figures"]["tokens"] == 80
    assert (report["what"], report["device"], report["precision"]) == ("train", "cpu", precision)
    json.dumps(report)


@pytest.mark.parametrize(("there", "precision"), [(True, "bf16"), (False, "fp32")])
def test_bench_train_without_options_uses_and_reports_what_the_machine_has(there, precision, monkeypatch):
    monkeypatch.setattr("raydistill.bench.train.has_bf16", lambda device: there)
    report = bench_train(segments=1, bins=10, config=PRESETS["tiny"], matrix=64, warmup=0, repeats=1)
    assert report.precision == precision and f"matmul_{precision}_gflops" in report.figures
    assert (report.device == "cpu") == (not torch.cuda.is_available())


def test_bench_train_command_without_precision_and_device_exits_0(tmp_path):
    report = read_json("bench", "train", "--segments", "1", "--bins", "4", cwd=tmp_path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert report["precision"] == ("bf16" if has_bf16(device) else "fp32")


def test_bench_train_in_a_precision_that_the_hardware_lacks_is_refused(monkeypatch):
    monkeypatch.setattr("raydistill.bench.train.has_bf16", lambda device: False)
    with pytest.raises(ConfigError, match="does not multiply in bfloat16; use `--precision fp32`"):
        bench_train(precision="bf16", device="cpu")


def test_bench_train_on_a_device_that_the_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="no CUDA device; use `--device cpu`"):
        bench_train(device="cuda")


def test_step_flops_of_the_paper_are_those_of_its_matrices():
    """8 segments of 500 bins x 2 patches: 400 visible tokens through 10 x 256, 1000 through 4 x 192."""
    encoder = 10 * (16 * 256**2 * 2 * 400 + 2 * 2 * 400 * 400 * 256)
    predictor = 4 * (16 * 192**2 * 2 * 1000 + 2 * 2 * 1000 * 1000 * 192) + 2 * 1000 * 256 * 192
    assert step_flops(PRESETS["paper"], 0.6, 8, 1000) == 3 * 8 * (encoder + predictor)


def test_bench_train_of_state_space_layers_has_the_size_of_the_transformer(monkeypatch):
    reports = {
        family: bench_train(
            segments=1, bins=70, precision="fp32", device="cpu", family=family, config=PRESETS["tiny"], matrix=64,
            warmup=0, repeats=1,
        )
        for family in ("transformer", "mamba")
    }  # fmt: skip
    sizes = [report.figures["parameters"] for report in reports.values()]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05) and sizes[0] == 83_392
    assert {"tokens_per_s", "fraction_of_peak"} <= set(reports["mamba"].figures)
    with pytest.raises(ConfigError, match="--compile compiles a transformer"):
        bench_train(family="mamba", compiled=True)


def test_step_flops_of_state_space_layers_are_those_of_their_matrices():
    """One segment of 500 bins: per direction 3 E D + 2 E S weights, chunks of 64 bins, states; E = D = 256 twice."""
    model = configure(dataclasses.replace(PRESETS["paper"], backbone="mamba"), "spikes", "count", predictor=True)
    states, layers = model.backbone.states, model.backbone.layers
    block = lambda s: 2 * 500 * 256 * (3 * 256 + 2 * s) + 2 * 500 * 64 * (256 + s) + 4 * 500 * 256 * s  # noqa: E731
    merge = 2 * 500 * 2 * 256 * 256
    mlp = 2 * 500 * 2 * 256 * 512
    expected = layers * (2 * block(states) + merge) + 2 * block(64) + merge + mlp
    assert bins_step_flops(dataclasses.replace(PRESETS["paper"], backbone="mamba"), 0.6, 1, 1000) == 3 * expected

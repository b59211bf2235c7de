"""What a process asks of PyTorch before it computes on a GPU, on a machine that need not have one."""

import os
from types import SimpleNamespace

import pytest
import torch

from raydistill.config.engine import EngineConfig
from raydistill.feed.masking import Draw
from raydistill.feed.placement import choose_placement
from raydistill.models.layers.precision import compute_exactly
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext
from raydistill.sweep.running.fanout import Resources, prepare_process
from raydistill.training import assemble, loop


@pytest.fixture
def calls(monkeypatch):
    """The calls that set something, in order."""
    made = []
    for name in ("set_device", "set_per_process_memory_fraction"):
        monkeypatch.setattr(torch.cuda, name, lambda *given, name=name: made.append((name, *given)))
    return made


@pytest.mark.parametrize(("device", "expected"), [("cuda", [("set_per_process_memory_fraction", 0.25)]), ("cpu", [])])
def test_process_of_a_job_may_use_its_share_of_the_memory(device, expected, calls, monkeypatch, tmp_path):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    prepare_process(JobContext(RunsFolder(tmp_path), "store", device), Resources(cpus=2, gpu=0.25))
    assert calls == expected and threads == [2]


def test_segments_may_fill_a_third_of_what_the_process_may_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda index: 0.25)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=12e9))
    placed = [choose_placement(SimpleNamespace(bytes=lambda n=n: n), EngineConfig(), "cuda") for n in (999e6, 1001e6)]
    assert [placement.place for placement in placed] == ["device", "host"]
    assert placed[0].reason == "fits 1000 MB of the device"


@pytest.mark.parametrize(("device", "expected"), [("cuda:3", [("set_device", 3), "pinned"]), ("cpu", [])])
def test_thread_that_pins_memory_does_so_on_the_device_of_its_worker(device, expected, calls, monkeypatch):
    monkeypatch.setattr(loop, "pinned", lambda inputs: calls.append("pinned"))
    monkeypatch.setattr(loop, "to_device", lambda inputs, device: inputs)
    monkeypatch.setattr(loop, "_with_noise", lambda batch, draw: batch)
    batch = SimpleNamespace(tokens=SimpleNamespace(time=[0]), idle=False)
    loop.prepare(SimpleNamespace(prepare=lambda batch, draw: batch), [batch], Draw(0, 0), device)
    assert calls == expected


@pytest.fixture
def flags(monkeypatch):
    """Whether algorithms are deterministic, and whether float32 is rounded; as before at the end."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    yield lambda: (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32)
    torch.use_deterministic_algorithms(False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_gpu_computes_with_deterministic_algorithms_and_all_digits(flags):
    compute_exactly("cpu")
    assert flags() == (False, True)
    compute_exactly("cuda:1")
    assert flags() == (True, False) and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_training_computes_exactly_before_anything_else(monkeypatch):
    def end(device):
        raise InterruptedError(device)

    monkeypatch.setattr(assemble, "compute_exactly", end)
    with pytest.raises(InterruptedError, match="cuda:1"):
        assemble.assemble(None, None, device="cuda:1")

"""Whether a CPU multiplies in bfloat16 follows from its public list of features."""

import pytest
import torch

from raydistill.models.layers.precision import has_bf16

AVX512 = ("avx2", "avx512_f", "avx512_bw", "avx512_vl", "avx512_dq")


def test_bf16_of_this_cpu_is_what_onednn_accepts(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    accepts = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # private, so it may be renamed
    if accepts is None:
        pytest.skip("this torch does not have the operator to compare with")
    assert has_bf16("cpu") == accepts()


@pytest.mark.parametrize(
    ("features", "answer"),
    [
        ((), False),
        (("avx2", "fma3"), False),
        (AVX512, True),
        (AVX512[:-1], False),
        (("avx2", "avx_vnni_int8", "avx_ne_convert"), True),
        (("neon", "fp16_arith"), False),
        (("neon", "bf16"), True),
    ],
)
def test_bf16_of_a_cpu_follows_from_its_features(features, answer, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: dict.fromkeys(features, True))
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    assert has_bf16("cpu") is answer


def test_bf16_of_a_cpu_without_onednn_is_not_supported(monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: dict.fromkeys(AVX512, True))
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    assert has_bf16("cpu") is False

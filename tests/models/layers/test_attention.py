"""Every way of attention agrees with the definition, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import varlen

from raydistill.models.layers import attention
from raydistill.models.layers.attention import AttentionKernel, Packing, attend, attend_slowly, choose_kernel

LENGTHS = {
    "equal": (13, 13, 13),
    "one": (200,),
    "ragged": (1, 40, 7, 40, 300, 1),
    "all_different": (3, 2, 1),
    "with_empty": (5, 0, 5, 9),
}
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def assert_agrees(lengths, head_width, causal, device=CPU, dtype=torch.float32, within=1e-5, heads=2, seed=0):
    """`attend` equals the definition in float32, gradients included."""
    torch.manual_seed(seed)
    exact = [torch.randn(sum(lengths), heads, head_width, requires_grad=True) for _ in range(3)]
    fast = [x.detach().to(device, dtype).requires_grad_() for x in exact]
    weights = torch.randn(sum(lengths), heads, head_width)

    expected = attend_slowly(*exact, lengths, causal)
    found = attend(*fast, Packing(lengths, device), causal)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float().cpu(), expected, atol=within, rtol=within)

    expected = torch.autograd.grad((expected * weights).sum(), exact)
    found = torch.autograd.grad((found.float() * weights.to(device)).sum(), fast)
    for theirs, ours in zip(expected, found, strict=True):
        torch.testing.assert_close(ours.float().cpu(), theirs, atol=within, rtol=10 * within)


@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("head_width", [8, 12, 16, 24, 32, 64])
def test_attend_agrees_with_the_definition(lengths, head_width, causal):
    assert_agrees(lengths, head_width, causal)


@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
def test_attend_from_1_to_2000_tokens_agrees_with_the_definition(causal):
    assert_agrees((2000, 1, 700, 700, 33), 32, causal, heads=1)


@given(
    lengths=st.lists(st.integers(1, 24), min_size=1, max_size=8).map(tuple),
    head_width=st.sampled_from([8, 16, 24]),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_attend_for_any_lengths_agrees_with_the_definition(lengths, head_width, causal, seed):
    assert_agrees(lengths, head_width, causal, seed=seed)


@pytest.mark.parametrize("lengths", [(6, 6), (9, 6, 4)], ids=["equal", "ragged"])
def test_causal_attention_when_a_token_changes_leaves_earlier_ones_and_other_segments_alone(lengths):
    torch.manual_seed(0)
    q, k, v = (torch.randn(sum(lengths), 2, 8) for _ in range(3))
    before = attend(q, k, v, Packing(lengths), causal=True)
    for x in (q, k, v):
        x[4] += 1.0
    changed = (attend(q, k, v, Packing(lengths), causal=True) - before).abs().sum((1, 2)).nonzero().flatten().tolist()
    assert changed == list(range(4, lengths[0]))


def standing_in(q, k, v, cu_seqlens_q, cu_seqlens_k, longest_q, longest_k, causal):
    """The definition behind a varlen kernel's arguments, which must be what the kernels ask for."""
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    assert cu_seqlens_q.tolist() == cu_seqlens_k.tolist() and cu_seqlens_q[0] == 0 and cu_seqlens_q[-1] == len(q)
    lengths = cu_seqlens_q.diff().tolist()
    assert longest_q == longest_k == max(lengths)
    assert all(x.dim() == 3 and x.stride(-1) == 1 for x in (q, k, v))
    return attend_slowly(q, k, v, tuple(lengths), causal)


def flash_attn_varlen_func(q, k, v, *edges, causal=False, deterministic=False):
    return standing_in(q, k, v, *edges, causal)


def varlen_attn(q, k, v, *edges, window_size=(-1, -1)):
    return standing_in(q, k, v, *edges, {(-1, -1): False, (-1, 0): True}[window_size])


@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
@pytest.mark.parametrize("kernel", ["flash-attn", "torch varlen"])
def test_varlen_kernel_is_called_with_what_it_asks_for(kernel, causal, monkeypatch):
    """The kernels run on CUDA only; the slow reference replaces them here."""
    monkeypatch.setattr(attention, "flash_varlen", lambda: flash_attn_varlen_func)
    monkeypatch.setattr(varlen, "varlen_attn", varlen_attn)
    monkeypatch.setattr(attention, "choose_kernel", lambda *_: AttentionKernel(kernel, "requested"))
    assert_agrees((3, 17, 5, 17), 16, causal)


@pytest.fixture
def an_ampere_card(monkeypatch):
    """What `choose_kernel` asks torch about a card, answered for one; without flash-attn."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(attention, "flash_varlen", lambda: None)
    return monkeypatch


@pytest.mark.parametrize("head_width", [8, 16, 24, 32, 64])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_ragged_batch_in_half_precision_on_a_card_takes_a_varlen_kernel(dtype, head_width, an_ampere_card):
    assert choose_kernel(CUDA, dtype, False, head_width).name == "torch varlen"
    an_ampere_card.setattr(attention, "flash_varlen", lambda: flash_attn_varlen_func)
    assert choose_kernel(CUDA, dtype, False, head_width).name == "flash-attn"


@pytest.mark.parametrize(
    ("device", "dtype", "head_width", "why"),
    [
        (CPU, torch.bfloat16, 32, "CUDA"),
        (CUDA, torch.float32, 32, "not float32"),
        (CUDA, torch.bfloat16, 12, "not 12"),
        (CUDA, torch.bfloat16, 264, "not 264"),
    ],
)
def test_ragged_batch_that_no_kernel_serves_is_dense_per_length_and_says_why(
    device, dtype, head_width, why, an_ampere_card
):
    choice = choose_kernel(device, dtype, False, head_width)
    assert choice.name == "dense per length" and why in choice.reason


def test_ragged_batch_on_an_old_card_or_build_is_dense_per_length(an_ampere_card):
    an_ampere_card.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: False)
    assert "built without" in choose_kernel(CUDA, torch.bfloat16, False, 32).reason
    an_ampere_card.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    choice = choose_kernel(CUDA, torch.float16, False, 32)
    assert choice.name == "dense per length" and "Ampere" in choice.reason


def test_segments_of_one_length_are_dense_everywhere():
    assert (
        choose_kernel(CPU, torch.float32, True, 12).name
        == choose_kernel(CUDA, torch.bfloat16, True, 32).name
        == "dense"
    )


@needs_cuda
@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
@pytest.mark.parametrize("lengths", [(500, 500), (1, 40, 2000, 40, 300)], ids=["equal", "ragged"])
@pytest.mark.parametrize("head_width", [8, 16, 24, 32, 64])
@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float32, 1e-4), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)], ids=str
)
def test_attend_on_a_card_agrees_with_the_definition(dtype, within, head_width, lengths, causal):
    assert_agrees(lengths, head_width, causal, CUDA, dtype, within)


@needs_cuda
@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
def test_torch_varlen_on_a_card_agrees_with_the_definition(causal, monkeypatch):
    monkeypatch.setattr(attention, "choose_kernel", lambda *_: AttentionKernel("torch varlen", "requested"))
    assert_agrees((1, 40, 2000, 40, 300), 32, causal, CUDA, torch.bfloat16, 4e-2)

"""Blocks of the transformer: rotation by time, dropout, causality, and the published number of parameters."""

import pytest
import torch
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import Dropout, number_dropout_layers
from raydistill.models.layers.transformer import Attention, RMSNorm, Transformer, rotary_angles, rotate


def make_transformer(causal=False, dropout=0.0):
    torch.manual_seed(0)
    return Transformer(width=32, layers=2, heads=4, mlp_ratio=2, dropout=dropout, causal=causal)


@pytest.mark.parametrize(
    ("width", "layers", "parameters"),
    [
        (256, 1, 1_052_672),
        (256, 2, 2_105_088),
        (256, 4, 4_209_920),
        (256, 8, 8_419_584),
        (256, 10, 10_524_416),
        (192, 4, 2_371_008),
    ],
)
def test_transformer_has_the_published_number_of_parameters(width, layers, parameters):
    with torch.device("meta"):
        model = Transformer(width=width, layers=layers, heads=8, mlp_ratio=4, dropout=0.1)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("head_width", [8, 12, 16, 24, 32, 64])
def test_rotate_turns_each_pair_by_its_bin_as_a_complex_number(head_width):
    torch.manual_seed(0)
    time = torch.tensor([0, 0, 1, 7, 499, 1999])
    x = torch.randn(len(time), 3, head_width)
    a, b = x.double().chunk(2, dim=-1)
    frequency = 10_000.0 ** (-2 * torch.arange(head_width // 2, dtype=torch.double) / head_width)
    turned = torch.complex(a, b) * torch.exp(1j * time[:, None, None] * frequency)
    expected = torch.cat([turned.real, turned.imag], dim=-1).float()
    # Angles up to 2000 rad keep 1e-4 rad in float32.
    torch.testing.assert_close(rotate(x, *rotary_angles(time, head_width)), expected, atol=5e-4, rtol=0)
    torch.testing.assert_close(rotate(x, *rotary_angles(time, head_width))[:4], expected[:4], atol=5e-6, rtol=0)


def test_rotated_products_depend_on_the_distance_in_time_alone():
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 16).expand(3, 2, 16), torch.randn(1, 2, 16).expand(3, 2, 16)
    queries = rotate(q, *rotary_angles(torch.tensor([3, 10, 40]), 16))
    keys = rotate(k, *rotary_angles(torch.tensor([1, 8, 38]), 16))
    products = (queries * keys).sum(-1)
    torch.testing.assert_close(products, products[:1].expand(3, 2), atol=1e-4, rtol=1e-4)


def test_rms_norm_agrees_with_its_definition():
    x = torch.randn(5, 32) * 3
    norm = RMSNorm(32)
    torch.nn.init.normal_(norm.weight)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected)


def test_transformer_in_evaluation_is_deterministic_despite_dropout():
    model = make_transformer(dropout=0.5).eval()
    x, time = torch.randn(9, 32), torch.arange(9)
    assert torch.equal(model(x, time, Packing((9,))), model(x, time, Packing((9,))))


def test_causal_transformer_when_a_bin_changes_leaves_earlier_bins_alone():
    model = make_transformer(causal=True).eval()
    time = torch.arange(6).repeat_interleave(3)  # three patches a bin
    x = torch.randn(18, 32)
    before = model(x, time, Packing((18,)))
    x[3 * 2 + 1] += 1.0
    changed = (model(x, time, Packing((18,))) - before).abs().sum(1).nonzero().flatten().tolist()
    assert changed == list(range(3 * 2 + 1, 18))


@pytest.mark.parametrize("causal", [False, True], ids=["both_ways", "causal"])
def test_transformer_of_packed_segments_equals_each_alone_with_gradients(causal):
    model = make_transformer(causal)
    lengths = (4, 9, 4, 1)
    x = torch.randn(sum(lengths), 32, requires_grad=True)
    time = torch.cat([torch.arange(length) for length in lengths])
    together = model(x, time, Packing(lengths))
    pieces = zip(x.split(lengths), time.split(lengths), lengths, strict=True)
    alone = torch.cat([model(x_s, time_s, Packing((length,))) for x_s, time_s, length in pieces])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(x)
    grads = [torch.autograd.grad((F.silu(out) * weights).sum(), x)[0] for out in (together, alone)]
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-4)


def test_dropout_before_the_projection_zeroes_the_output_of_the_heads():
    """With the other dropouts off, the outputs are those of the projection of heads that were dropped and scaled."""
    torch.manual_seed(0)
    attention = Attention(32, 4, 0.5, causal=False, before_projection=True).train()
    number_dropout_layers(attention)
    attention.dropout.p = 0.0
    noise = torch.arange(6, dtype=torch.int32) * 12345
    packing, x = Packing((6,), torch.device("cpu"), noise), torch.randn(6, 32)
    seen = []
    attention.out.register_forward_hook(lambda module, given, output: seen.append(given[0].detach()))
    attention(x, rotary_angles(torch.arange(6), 8), packing)
    attention.eval()
    attention(x, rotary_angles(torch.arange(6), 8), packing)
    dropped, whole = seen
    kept = dropped != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])
    usual = Attention(32, 4, 0.5, causal=False, before_projection=False)
    assert sum(isinstance(module, Dropout) for module in usual.modules()) == 1

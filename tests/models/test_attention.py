"""Every path of attention agrees with the definition, forward and backward."""

import pytest
import torch

from raydistill.models.attention import Layout, attend, attend_slowly

LENGTHS = {"equal": (13, 13, 13), "one": (200,), "ragged": (1, 40, 7, 40, 300, 1), "with_empty": (5, 0, 5, 9)}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("head_width", [12, 16, 32])
def test_attend_agrees_with_the_definition(lengths, head_width):
    torch.manual_seed(0)
    qkv = [torch.randn(sum(lengths), 2, head_width, requires_grad=True) for _ in range(3)]
    weights = torch.randn(sum(lengths), 2, head_width)
    outputs, gradients = [], []
    for attention in (attend(*qkv, Layout(lengths)), attend_slowly(*qkv, lengths)):
        outputs.append(attention)
        gradients.append(torch.autograd.grad((attention * weights).sum(), qkv))
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    for fast, slow in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)

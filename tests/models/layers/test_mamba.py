"""REALM's state-space network: streaming, directions, causality and packed segments."""

import pytest
import torch

from raydistill.feed.noise import token_noise
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import DropPath, number_dropout_layers
from raydistill.models.layers.mamba import BidirectionalBlock, Mamba, MambaBlock

SIZES = {"width": 16, "layers": 3, "expand": 2, "states": 6, "head": 8}


def network(causal=True, dtype=torch.float64, **options):
    torch.manual_seed(0)
    return Mamba(**(SIZES | {"dropout": 0.0, "causal": causal} | options)).to(dtype).eval()


def bins(n, seed=1):
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def test_steps_give_what_the_whole_segment_gives():
    net, x = network(), bins(150)
    whole = net(x, torch.arange(150), Packing((150,)))
    state, outputs = net.initial_state(1, 1, 1), []
    for t in range(150):
        state, y = net.step(state, x[None, t : t + 1])
        outputs.append(y[0])
    assert (torch.cat(outputs) - whole).abs().max() < 1e-10


@torch.no_grad()
def test_steps_in_float32_are_close_to_the_whole_segment():
    net, x = network(dtype=torch.float32), bins(500).float()
    whole = net(x, torch.arange(500), Packing((500,)))
    state = net.initial_state(1, 1, 1)
    for t in range(500):
        state, y = net.step(state, x[None, t : t + 1])
        assert (y[0] - whole[t]).abs().max() < 1e-4


@torch.no_grad()
def test_later_bins_change_no_earlier_output_of_a_causal_network():
    net, x = network(), bins(100)
    changed = x.clone()
    changed[70, 0] += 1  # a change of all columns would be taken out by the norm
    packing = Packing((100,))
    before, after = net(x, torch.arange(100), packing), net(changed, torch.arange(100), packing)
    assert torch.equal(before[:70], after[:70])
    assert (before[70:80] - after[70:80]).abs().amax(1).min() > 1e-6


@torch.no_grad()
def test_backward_direction_is_the_forward_one_on_flipped_bins():
    torch.manual_seed(0)
    block = BidirectionalBlock(16, 1, 6, 8).double()
    x = bins(40)[None]
    flipped = block.backwards(x.flip(1)).flip(1)
    expected = block.norm(block.merge(torch.cat([block.forwards(x), flipped], -1)))
    assert torch.equal(block(x), expected)
    block.backwards.load_state_dict(block.forwards.state_dict())
    assert torch.equal(block.backwards(x.flip(1)), block.forwards(x.flip(1)))


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_packed_segments_of_any_length_do_not_see_each_other(causal):
    net, lengths = network(causal), (30, 1, 70, 30)
    x = bins(sum(lengths))
    packed = net(x, torch.zeros(len(x)), Packing(lengths)).split(lengths)
    for segment, length, together in zip(x.split(lengths), lengths, packed, strict=True):
        assert (net(segment, torch.zeros(length), Packing((length,))) - together).abs().max() < 1e-12


def test_network_in_both_directions_refuses_to_run_bin_by_bin():
    with pytest.raises(ValueError, match="only a causal Mamba"):
        network(causal=False).initial_state(1, 1, 1)


@pytest.mark.parametrize(("expand", "count"), [(1, 231_692), (2, 465_432)])
def test_block_of_the_published_size_has_the_published_number_of_parameters(expand, count):
    assert sum(p.numel() for p in MambaBlock(256, expand, 64, 64).parameters()) == count


def test_drop_path_leaves_out_whole_segments_and_keeps_the_mean():
    layer = DropPath(0.25)
    number_dropout_layers(layer)
    noise = token_noise(("a",) * 4000, tuple(range(4000)), (3,) * 4000, 0, 0).view(4000, 3)
    x = torch.ones(4000, 3, 2)
    dropped = layer.train()(x, noise)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(x, None), x)


def test_dropped_layers_are_the_same_in_another_batch():
    net = network(drop_path=0.5).train()
    number_dropout_layers(net)
    noise = token_noise(("a", "b"), (3, 4), (20, 30), 0, 1)
    x = bins(50)
    both = net(x, torch.zeros(50), Packing((20, 30), noise=noise))
    alone = net(x[20:], torch.zeros(30), Packing((30,), noise=noise[20:]))
    assert (both[20:] - alone).abs().max() < 1e-12

"""Noise of tokens: the same for a segment in any batch, even, and independent between tokens, columns and layers."""

import torch

from raydistill.feed.noise import fork, mixed, random_int16, token_noise


def test_token_noise_depends_on_segment_seed_and_epoch_not_on_the_batch():
    alone = token_noise(("a",), (3,), (20,), seed=0, epoch=1)
    packed = token_noise(("b", "a"), (7, 3), (6, 20), seed=0, epoch=1)
    assert alone.dtype == torch.int32 and torch.equal(packed[6:], alone)
    for other in (
        token_noise(("c",), (3,), (20,), seed=0, epoch=1),
        token_noise(("a",), (4,), (20,), seed=0, epoch=1),
        token_noise(("a",), (3,), (20,), seed=1, epoch=1),
        token_noise(("a",), (3,), (20,), seed=0, epoch=2),
    ):
        assert not torch.isin(other, alone).any()


def test_mixed_is_the_published_hash():
    values = torch.tensor([0, 1, 2, -1], dtype=torch.int32)
    expected = [lowbias32(v) for v in (0, 1, 2, 2**32 - 1)]
    assert [v % 2**32 for v in mixed(values).tolist()] == expected


def lowbias32(x):
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def test_random_int16_is_even_and_uncorrelated_between_neighbours():
    noise = token_noise(("a", "b"), (0, 1), (1000, 1000), seed=0, epoch=0)
    numbers = random_int16(noise, 65).double() / 2**16  # an odd number of columns
    assert numbers.shape == (2000, 65)
    assert abs(numbers.mean()) < 4 * (1 / 12 / numbers.numel()) ** 0.5
    assert abs(numbers.var() - 1 / 12) < 0.001
    limit = 4 / (2000 * 64) ** 0.5
    rows, columns, layers = numbers[:-1, 1:], numbers[1:, 1:], random_int16(fork(noise, 1), 65).double()[1:, 1:]
    for a, b in ((rows, columns), (numbers[:, :-1], numbers[:, 1:]), (columns, layers)):
        assert abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) < limit


def test_random_int16_of_grouped_tokens_is_that_of_each_token():
    noise = token_noise(("a",), (0,), (12,), seed=0, epoch=0)
    assert torch.equal(random_int16(noise.view(3, 4), 8).flatten(0, 1), random_int16(noise, 8))

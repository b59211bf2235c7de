"""The state-space recurrence: in chunks, as one product of all pairs, and bin by bin."""

import numpy as np
import pytest
import torch

from raydistill.models.layers.state_space import frequencies, rotated, scan, step

HEADS, WIDTH, STATES = 3, 4, 6


def draw(n_bins, seed=0, n=2):
    """x, b, c and log_a of n segments, in float64."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(n, n_bins, *shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return normal(HEADS, WIDTH), normal(STATES), normal(STATES), -normal(HEADS).abs() * 0.3


def by_definition(x, b, c, log_a):
    """h_t = a_t h_{t-1} + x_t b_t^T and y_t = h_t c_t in numpy, with b and c turned to the angle of their bin."""
    x, b, c, log_a = (t.numpy() for t in (x, b, c, log_a))
    half = STATES // 2
    theta = 1e4 ** (-2 * np.arange(half) / STATES)

    def turned(v, t):
        p, q = v[:, :half], v[:, half:]
        cos, sin = np.cos(t * theta), np.sin(t * theta)
        return np.concatenate([p * cos - q * sin, q * cos + p * sin], axis=1)

    h, outputs = np.zeros((len(x), HEADS, WIDTH, STATES)), []
    for t in range(x.shape[1]):
        h = np.exp(log_a[:, t])[..., None, None] * h + np.einsum("nhp,ns->nhps", x[:, t], turned(b[:, t], t))
        outputs.append(np.einsum("nhps,ns->nhp", h, turned(c[:, t], t)))
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("n_bins", [1, 2, 63, 64, 65, 130])
@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_scan_in_chunks_of_any_length_is_the_recurrence(n_bins, chunk):
    parts = draw(n_bins)
    assert np.abs(scan(*parts, chunk).numpy() - by_definition(*parts)).max() < 1e-10


def test_steps_over_5000_bins_are_the_recurrence():
    x, b, c, log_a = draw(5000, n=1)
    state, outputs = x.new_zeros(1, HEADS, WIDTH, STATES), []
    for t in range(5000):
        state, y = step(state, x[:, t], b[:, t], c[:, t], log_a[:, t])
        outputs.append(y)
    assert np.abs(torch.stack(outputs, 1).numpy() - by_definition(x, b, c, log_a)).max() < 1e-9
    assert (torch.stack(outputs, 1) - scan(x, b, c, log_a, 5000)).abs().max() < 1e-9


def test_scan_with_strong_decays_stays_finite_with_its_gradients():
    parts = [part.requires_grad_() for part in draw(300)]
    scan(*parts[:3], parts[3] * 1e4, 64).sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in parts)


def test_rotation_by_whole_turns_changes_nothing():
    x = torch.randn(5, STATES, dtype=torch.float64)
    assert torch.allclose(rotated(x, torch.full((STATES // 2,), 2 * torch.pi, dtype=torch.float64)), x, atol=1e-12)
    assert frequencies(4).tolist() == [1.0, 0.01]

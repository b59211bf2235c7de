"""Segments as tokens: patches are views and pads, signals side by side, batches without padding."""

import numpy as np
import torch

from raydistill.feed.tokens import Inputs, pack
from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Segment

SPIKES = Inputs(modality="spikes", widths=(4,))


def make_segment(number, n_bins=4, units=5, channels=3):
    random = np.random.default_rng(number)
    spikes = random.poisson(1, (n_bins, units)).astype(np.uint8)
    lfp = random.normal(size=(n_bins, channels)).astype(np.float32)
    behavior = np.stack([np.full(n_bins, number), np.arange(n_bins)], 1).astype(np.float32)
    return Segment("s", number, "train", 0.0, spikes, lfp, behavior)


def test_tokenize_cuts_and_pads_and_keeps_nothing_of_the_table_alive():
    values = np.arange(24, dtype=np.uint8).reshape(3, 8)
    segment = Segment("s", 0, "train", 0.0, values, None, None)
    whole = SPIKES.tokenize(segment)
    assert not np.shares_memory(whole.values.numpy(), values) and whole.values.tolist()[:2] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
    ]
    padded = Inputs(modality="spikes", widths=(5,)).tokenize(segment)
    assert padded.values.tolist()[:2] == [[0, 1, 2, 3, 4], [5, 6, 7, 0, 0]] and padded.n_patches == 2
    assert padded.slots.tolist() == [[5], [3]]


def test_pack_keeps_behavior_beside_its_bins_and_takes_the_columns_that_are_asked_for():
    inputs = Inputs(modality="spikes", widths=(4,), behavior={"s": (1, 0)})
    batch = pack([inputs.tokenize(make_segment(n, n_bins=n)) for n in (2, 3)])
    assert batch.behavior.tolist() == [[0, 2], [1, 2], [0, 3], [1, 3], [2, 3]]
    assert batch.bins == (2, 3) and batch.lengths == (4, 6) and batch.values.dtype == torch.uint8
    assert pack([SPIKES.tokenize(make_segment(0))]).behavior is None


NORM = Normalisation(mean=(1.0, 2.0, 0.0, 1.0, 1.0), std=(1.0, 2.0, 1.0, 0.5, 1.0))


def multimodal(widths, spikes_as="recorded"):
    return Inputs(modality="multimodal", widths=widths, spikes_norm={"s": NORM}, spikes_as=spikes_as)


def z_scored(segment):
    return (segment.spikes - np.float32(NORM.mean)) / np.float32(NORM.std)


def test_paired_patches_hold_both_signals_and_the_shorter_one_is_padded():
    segment = make_segment(0)
    tokens = multimodal((2, 2)).tokenize(segment)  # 5 units in 3 patches, 3 channels in 2
    assert tokens.n_patches == 3 and tokens.slots.tolist() == [[2, 2], [2, 1], [1, 0]]
    values = tokens.values.reshape(4, 3, 4)  # (T * P, S) -> (T, P, S)
    assert np.array_equal(values[:, 1, :2], z_scored(segment)[:, 2:4].astype(np.float32))
    assert np.array_equal(values[:, 1, 2], segment.lfp[:, 2]) and not values[:, 1, 3].any()
    assert not values[:, 2, 1:].any()
    batch = pack([tokens])
    assert batch.valid[:3].tolist() == [[True] * 4, [True, True, True, False], [True, False, False, False]]


def test_flat_patches_cut_units_and_channels_as_one_row():
    segment = make_segment(0)
    tokens = multimodal((3,)).tokenize(segment)
    assert tokens.slots.tolist() == [[3], [3], [2]]
    row = np.concatenate([z_scored(segment), segment.lfp], axis=1).astype(np.float32)
    assert np.array_equal(tokens.values.reshape(4, 9)[:, :8], row)


def test_spikes_that_are_lost_are_their_mean_or_silent():
    segment = make_segment(0)
    mean = multimodal((5, 3), "mean").tokenize(segment).values
    silence = multimodal((5, 3), "silence").tokenize(segment).values
    assert not mean[:, :5].any() and np.array_equal(mean[:, 5:], segment.lfp)
    assert np.allclose(silence[:, :5], -np.array(NORM.mean) / NORM.std)

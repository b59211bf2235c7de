"""The graph of BRANT against its definition in torch and scipy, masks that do not leak, and bins between patches."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.signal import periodogram
from torch import nn

from raydistill.errors import DataError
from raydistill.feed.masking import Draw, mask_patches
from raydistill.feed.noise import token_noise
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.brant.config import BANDS_HZ, PRESETS, configure
from raydistill.models.brant.grid import between_patches
from raydistill.models.brant.tokens import band_powers
from raydistill.models.families import build_model
from raydistill.models.parts import freeze_encoder
from raydistill.models.spec import ModelSpec
from tests.small import make_segments

SETTINGS = dataclasses.replace(PRESETS["tiny"], patch_bins=25, patches=6)
N_BINS, N_CHANNELS = 75, 8  # of session a


def model_of(is_masked=True, behavior=(), **changes):
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, **changes)
    config = configure(settings, "lfp", "linear", predictor=is_masked)
    spec = ModelSpec(family="brant", config=config, sessions={"a": 8, "b": 20}, behavior=behavior)
    return build_model(spec).eval()


def batch_of(model, sessions=("a", "a"), lengths=(N_BINS, N_BINS), with_noise=False):
    inputs = Inputs(modality="lfp", widths=model.spec.widths)
    batch = pack([inputs.tokenize(segment) for segment in make_segments(sessions, lengths)])
    noise = token_noise(batch.sessions, batch.numbers, batch.lengths, 0, 0)
    return dataclasses.replace(batch, noise=noise) if with_noise else batch


def torch_encoder(config, layers):
    layer = nn.TransformerEncoderLayer(
        config.width, config.heads, config.hidden, config.dropout, activation="relu", batch_first=True
    )
    return nn.TransformerEncoder(layer, layers).double().eval()


def defined(model, values, is_masked):
    """Outputs of the encoders by the definition, in float64. Shape: (n, C, K, L) -> (n, C, K, D)."""
    config, tokenizer = model.config, copy.deepcopy(model.tokenizer).double()
    frequency, density = periodogram(values.numpy(), fs=1000 / config.bin_width_ms, axis=-1)
    bands = BANDS_HZ[: config.bands]
    power = [np.log10(density[..., (frequency > low) & (frequency <= high)].sum(-1) + 1) for low, high in bands]
    powers = torch.tensor(np.stack(power, -1)).softmax(-1) @ tokenizer.band
    powers[is_masked] = tokenizer.masked_powers
    values = values.clone()
    values[is_masked] = tokenizer.masked_values
    x = tokenizer.value(values) + powers + tokenizer.position[: values.shape[2]]
    over_patches, over_channels = torch_encoder(config, config.layers), torch_encoder(config, config.channel_layers)
    over_patches.load_state_dict(model.over_patches.state_dict())
    over_channels.load_state_dict(model.over_channels.state_dict())
    n, channels, patches = x.shape[:3]
    x = over_patches(x.flatten(0, 1)).unflatten(0, (n, channels))
    return over_channels(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (n, patches)).transpose(1, 2)


def patched(values):
    """Of two segments of session a. Shape: (2 * T * C,) -> (n, C, K, L)."""
    return values.view(2, 3, 25, N_CHANNELS).permute(0, 3, 1, 2)


@torch.no_grad()
def test_latents_and_reconstructions_equal_their_definition_with_layers_of_torch():
    model = model_of(masked_by="learned")
    batch = batch_of(model)
    values, nothing = patched(batch.values.double()), torch.zeros(2, N_CHANNELS, 3, dtype=torch.bool)
    of_patches = defined(model, values, nothing).mean(1)[0].numpy()  # (K, D)
    centres, bins = 25 * np.arange(3) + 12, np.arange(N_BINS)
    expected = torch.tensor(np.stack([np.interp(bins, centres, column) for column in of_patches.T], axis=1))
    torch.testing.assert_close(model.latents(batch)[:N_BINS].double(), expected, atol=2e-5, rtol=1e-4)

    masking = mask_patches(batch, 0.4, Draw(0, 0), 25)
    is_masked = patched(torch.zeros(len(batch.values)).index_fill(0, masking.masked, 1))[..., 0].bool()
    assert is_masked.sum((1, 2)).tolist() == [9, 9]  # floor(0.4 * 24)
    outputs = defined(model, values, is_masked) @ model.reconstruction.weight.double().T
    expected = (outputs + model.reconstruction.bias).permute(0, 2, 3, 1).flatten()  # (n, K, L, C)
    reconstructed = model.reconstruct(batch, masking)
    torch.testing.assert_close(reconstructed[:, 0].double(), expected[masking.masked], atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize(("n_bins", "bin_width_ms"), [(25, 10), (50, 10), (1500, 4), (33, 30)])
def test_powers_of_bands_equal_those_of_the_periodogram_of_scipy(n_bins, bin_width_ms):
    values = torch.randn(3, n_bins, generator=torch.Generator().manual_seed(0)) * 20 + 5
    bands = tuple(band for band in BANDS_HZ if band[0] < 500 / bin_width_ms)
    frequency, density = periodogram(values.double().numpy(), fs=1000 / bin_width_ms, axis=-1)
    expected = [np.log10(density[:, (frequency > low) & (frequency <= high)].sum(-1) + 1) for low, high in bands]
    actual = band_powers(values, bands, bin_width_ms)
    torch.testing.assert_close(actual.double(), torch.tensor(np.stack(expected, -1)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("masked_by", ["zeros", "learned"])
def test_reconstruction_depends_on_no_value_of_a_masked_patch_and_on_others(masked_by):
    model = model_of(masked_by=masked_by)
    batch = batch_of(model, ("b", "a"), (60, N_BINS))  # 60 bins are two patches and a part of one
    masking = mask_patches(batch, 0.4, Draw(1, 0), 25)
    before = model.reconstruct(batch, masking)
    hidden, shown = batch.values.clone(), batch.values.clone()
    hidden[masking.masked], shown[masking.visible] = 7.0, 7.0
    torch.testing.assert_close(before, model.reconstruct(dataclasses.replace(batch, values=hidden), masking))
    assert (before - model.reconstruct(dataclasses.replace(batch, values=shown), masking)).abs().max() > 0.1


def test_mask_in_the_middle_of_a_patch_hides_all_of_the_patch():
    model = model_of()
    batch = batch_of(model, ("a",), (N_BINS,))
    rows = torch.arange(len(batch.values))
    is_masked = (batch.time == 30) & (batch.patch == 2)
    masking = mask_patches(batch, 0.4, Draw(0, 0), 25)
    masking = dataclasses.replace(masking, masked=rows[is_masked], visible=rows[~is_masked])
    values = batch.values.clone()
    values[(batch.time // 25 == 1) & (batch.patch == 2)] += 5.0
    changed = dataclasses.replace(batch, values=values)
    torch.testing.assert_close(model.reconstruct(batch, masking), model.reconstruct(changed, masking))


def test_dropout_draws_the_same_for_a_segment_in_any_batch():
    model = model_of(dropout=0.3).train()
    together = model.latents(batch_of(model, ("a", "b", "a"), (N_BINS, 60, N_BINS), with_noise=True))
    inputs = Inputs(modality="lfp", widths=model.spec.widths)
    segment = make_segments(("a", "b", "a"), (N_BINS, 60, N_BINS))[2]
    alone = pack([inputs.tokenize(segment)])
    noise = token_noise(alone.sessions, alone.numbers, alone.lengths, 0, 0)
    latents = model.latents(dataclasses.replace(alone, noise=noise))
    torch.testing.assert_close(together[-N_BINS:], latents, atol=1e-5, rtol=1e-5)
    other = model.latents(dataclasses.replace(alone, noise=noise + 1))
    assert (latents - other).abs().max() > 0.1


def test_channels_in_another_order_change_no_latents():
    model = model_of()
    batch = batch_of(model, ("a",), (N_BINS,))
    values = batch.values.view(N_BINS, N_CHANNELS).flip(1).reshape(-1, 1)
    turned = model.latents(dataclasses.replace(batch, values=values))
    torch.testing.assert_close(model.latents(batch), turned, atol=1e-5, rtol=1e-5)


def test_bins_lie_on_the_line_between_the_centres_of_two_patches():
    patches = torch.tensor([[[0.0], [4.0], [0.0]]])
    bins = between_patches(patches, 10, 4)[0, :, 0]  # centres at bins 1.5, 5.5 and 9.5
    torch.testing.assert_close(bins, torch.tensor([0, 0, 0.5, 1.5, 2.5, 3.5, 3.5, 2.5, 1.5, 0.5]))
    assert torch.equal(between_patches(patches[:, :1], 3, 4), patches[:, :1].expand(1, 3, 1))


def test_head_gives_each_place_in_a_patch_its_own_weights():
    model = model_of(is_masked=False, behavior=("vx", "vy"))
    batch = batch_of(model, ("a",), (N_BINS,))
    before = model.latents(batch)
    with torch.no_grad():
        model.upsampling.gain[3], model.upsampling.shift[4] = 1.0, 0.5
    after, place = model.latents(batch), torch.arange(N_BINS) % 25
    torch.testing.assert_close(after[place == 3], 2 * before[place == 3])
    torch.testing.assert_close(after[place == 4], before[place == 4] + 0.5)
    assert torch.equal(after[place > 4], before[place > 4])


def test_frozen_encoder_leaves_the_head_to_be_trained_and_nothing_else():
    model = model_of(is_masked=False, behavior=("vx",))
    freeze_encoder(model)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {"upsampling.gain", "upsampling.shift", "behavior.weight", "behavior.bias"}


def test_segment_longer_than_the_learned_positions_is_refused():
    model = model_of(patches=3)
    with pytest.raises(DataError, match="a segment of a has 76 bins, but the model has learned positions for 75"):
        model.latents(batch_of(model, ("a",), (76,)))

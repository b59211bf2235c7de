"""The gated value embedding against its definition written as loops, and bin by bin."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from raydistill.config.objectives import Blocks
from raydistill.feed.masking import Draw, mask_bins
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.gated import GatedPatch
from raydistill.models.families import build_model
from raydistill.models.realm.config import PRESETS, configure
from raydistill.models.spec import ModelSpec
from tests.small import make_batch, make_segments


def embedding(causal, patch=8, width=12):
    torch.manual_seed(0)
    return GatedPatch(patch, width, causal).double()


def one_segment(module, x, causal):
    """The definition for one patch (T, S) of one segment, bin by bin and channel by channel."""
    n_bins, channels = x.shape
    weight, bias = module.features.weight[:, 0], module.features.bias
    features = torch.zeros(n_bins, channels, 8, dtype=x.dtype)
    for t in range(n_bins):
        for c in range(channels):
            reads = [t - 2, t - 1, t] if causal else [t - 1, t, t + 1]
            window = torch.stack([x[s, c] if 0 <= s < n_bins else x.new_zeros(()) for s in reads])
            features[t, c] = F.gelu(weight @ window + bias)
    tokens = []
    for t in range(n_bins):
        energy = features[: t + 1 if causal else n_bins].mean(dim=(0, 2))  # (S,)
        padded = F.pad(energy, (2, 2))
        gate = torch.stack([(module.gate.weight[0, 0] * padded[c : c + 5]).sum() for c in range(channels)]).sigmoid()
        tokens.append(module.norm(module.linear((features[t] * gate[:, None]).flatten())))
    return torch.stack(tokens)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_embedding_equals_its_definition_for_every_patch_of_every_segment(causal):
    module, batch = embedding(causal), make_batch(["a", "b", "a"], [7, 5, 7])
    batch = dataclasses.replace(batch, values=batch.values.double())
    tokens, start = module(batch, None), 0
    for length, n_bins in zip(batch.lengths, batch.bins, strict=True):
        of_segment = batch.values[start : start + length].unflatten(0, (n_bins, -1))  # (T, P, S)
        for patch in range(of_segment.shape[1]):
            expected = one_segment(module, of_segment[:, patch], causal)
            got = tokens[start : start + length].unflatten(0, (n_bins, -1))[:, patch]
            assert (got - expected).abs().max() < 1e-12
        start += length
    rows = torch.tensor([3, 0, 11])
    assert torch.equal(module(batch, rows), tokens[rows])


def student(window_bins=60, dtype=torch.float64, **changes):
    torch.manual_seed(0)
    settings = dataclasses.replace(PRESETS["tiny"], causal=True, lfp_patch=8, **changes)
    spec = ModelSpec(family="realm", config=configure(settings, "lfp", "gated"), sessions={"a": 1, "b": 3})
    return build_model(spec).to(dtype).eval()


@torch.no_grad()
def run(model, session, n_bins, window):
    """(latents of the whole segment, latents bin by bin, states of the first and the last bin)."""
    inputs = Inputs(modality="lfp", widths=(8,))
    (segment,) = make_segments([session], [n_bins])
    kind = next(model.parameters()).dtype
    batch = pack([inputs.tokenize(segment)])
    whole = model.latents(dataclasses.replace(batch, values=batch.values.to(kind)))
    state, steps, sizes = model.initial_state(1, {"a": 1, "b": 3}[session], window), [], []
    for t in range(n_bins):
        one = pack([inputs.tokenize(dataclasses.replace(segment, lfp=segment.lfp[t : t + 1]))])
        state, latents = model.step(state, dataclasses.replace(one, values=one.values.to(kind)))
        steps.append(latents)
        sizes.append({name: tuple(values.shape) for name, values in state.items()})
    return whole, torch.cat(steps), sizes


@pytest.mark.parametrize("session", ["a", "b"])
@pytest.mark.parametrize("layers", [1, 3])
def test_stream_equals_the_whole_segment(session, layers):
    whole, steps, _ = run(student(layers=layers), session, 150, window=150)
    assert (whole - steps).abs().max() < 1e-10
    whole, steps, _ = run(student(dtype=torch.float32, layers=layers), session, 150, window=150)
    assert (whole - steps).abs().max() < 1e-4


def test_stream_that_is_longer_than_its_window_averages_over_the_window():
    whole, steps, sizes = run(student(), "a", 150, window=40)
    assert (whole - steps)[:40].abs().max() < 1e-10 and (whole - steps)[40:].abs().max() > 1e-6
    assert all(size == sizes[0] for size in sizes)
    module, x = embedding(True), torch.from_numpy(np.random.default_rng(0).normal(size=(60, 1, 8)))
    state = module.initial_state(1, 1, 20) | {"time": torch.zeros(1, dtype=torch.int64)}
    for values in x:
        new, token = module.step(state, values[None])
        state = new | {"time": state["time"] + 1}
    features = module._features(F.pad(x[:, 0], (0, 0, 2, 0)).unfold(0, 3, 1))
    expected = module._tokens(features[-1:], features[-20:].mean(dim=(0, 2))[None])
    assert (token[0] - expected).abs().max() < 1e-12


@torch.no_grad()
def test_delayed_features_read_the_same_bins_as_before_without_the_later_one():
    teacher, model = embedding(False), embedding(True)
    teacher.features.weight[:, :, 2] = 0  # the later bin
    model.load_state_dict(teacher.state_dict())
    model.delay_features()
    x = torch.randn(30, 8, dtype=torch.float64)
    theirs = teacher._features(F.pad(x, (0, 0, 1, 1)).unfold(0, 3, 1))
    ours = model._features(F.pad(x, (0, 0, 2, 0)).unfold(0, 3, 1))
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_gates_do_not_read_hidden_bins(causal):
    """What is hidden changes its own token and its neighbours', which the features read, and no other."""
    module, batch = embedding(causal), make_batch(["b"], [20])
    batch = dataclasses.replace(batch, values=batch.values.double())
    hidden = torch.zeros(60, dtype=torch.bool)
    hidden[3 * 8 : 3 * 11] = True  # bins 8 to 10
    values = torch.where(hidden[:, None], batch.values + 1, batch.values)
    changed = dataclasses.replace(batch, values=values)
    closed, open_ = (
        (module(changed, None, *given) - module(batch, None, *given)).abs().amax(1).view(20, 3)
        for given in ((hidden,), ())
    )
    reached = range(8, 13) if causal else range(7, 12)
    assert all(closed[t].min() > 1e-9 for t in reached)
    # Energies of the visible neighbours still hold what their features read.
    later = [t for t in range(20) if t not in reached]
    assert open_[later].max() > closed[later].max()
    whole = module(batch, None)
    assert torch.equal(whole, module(batch, None, torch.zeros(60, dtype=torch.bool)))


def test_masked_pretraining_hides_masked_bins_from_the_gates_if_asked():
    settings = dataclasses.replace(PRESETS["tiny"], lfp_patch=8)
    models = []
    for gate in ("all", "visible"):
        torch.manual_seed(0)
        config = configure(dataclasses.replace(settings, gate=gate), "lfp", "gated", predictor=True)
        models.append(build_model(ModelSpec(family="realm", config=config, sessions={"a": 1})).eval())
    batch = make_batch(["a"], [30])
    masking = mask_bins(batch, 0.6, Blocks(shortest=3, longest=9), Draw(0, 0))
    first, second = (model.reconstruct(batch, masking) for model in models)
    assert not torch.allclose(first, second)
    assert torch.equal(models[0].latents(batch), models[1].latents(batch))

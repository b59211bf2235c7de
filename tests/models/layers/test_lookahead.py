"""Causal encoders that answer late: what an output depends on, and equality with a stream."""

import dataclasses

import pytest
import torch

from raydistill.errors import ConfigError
from raydistill.feed.noise import token_noise
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.crossmodal.backbones import BACKBONES
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.spec import ModelSpec
from raydistill.models.stream import Stream
from tests.small import make_segments

AHEAD = 4
NETWORKS = [*BACKBONES, "realm"]


def make_model(backbone, ahead=AHEAD, dtype=torch.float64, **changes):
    torch.manual_seed(0)
    name = "realm" if backbone == "realm" else "crossmodal"
    family = FAMILIES[name]
    changes = {"causal": True, "lfp_patch": 8, "lookahead_bins": ahead} | changes
    changes |= {} if name == "realm" else {"backbone": backbone}
    settings = dataclasses.replace(family.presets["tiny"], **changes)
    config = family.configure(settings, "lfp", family.embedding or "conv")
    provenance = {"segment_bins": {"a": 30, "b": 30}}
    spec = ModelSpec(family=name, config=config, sessions={"a": 1, "b": 3}, provenance=provenance)
    return build_model(spec).to(dtype).eval()


def batch_of(session, n_bins, dtype=torch.float64, sessions=None):
    inputs = Inputs(modality="lfp", widths=(8,))
    batch = pack([inputs.tokenize(s) for s in make_segments(sessions or [session], [n_bins] * len(sessions or [1]))])
    return dataclasses.replace(batch, values=batch.values.to(dtype))


@pytest.mark.parametrize("backbone", NETWORKS)
@torch.no_grad()
def test_latents_depend_on_the_later_bins_of_the_lookahead_and_on_no_other(backbone):
    model, batch = make_model(backbone), batch_of("b", 30)
    before = model.latents(batch)
    values = batch.values.clone()
    values[3 * 20 :] += torch.randn(30, 8, dtype=torch.float64)  # from bin 20 on
    moved = (model.latents(dataclasses.replace(batch, values=values)) - before).abs().amax(1)
    assert moved[: 20 - AHEAD].max() == 0 and moved[20 - AHEAD :].min() > 1e-9


@pytest.mark.parametrize("backbone", NETWORKS)
@torch.no_grad()
def test_stream_answers_late_and_gives_the_latents_of_the_whole_segment(backbone):
    model, (segment,) = make_model(backbone, dtype=torch.float32), make_segments(["b"], [30])
    whole = model.latents(batch_of("b", 30, torch.float32)).numpy()
    stream = Stream(model, ArrayInputs(model.spec, "b"))
    outputs = [stream.step(lfp=row).latents for row in segment.lfp]
    assert all(torch.from_numpy(x).isnan().all() for x in outputs[:AHEAD])
    outputs += [output.latents for output in stream.finish()]
    assert len(outputs) == 30 + AHEAD
    for latents, expected in zip(outputs[AHEAD:], whole, strict=True):
        assert abs(latents - expected).max() < 1e-4
    assert (stream.state["time"] == 0).all(), "a new segment has begun"


@pytest.mark.parametrize("backbone", NETWORKS)
@torch.no_grad()
def test_steps_in_double_precision_equal_the_whole_segment(backbone):
    model, batch = make_model(backbone), batch_of("b", 30)
    whole, (state, steps) = model.latents(batch), (model.initial_state(1, 3, 40), [])
    for t in range(30):
        one = batch_of("b", 1)
        state, latents = model.step(state, dataclasses.replace(one, values=batch.values[3 * t : 3 * t + 3]))
        steps.append(latents)
    for _ in range(AHEAD):
        state, latents = model.step_after_end(state, one)
        steps.append(latents)
    assert (torch.cat(steps)[AHEAD:] - whole).abs().max() < 1e-10


@torch.no_grad()
def test_latents_without_lookahead_are_those_of_the_causal_model_and_later_ones_of_the_other():
    now, late = make_model("lstm", ahead=0), make_model("lstm")
    late.load_state_dict(now.state_dict(), strict=False)  # it lacks what is read after the end
    batch = batch_of("a", 30)
    assert (now.latents(batch)[AHEAD:] - late.latents(batch)[:-AHEAD]).abs().max() < 1e-12


def test_dropout_is_the_same_in_any_batch():
    model = make_model("mamba", dropout=0.3).train()
    noise_of = lambda b: token_noise(b.sessions, b.numbers, b.lengths, 0, 1)  # noqa: E731
    both, alone = batch_of("a", 12, sessions=["a", "b"]), batch_of("a", 12)
    both, alone = (dataclasses.replace(b, noise=noise_of(b)) for b in (both, alone))
    assert (model.latents(both)[:12] - model.latents(alone)).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("causal", "predictor", "message"), [(False, False, "reads all of them"), (True, True, "trained by masking")]
)
def test_lookahead_that_has_no_effect_is_refused(causal, predictor, message):
    settings = dataclasses.replace(PRESETS["tiny"], causal=causal, lookahead_bins=3)
    with pytest.raises(ConfigError, match=message):
        configure(settings, "lfp", "linear", predictor=predictor)

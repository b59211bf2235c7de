"""The contract of every family in the table: shapes, determinism, files, size, causality, and one bin at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.objectives import Blocks
from raydistill.feed.masking import Draw, mask_bins
from raydistill.feed.patches import patches_per_bin
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.columns import signals_of
from raydistill.models.families import FAMILIES, build_model, count_parameters
from raydistill.models.files import load_model, save_model
from raydistill.models.spec import ModelSpec, uses_channel_tables
from raydistill.models.stream import Stream
from tests.models.family_cases import CASES
from tests.small import COLUMNS, electrodes, make_segments, run_step_by_step

SESSIONS, LENGTHS = ("a", "b", "a"), (7, 5, 7)


def specs():
    for name, cases in CASES.items():
        for number, (settings, (modality, embedding, predictor, readout)) in enumerate(cases):
            config = FAMILIES[name].configure(settings, modality, embedding, predictor=predictor, readout=readout)
            widths = config.inputs.widths(1)
            sessions = {s: patches_per_bin(widths, modality, n, n) for s, n in COLUMNS.items()}
            names = {"array": ("M1", "S1"), "region": ("motor", "sensory")}.get(getattr(config, "space", ""), ())
            channels = {s: electrodes(n) for s, n in COLUMNS.items()} if uses_channel_tables(config) else {}
            spec = ModelSpec(
                family=name,
                config=config,
                sessions=sessions,
                behavior=("vx", "vy"),
                channels=channels,
                place_names=names,
            )
            yield pytest.param(spec, id=f"{name}{number}-{modality}-{embedding}")


@pytest.fixture(params=specs())
def model(request):
    torch.manual_seed(0)
    return build_model(request.param).eval()


def tokens_of(model, sessions=SESSIONS, lengths=LENGTHS):
    inputs = Inputs(modality=model.spec.modality, widths=model.spec.widths)
    return [inputs.tokenize(s) for s in make_segments(sessions, lengths)]


def test_every_family_has_cases():
    assert set(CASES) == set(FAMILIES)


def test_latents_have_one_row_per_bin_and_the_width_of_the_configuration(model):
    latents = model.latents(pack(tokens_of(model)))
    assert latents.shape == (sum(LENGTHS), model.spec.config.width)
    assert model.behavior(latents).shape == (sum(LENGTHS), 2)


def test_latents_in_evaluation_are_deterministic_and_the_same_in_any_batch(model):
    tokens = tokens_of(model)
    packed = model.latents(pack(tokens))
    assert torch.equal(packed, model.latents(pack(tokens)))
    alone = torch.cat([model.latents(pack([t])) for t in tokens])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


def test_model_drawn_from_one_seed_is_the_same(model):
    torch.manual_seed(0)
    again = build_model(model.spec).state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in model.state_dict().items())


def test_saved_model_comes_back_bit_identical(model, tmp_path):
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.spec == model.spec and not loaded.training
    batch = pack(tokens_of(model))
    assert torch.equal(loaded.latents(batch), model.latents(batch))


def test_parameter_formula_equals_the_built_module(model):
    assert count_parameters(model.spec) == sum(p.numel() for p in model.parameters())


def test_reconstruction_of_a_masked_model_has_one_patch_per_masked_token(model):
    if not getattr(model.spec.config, "is_masked", False):
        pytest.skip("this model is not trained by masking")
    batch = pack(tokens_of(model))
    masking = mask_bins(batch, 0.6, Blocks(shortest=1, longest=3), Draw(0, 0))
    assert len(masking.masked) > 0
    assert model.reconstruct(batch, masking).shape == (len(masking.masked), model.spec.patch)


def test_causal_latents_depend_on_no_later_bin_and_others_do(model):
    (tokens,) = tokens_of(model, ["b"], [9])
    before = model.latents(pack([tokens]))
    values = tokens.values.clone()
    values[tokens.n_patches * 5 :] = 2  # from bin 5 on
    changed = (model.latents(pack([dataclasses.replace(tokens, values=values)])) - before).abs().sum(1)
    assert changed[5:].min() > 0
    assert (changed[:5].max() == 0) == model.spec.config.causal


def test_step_by_step_latents_equal_those_of_the_whole_segment(model):
    (segment,) = make_segments(["b"], [30])
    inputs = Inputs(modality=model.spec.modality, widths=model.spec.widths)
    if not model.spec.config.causal:
        with pytest.raises(ValueError, match="only a causal"):
            model.initial_state(1, 3, 30)
        return
    whole = model.latents(pack([inputs.tokenize(segment)]))
    _, latents = run_step_by_step(model, segment, inputs)
    torch.testing.assert_close(latents, whole, atol=2e-5, rtol=1e-5)


def test_step_of_several_bins_is_refused(model):
    if not model.spec.config.causal:
        pytest.skip("this model is not causal")
    with pytest.raises(ValueError, match="takes one bin per stream, all of one session"):
        model.step(model.initial_state(1, 1, 30), pack(tokens_of(model)))


def test_state_that_is_saved_in_the_middle_continues_with_the_same_bits(model):
    if not model.spec.config.causal:
        pytest.skip("this model is not causal")
    (segment,) = make_segments(["b"], [9])
    stream, other = (Stream(model, ArrayInputs(model.spec, "b"), window_bins=6) for _ in range(2))
    bins = [{name: getattr(segment, name)[t] for name in signals_of(model.spec)} for t in range(segment.n_bins)]
    for values in bins[:5]:
        stream.step(**values)
    other.state = stream.state
    for values in bins[5:]:
        assert np.array_equal(stream.step(**values).latents, other.step(**values).latents)
    first = Stream(model, ArrayInputs(model.spec, "b"), window_bins=6).step(**bins[-1])
    assert not np.array_equal(stream.step(**bins[-1]).latents, first.latents), "earlier bins matter"


def test_steps_of_several_streams_equal_those_of_each_alone(model):
    if not model.spec.config.causal:
        pytest.skip("this model is not causal")
    inputs = Inputs(modality=model.spec.modality, widths=model.spec.widths)
    segments = make_segments(["b", "b", "b"], [8, 8, 8])
    state = model.initial_state(3, 3, 8)
    shapes = {name: values.shape for name, values in state.items()}
    alone = [run_step_by_step(model, segment, inputs)[1] for segment in segments]
    for t in range(8):
        bins = [dataclasses.replace(s, spikes=s.spikes[t : t + 1], lfp=s.lfp[t : t + 1]) for s in segments]
        state, latents = model.step(state, pack([inputs.tokenize(one) for one in bins]))
        torch.testing.assert_close(latents, torch.stack([of_stream[t] for of_stream in alone]), atol=2e-6, rtol=1e-5)
    assert {name: values.shape for name, values in state.items()} == shapes

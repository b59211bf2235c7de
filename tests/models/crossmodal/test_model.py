"""The whole model: published parameter counts, and outputs that do not depend on how a batch is packed."""

import dataclasses

import pytest
import torch

from raydistill.config.objectives import Blocks
from raydistill.errors import CheckpointError, DataError
from raydistill.feed.masking import Draw, mask_bins
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.config import PRESETS
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import load_model, save_model
from raydistill.models.layers.pooling import mean_per_bin
from raydistill.models.realm.config import PRESETS as REALM_PRESETS
from raydistill.models.realm.config import configure
from raydistill.models.spec import ModelSpec
from tests.small import SETTINGS, make_batch, make_segments, make_spec


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("layers", "parameters"), [(1, 1_052_672), (2, 2_105_088), (4, 4_209_920), (8, 8_419_584), (10, 10_524_416)]
)
def test_encoder_has_the_published_number_of_parameters(layers, parameters):
    settings = dataclasses.replace(PRESETS["paper"], layers=layers)
    spec = dataclasses.replace(make_spec("lfp", "conv", ("readout",), settings=settings), sessions={"s": 3})
    with torch.device("meta"):
        model = CrossModalModel(spec)
    assert count(model.encoder) == parameters
    if layers == 10:
        assert count(model.encoder) + count(model.tokenizer) == 10_550_016


@pytest.mark.parametrize(
    ("modality", "embedding", "predictor"), [("spikes", "count", 2_437_120), ("lfp", "linear", 2_435_040)]
)
def test_predictor_has_the_published_number_of_parameters(modality, embedding, predictor):
    with torch.device("meta"):
        model = CrossModalModel(make_spec(modality, embedding, settings=PRESETS["paper"]))
    assert count(model.predictor) == predictor
    assert count(model.tokenizer.value) == {"count": 28, "linear": 8448}[embedding]


def test_latents_of_packed_single_and_reordered_segments_agree(spec):
    torch.manual_seed(0)
    model = CrossModalModel(spec).eval()
    sessions, lengths = ["a", "b", "a", "b"], [7, 5, 11, 5]
    segments = make_segments(sessions, lengths)
    tokens = [Inputs(modality=spec.modality, widths=(8,)).tokenize(s) for s in segments]
    together = model.latents(pack(tokens)).split(lengths)
    alone = [model.latents(pack([t])) for t in tokens]
    backwards = model.latents(pack(tokens[::-1])).split(lengths[::-1])[::-1]
    for a, b, c in zip(together, alone, backwards, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a, c, atol=1e-5, rtol=1e-5)


def test_latents_in_evaluation_are_deterministic(spec):
    model = CrossModalModel(spec).eval()
    batch = make_batch(["a", "b"], [6, 6], spec.modality)
    assert torch.equal(model.latents(batch), model.latents(batch))


def test_pool_is_the_true_mean_over_patches():
    batch = make_batch(["b", "a"], [4, 3])
    tokens = torch.randn(15, 32)
    pooled = mean_per_bin(tokens, batch)
    torch.testing.assert_close(pooled[1], tokens[3:6].mean(0))
    torch.testing.assert_close(pooled[4:], tokens[12:])


def test_transplant_keeps_weights_and_known_sessions_and_draws_new_ones():
    torch.manual_seed(0)
    old = CrossModalModel(make_spec())
    new = old.transplanted(dataclasses.replace(make_spec(), sessions={"c": 2, "b": 3}))
    assert torch.equal(new.encoder.blocks[0].attention.qkv.weight, old.encoder.blocks[0].attention.qkv.weight)
    assert new.tokenizer.space.start == {"b": 0, "c": 3}
    assert torch.equal(new.tokenizer.space.table.weight[:3], old.tokenizer.space.table.weight[1:])
    assert not torch.isin(new.tokenizer.space.table.weight[3:], old.tokenizer.space.table.weight).any()


def test_saved_model_comes_back_bit_identical(tmp_path, spec):
    model = CrossModalModel(spec).eval()
    save_model(model, tmp_path)
    batch = make_batch(["a", "b"], [6, 4], spec.modality)
    assert torch.equal(load_model(tmp_path).latents(batch), model.latents(batch))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_truncated_model_file_is_refused_by_name(tmp_path, name):
    save_model(CrossModalModel(make_spec()), tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
    with pytest.raises(CheckpointError, match=name):
        load_model(tmp_path)


def test_model_with_sessions_in_any_order_comes_back_with_their_own_embeddings(tmp_path):
    spec = dataclasses.replace(make_spec(), sessions={"b": 3, "a": 1})
    model = CrossModalModel(spec).eval()
    save_model(model, tmp_path)
    loaded, batch = load_model(tmp_path), make_batch(["a", "b"], [5, 4])
    with torch.no_grad():
        assert torch.equal(loaded.latents(batch), model.latents(batch))
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o044 or not (
        tmp_path / "model.json"
    ).stat().st_mode & 0o044


def test_alias_runs_one_sessions_embeddings_on_anothers_data():
    model = CrossModalModel(make_spec()).eval()
    known, other = make_batch(["b"], [5]), make_batch(["b"], [5])
    other = dataclasses.replace(other, sessions=("new",))
    with pytest.raises(DataError, match='not trained on session "new"'):
        model.latents(other)
    model.use_embeddings_of("new", "b")
    with torch.no_grad():
        assert torch.equal(model.latents(other), model.latents(known))
    model.use_embeddings_of("new", "a")
    with pytest.raises(DataError, match="session new has 3 patches per bin, but the model has 1 for a"):
        model.latents(other)


def test_convolution_along_tokens_reaches_the_patch_before_but_never_the_segment_before():
    settings = dataclasses.replace(SETTINGS, conv_axis="tokens")
    model = CrossModalModel(make_spec("lfp", "conv", settings=settings)).eval()
    batch = make_batch(["b", "b"], [4, 4])
    before = model.tokenizer(batch).detach()
    values = batch.values.clone()
    values[11] += 1  # the last token of the first segment
    values[4] += 1
    after = model.tokenizer(dataclasses.replace(batch, values=values)).detach()
    assert (after - before).abs().sum(1).nonzero().flatten().tolist() == [4, 5, 6, 11]


def test_pooled_readout_of_known_sessions_is_kept_and_of_new_ones_drawn():
    settings = dataclasses.replace(SETTINGS, readout="pooled")
    model = CrossModalModel(make_spec("lfp", "conv", ("readout",), settings=settings))
    new = model.transplanted(dataclasses.replace(model.spec, sessions={"0": 2, "b": 3}))
    ours, theirs = new.pooled_readout, model.pooled_readout
    assert ours.weight.shape == (5, 8, 32) and ours.bias.shape == (40,)
    assert torch.equal(ours.weight[2:], theirs.weight[1:]) and torch.equal(ours.bias[16:], theirs.bias[8:])
    assert not torch.equal(ours.weight[:1], theirs.weight[:1])


@torch.no_grad()
def test_masked_model_of_bins_keeps_the_maps_of_known_sessions_and_draws_those_of_new_ones():
    torch.manual_seed(0)
    spec = make_spec(settings=dataclasses.replace(SETTINGS, backbone="lstm"))
    old = CrossModalModel(spec).eval()
    new = old.transplanted(dataclasses.replace(spec, sessions={"b": 3, "c": 1})).eval()
    batch = make_batch(["b"], [12])
    masking = mask_bins(batch, 0.5, Blocks(shortest=2, longest=4), Draw(0, 0))
    assert torch.equal(old.reconstruct(batch, masking), new.reconstruct(batch, masking))
    readout = new.bins_predictor.readout
    assert readout.weight.shape[0] == 4 and not torch.equal(readout.weight[3], old.bins_predictor.readout.weight[0])


@torch.no_grad()
def test_model_without_weights_of_sessions_reads_a_session_that_it_does_not_know():
    torch.manual_seed(0)
    settings = dataclasses.replace(REALM_PRESETS["tiny"], lfp_patch=8)
    spec = ModelSpec(family="realm", config=configure(settings, "lfp", "gated"), sessions={"a": 1})
    model = CrossModalModel(spec).eval()
    known, unknown = make_batch(["a"], [9]), dataclasses.replace(make_batch(["a"], [9]), sessions=("new",))
    assert torch.equal(model.latents(known), model.latents(unknown)) and spec.reads_any_session
    with pytest.raises(DataError, match='not trained on session "new"'):
        CrossModalModel(make_spec()).latents(unknown)

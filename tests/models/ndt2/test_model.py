"""What NDT2 reads: earlier bins and context, and what it has learned of sessions, subjects, times and positions."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.errors import DataError
from raydistill.feed.masking import Draw, mask_tokens
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.families import build_model
from raydistill.models.layers.attention import Packing
from raydistill.models.ndt2.config import PRESETS, configure
from raydistill.models.ndt2.context import with_context
from raydistill.models.ndt2.layers import PostNormLayer
from raydistill.models.spec import ModelSpec
from raydistill.models.stream import Stream
from tests.small import make_segments, noise_of

SETTINGS = dataclasses.replace(PRESETS["tiny"], width=32, spikes_patch=8, context_tokens=3, times=40)
SUBJECTS = {"a": "Ann", "b": "Bob", "a2": "Ann"}
INPUTS = Inputs(modality="spikes", widths=(8,))


def make_model(sessions=("a", "b"), **changes):
    torch.manual_seed(0)
    config = configure(dataclasses.replace(SETTINGS, **changes), "spikes", "count", predictor=True)
    patches, subjects = {"a": 1, "b": 3, "a2": 1}, {name: SUBJECTS[name] for name in sessions}
    norm = {"spikes": {"mean": [0.0] * 20, "std": [1.0] * 20}}
    provenance = {"segment_bins": {"b": 10}, "normalisation": {"b": norm}}
    kept = {name: patches[name] for name in sessions}
    spec = ModelSpec(family="ndt2", config=config, sessions=kept, subjects=subjects, provenance=provenance)
    return build_model(spec).eval()


def make_batch(sessions=("b", "a"), lengths=(9, 7)):
    return pack([INPUTS.tokenize(segment) for segment in make_segments(sessions, lengths)])


def encoded(model, batch):
    """The encoder's input and output with the context of each segment: times, and outputs."""
    tokens = model.tokenizer(batch, batch.time)
    context = model.context(batch.sessions, flagged=True)
    x, time, packing, _ = with_context(tokens, batch.time, Packing(batch.lengths), context)
    return time, model.encoder(x, time, packing)


def test_times_and_positions_are_drawn_with_the_standard_deviation_of_the_settings():
    published, small = (make_model(places_std=std).state_dict() for std in (1.0, 0.25))
    assert PRESETS["paper"].places_std == 1 and PRESETS["tiny"].places_std == 0.02
    for side in ("tokenizer", "masked_side"):
        for table in ("time", "position"):
            name = f"{side}.places.{table}.weight"
            assert 0.9 < published[name].std() < 1.1
            torch.testing.assert_close(small[name], 0.25 * published[name])
    torch.testing.assert_close(small["context.sessions.weight"], published["context.sessions.weight"])


def test_tokens_are_unmoved_by_later_bins_and_moved_by_other_patches_of_their_own():
    model, batch = make_model(), make_batch(["b"], [9])
    values = batch.values.clone()
    values[3 * 5 + 2] = 3  # the last patch of bin 5
    time, before = encoded(model, batch)
    _, after = encoded(model, dataclasses.replace(batch, values=values))
    moved = (after - before).abs().sum(1)
    assert moved[time < 5].max() == 0
    assert moved[time == 5].min() > 0 and moved[time == 6].min() > 0


@pytest.mark.parametrize("causal", [True, False])
def test_context_is_unmoved_by_data_and_moves_every_token(causal):
    model, batch = make_model(causal=causal), make_batch()
    values = torch.randint(0, 9, batch.values.shape, dtype=torch.uint8)
    time, before = encoded(model, batch)
    _, after = encoded(model, dataclasses.replace(batch, values=values))
    assert torch.equal(before[time == -1], after[time == -1])
    latents = model.latents(batch)
    with torch.no_grad():
        model.context.subjects.weight[model.context.rows[1]["Bob"]] += 1
    moved = (model.latents(batch) - latents).abs().sum(1)
    assert moved[:9].min() > 0 and moved[9:].max() == 0  # of the segment of Bob, and not of that of Ann


def test_layer_is_that_of_torch():
    layer = PostNormLayer(32, 4, 0.0).eval()
    reference = torch.nn.TransformerEncoderLayer(32, 4, 32, 0.0, "gelu", batch_first=True).eval()
    names = {"self_attn.in_proj_": "qkv.", "self_attn.out_proj.": "out.", "linear1.": "up.", "linear2.": "down."}
    weights = dict(reference.named_parameters())
    for theirs, ours in (names | {"norm1.": "norm1.", "norm2.": "norm2."}).items():
        for kind in ("weight", "bias"):
            layer.get_parameter(ours + kind).data = weights[theirs + kind].data
    x, mask = torch.randn(2, 7, 32), torch.ones(7, 7, dtype=torch.bool).tril()
    expected = reference(x, src_mask=~mask)
    torch.testing.assert_close(layer(x, mask[None, None], None), expected, atol=1e-5, rtol=1e-5)


def test_counts_of_five_and_of_no_unit_have_embeddings_of_their_own():
    model = make_model()
    table = model.tokenizer.value.table
    assert table.padding_idx == 21 and table.weight[5].abs().sum() > 0 and table.weight[21].abs().sum() == 0
    batch = make_batch(["a", "a"], [3, 3])
    many = dataclasses.replace(batch, values=torch.full_like(batch.values, 30))
    assert torch.equal(model.latents(many), model.latents(dataclasses.replace(many, values=many.values - 10)))


def test_reconstruction_reads_visible_tokens_alone():
    model, batch = make_model(), make_batch()
    masking = mask_tokens(batch, 0.6, Draw(0, 0))
    before = model.reconstruct(batch, masking)
    hidden, shown = batch.values.clone(), batch.values.clone()
    hidden[masking.masked] = 7
    shown[masking.visible] = 7
    assert torch.equal(model.reconstruct(dataclasses.replace(batch, values=hidden), masking), before)
    assert not torch.equal(model.reconstruct(dataclasses.replace(batch, values=shown), masking), before)


def test_reconstruction_in_training_is_the_same_in_any_batch():
    model, batch = make_model(dropout=0.3).train(), make_batch()
    batch = dataclasses.replace(batch, noise=noise_of(batch))
    both = model.reconstruct(batch, mask_tokens(batch, 0.6, Draw(0, 0)))
    alone = make_batch()
    (first,) = (pack([INPUTS.tokenize(segment)]) for segment in make_segments(("b",), (9,)))
    assert torch.equal(first.values, alone.values[:27])
    first = dataclasses.replace(first, noise=noise_of(first))
    masking = mask_tokens(first, 0.6, Draw(0, 0))
    torch.testing.assert_close(model.reconstruct(first, masking), both[: len(masking.masked)], atol=1e-5, rtol=1e-5)


def test_model_for_other_sessions_keeps_known_sessions_and_subjects():
    model = make_model()
    spec = make_model(["a2", "b"]).spec
    torch.manual_seed(1)
    new = model.transplanted(spec)
    assert torch.equal(new.context.subjects.weight, model.context.subjects.weight)  # Ann and Bob
    of_b, of_a = (new.context.sessions.weight[new.context.rows[0][name]] for name in ("b", "a2"))
    assert torch.equal(of_b, model.context.sessions.weight[1]) and not torch.equal(
        of_a, model.context.sessions.weight[0]
    )
    assert torch.equal(new.context.flags, model.context.flags)
    batch = make_batch(["b"], [9])
    assert torch.equal(new.latents(batch), model.latents(batch))


def test_session_without_context_is_refused_unless_it_is_read_as_another_one():
    model = make_model(["b"])
    batch = make_batch(["a"], [5])
    with pytest.raises(DataError, match='the model was not trained on session "a"'):
        model.latents(batch)
    model.use_embeddings_of("a", "b")
    assert torch.equal(model.latents(batch), model.latents(dataclasses.replace(batch, sessions=("b",))))


def test_too_many_bins_or_patches_are_refused_with_both_numbers():
    with pytest.raises(DataError, match="a segment of b has 41 bins, but the model has learned times for 40"):
        make_model().latents(make_batch(["b"], [41]))
    with pytest.raises(DataError, match="session b has 3 patches per bin, but the model has learned positions for 2"):
        make_model(positions=2).latents(make_batch(["b"], [4]))
    with pytest.raises(DataError, match="learned times for 40 bins, but got a window of 41"):
        make_model().initial_state(1, 3, 41)


def test_stream_starts_again_after_its_window_as_pieces_do():
    model = make_model(["b"])
    (segment,) = make_segments(["b"], [25])
    stream = Stream(model, ArrayInputs(model.spec, "b"))
    assert stream.window_bins == 10
    streamed = np.array([stream.step(spikes=row).latents for row in segment.spikes])
    pieces = [dataclasses.replace(segment, spikes=segment.spikes[a : a + 10]) for a in (0, 10, 20)]
    whole = torch.cat([model.latents(pack([INPUTS.tokenize(piece)])) for piece in pieces])
    np.testing.assert_allclose(streamed, whole.detach().numpy(), atol=1e-5)

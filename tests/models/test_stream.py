"""A causal model that reads recordings bin by bin."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.errors import DataError
from raydistill.feed.tokens import pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.crossmodal.backbones import BACKBONES
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.stream import Stream
from tests.small import SETTINGS, make_spec

BINS = 120


def make_model(backbone="transformer", embedding="linear", modality="lfp", **changes):
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, causal=True, backbone=backbone) if "causal" not in changes else SETTINGS
    norm = {"mean": [0.5] * 20, "std": [1.5] * 20}
    spec = make_spec(modality, embedding, (), behavior=("x", "y"), settings=settings)
    provenance = {"segment_bins": {"b": BINS}, "normalisation": {"b": {"spikes": norm, "lfp": norm}}}
    return CrossModalModel(dataclasses.replace(spec, sessions={"b": 3}, provenance=provenance)).eval()


def make_stream(model, **options):
    return Stream(model, ArrayInputs(model.spec, None), **options)


def arrays(bins=BINS, seed=0):
    random = np.random.default_rng(seed)
    return {"spikes": random.poisson(0.7, (bins, 20)).astype(np.uint8), "lfp": random.normal(size=(bins, 20))}


def whole(model, **signals):
    batch = pack([ArrayInputs(model.spec, None).tokenize(signals)])
    kind = next(model.parameters()).dtype
    values = batch.values.to(kind) if batch.values.is_floating_point() else batch.values
    with torch.no_grad():
        return model.latents(dataclasses.replace(batch, values=values)).numpy()


def run(stream, values, name="lfp"):
    return np.array([stream.step(**{name: row}).latents for row in values])


@pytest.mark.parametrize("embedding", ["linear", "conv"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_stream_in_either_precision_equals_the_whole_segment(backbone, embedding):
    lfp = arrays()["lfp"]
    model = make_model(backbone, embedding)
    assert np.abs(run(make_stream(model), lfp) - whole(model, lfp=lfp)).max() < 1e-4
    exact = make_model(backbone, embedding).double()
    stream = make_stream(exact)
    latents = []
    for row in lfp:  # `step` returns float32, so its latents are taken before
        batch = stream._packed(stream._inputs.tokenize({"lfp": row[None]}))
        with torch.no_grad():
            stream._state, of_bin = exact.step(stream._state, batch)
        latents.append(of_bin[0].numpy())
    assert np.abs(np.array(latents) - whole(exact, lfp=lfp)).max() < 1e-10


def test_stream_of_spikes_and_of_both_signals_equals_the_whole_segment():
    signals = arrays()
    model = make_model(embedding="count", modality="spikes")
    assert (
        np.abs(run(make_stream(model), signals["spikes"], "spikes") - whole(model, spikes=signals["spikes"])).max()
        < 1e-4
    )
    both = make_model(modality="multimodal")
    stream = make_stream(both)
    latents = [stream.step(spikes=s, lfp=x).latents for s, x in zip(signals["spikes"], signals["lfp"], strict=True)]
    assert np.abs(np.array(latents) - whole(both, **signals)).max() < 1e-4


def test_behavior_is_that_of_the_head():
    model = make_model()
    out = make_stream(model).step(lfp=arrays()["lfp"][0])
    with torch.no_grad():
        assert np.allclose(out.behavior, model.behavior(torch.tensor(out.latents)[None])[0], atol=1e-6)
    assert (out.latents.shape, out.behavior.shape, out.latents.dtype) == ((32,), (2,), np.float32)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_state_that_is_saved_in_the_middle_continues_with_the_same_bits(backbone):
    lfp = arrays()["lfp"]
    model = make_model(backbone, "conv")
    stream = make_stream(model)
    run(stream, lfp[:50])
    saved = stream.state
    rest = run(stream, lfp[50:])
    other = make_stream(model)
    other.state = saved
    assert np.array_equal(run(other, lfp[50:]), rest)
    stream.reset()
    assert np.array_equal(run(stream, lfp)[50:], rest)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_state_keeps_its_size_and_stays_finite(backbone):
    stream = make_stream(make_model(backbone, "conv"), window_bins=20)
    sizes = {name: values.nbytes for name, values in stream.state.items()}
    out = run(stream, arrays(400)["lfp"])
    assert {name: values.nbytes for name, values in stream.state.items()} == sizes
    assert np.isfinite(out).all()


def test_attention_reads_the_last_bins_of_its_window_at_any_time():
    """With one layer, the latents of a bin are those of a segment that begins with its window."""
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, causal=True, layers=1)
    spec = dataclasses.replace(make_spec("lfp", "linear", (), settings=settings), sessions={"b": 3})
    model = CrossModalModel(spec).eval()
    stream, lfp = make_stream(model, window_bins=10), arrays()["lfp"]
    latents = run(stream, lfp)
    for t in (9, 10, 63, 119):
        assert np.abs(whole(model, lfp=lfp[t - 9 : t + 1])[-1] - latents[t]).max() < 1e-5
    late = stream.state
    late["time"] = np.array([360_000_000])  # 1000 hours of bins of 10 ms
    for name in late:  # keys are rotated by their time, so none may be left
        late[name] = late[name] if name == "time" else np.zeros_like(late[name])
    stream.state = late
    rotated = run(stream, lfp[:30])
    # The empty keys of the window count as bins until they have left it.
    assert np.abs(rotated[9:] - latents[9:30]).max() < 1e-4


def test_window_is_by_default_that_of_the_training():
    assert make_stream(make_model()).window_bins == BINS


def test_streams_run_together_as_each_alone():
    model = make_model()
    together = make_stream(model, streams=2)
    first, second = arrays(seed=1)["lfp"], arrays(seed=2)["lfp"]
    out = np.array([together.step(lfp=np.stack(rows)).latents for rows in zip(first, second, strict=True)])
    for k, lfp in enumerate((first, second)):
        assert np.abs(out[:, k] - run(make_stream(model), lfp)).max() < 1e-5


def test_one_of_several_streams_begins_again_while_the_others_go_on():
    model = make_model(embedding="conv")
    stream, lfp = make_stream(model, streams=2), arrays()["lfp"]
    for row in lfp[:30]:
        stream.step(lfp=np.stack([row, row]))
    stream.reset(np.array([True, False]))
    out = np.array([stream.step(lfp=np.stack([row, row])).latents for row in lfp[30:60]])
    assert np.abs(out[:, 0] - run(make_stream(model), lfp[30:60])).max() < 1e-5
    assert np.abs(out[:, 1] - run(make_stream(model), lfp[:60])[30:]).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "bins", "message"),
    [
        ({}, {"lfp": np.zeros(19)}, "19 channels, but b, which the model was trained on, has 20"),
        ({}, {"lfp": np.full(20, np.nan)}, "values that are not finite"),
        ({}, {"spikes": np.zeros(20)}, "reads lfp and not spikes"),
        ({}, {}, "reads lfp: give `lfp`"),
        ({"streams": 2}, {"lfp": np.zeros(20)}, "one row for each of 2 streams"),
        ({"streams": 0}, {}, "must be whole numbers of at least 1"),
        ({"window_bins": -3}, {}, "must be whole numbers of at least 1"),
    ],
)
def test_wrong_bin_is_refused_and_changes_nothing(options, bins, message):
    with pytest.raises(DataError, match=message):
        stream = make_stream(make_model(), **options)
        before = stream.state
        try:
            stream.step(**bins)
        finally:
            assert all(np.array_equal(before[name], values) for name, values in stream.state.items())


def test_model_that_reads_later_bins_refuses_with_the_setting():
    with pytest.raises(DataError, match=r"train one with `model: \{causal: true\}`"):
        make_stream(make_model(causal=False))


def test_last_bins_of_a_model_that_answers_late_need_the_stream_that_read_them():
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, causal=True, backbone="lstm", lookahead_bins=3)
    spec = dataclasses.replace(make_spec("lfp", "linear", (), settings=settings), sessions={"b": 3})
    model, lfp = CrossModalModel(spec).eval(), arrays(8)["lfp"]
    stream, other = make_stream(model), make_stream(model)
    latents = run(stream, lfp)
    other.state = stream.state
    with pytest.raises(DataError, match="the state is that of another stream, and no bin was read since"):
        next(other.finish())
    late = np.concatenate([latents, [out.latents for out in stream.finish()]])
    assert np.isnan(late[:3]).all() and np.abs(late[3:] - whole(model, lfp=lfp)).max() < 1e-5
    assert not list(make_stream(model).finish()), "nothing was read"


def test_state_of_another_stream_is_refused_by_name():
    stream = make_stream(make_model())
    with pytest.raises(DataError, match=r"0.keys has the shape \(1, 2, 60, 16\) instead of \(1, 2, 360, 16\)"):
        stream.state = make_stream(make_model(), window_bins=20).state

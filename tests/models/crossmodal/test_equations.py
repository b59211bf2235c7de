"""The encoder in float64, on random weights, against a direct evaluation of the published equations."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.feed.tokens import Inputs, pack
from raydistill.models.released.released import import_checkpoint
from raydistill.store.session import Segment
from tests.models.released.checkpoints import (
    make_config,
    make_weights,
    published_tokens,
    write_checkpoint,
    write_metadata,
)

COLUMNS = {"MonkeyI_20160622_01": 96, "MonkeyC_e1_1": 95}
SIZES = {"conv": {"patch": 32}, "mlp": {"patch": 32}, "linear": {"patch": 32}, "count": {"patch": 16}}


@pytest.mark.parametrize("lengths", [(500, 500, 500), (500, 37, 1, 211)], ids=["equal", "ragged"])
@pytest.mark.parametrize("value", SIZES)
def test_tokens_and_latents_in_float64_are_those_of_the_equations(tmp_path, value, lengths):
    weights = make_weights(value, COLUMNS, width=64, heads=4, layers=3, **SIZES[value])
    if value == "count":  # the row of padded slots is zero here, and noise in the released code
        weights["tokenizer.embedder.weight"][-1] = 0
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", make_config(value), weights)
    model = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS)).model.double()
    for name in weights:  # files have the frequencies in float32, the equations do not
        if name.endswith("inv_freq"):
            weights[name] = 10_000.0 ** (-np.arange(0, 16, 2) / 16)
    random, segments = np.random.default_rng(0), []
    for number, (length, session) in enumerate(zip(lengths, 2 * list(COLUMNS), strict=False)):
        counts = random.poisson(1.0, (length, COLUMNS[session])).astype(np.uint8)
        lfp = random.normal(size=counts.shape).astype(np.float32)
        segments.append(Segment(session, number, "test", 0.0, counts, lfp, None))
    batch = pack([Inputs(modality=model.spec.modality, widths=model.spec.widths).tokenize(s) for s in segments])
    if value != "count":
        batch = dataclasses.replace(batch, values=batch.values.double())
    with torch.no_grad():
        tokens, latents = model.encode(batch).split(list(batch.lengths)), model.latents(batch).split(list(batch.bins))
    for segment, ours, pooled in zip(segments, tokens, latents, strict=True):
        x = segment.spikes if value == "count" else segment.lfp
        expected = published_tokens(weights, segment.session, x, **SIZES[value])
        assert np.abs(ours.numpy() - expected).max() < 1e-10
        per_bin = expected.reshape(segment.n_bins, -1, expected.shape[1]).mean(1)
        assert np.abs(pooled.numpy() - per_bin).max() < 1e-10

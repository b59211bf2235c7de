"""Bin by bin through convolutional value embeddings of any reach, whose input the state keeps."""

import dataclasses

import pytest
import torch

from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.model import CrossModalModel
from tests.small import SETTINGS, make_segments, make_spec, run_step_by_step


@pytest.mark.parametrize("axis", ["time", "tokens"])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 4), (4, 7)])
@pytest.mark.parametrize("session", ["a", "b"])
def test_step_of_a_convolutional_embedding_equals_the_whole_segment(session, kernel, dilation, axis):
    settings = dataclasses.replace(
        SETTINGS, causal=True, conv_kernel=kernel, conv_dilation=dilation, conv_axis=axis, backbone="transformer"
    )
    torch.manual_seed(0)
    model = CrossModalModel(make_spec("lfp", "conv", (), settings=settings)).eval()
    inputs = Inputs(modality="lfp", widths=(8,))
    (segment,) = make_segments([session], [40])
    whole = model.latents(pack([inputs.tokenize(segment)]))
    state, latents = run_step_by_step(model, segment, inputs)
    torch.testing.assert_close(latents, whole, atol=2e-5, rtol=1e-5)
    reach = (kernel - 1) * dilation
    patches = 1 if session == "a" else 3
    kept = reach if axis == "time" else -(-reach // patches)
    assert "values" not in state if not kept else state["values"].shape == (1, kept * patches, 8)

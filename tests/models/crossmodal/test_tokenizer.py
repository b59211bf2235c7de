"""Tokens: time-major patches, silent padding, causal convolution, strict session names."""

import pytest
import torch

from raydistill.errors import DataError
from raydistill.models.crossmodal.tokenizer import Tokenizer
from tests.small import SETTINGS, make_batch, make_spec


def make_tokenizer(value):
    torch.manual_seed(0)
    return Tokenizer(make_spec("spikes" if value == "count" else "lfp", value).config, 8, {"a": 1, "b": 3})


def test_pack_lays_tokens_out_in_time_major_order():
    batch = make_batch(["a", "b"], [2, 2])
    assert batch.lengths == (2, 6) and batch.bins == (2, 2)
    assert batch.time.tolist() == [0, 1, 0, 0, 0, 1, 1, 1]
    assert batch.patch.tolist() == [0, 0, 0, 1, 2, 0, 1, 2]
    assert batch.slots[:, 0].tolist() == [8, 8, 8, 8, 4, 8, 8, 4]
    assert batch.values[~batch.valid].abs().sum() == 0


def test_count_table_padding_row_is_zero_and_gets_no_gradient():
    tokenizer = make_tokenizer("count")
    batch = make_batch(["b"], [5], "spikes")
    tokenizer(batch).square().sum().backward()
    table = tokenizer.value.table
    assert table.weight[SETTINGS.max_count + 1].abs().sum() == 0
    assert table.weight.grad[SETTINGS.max_count + 1].abs().sum() == 0


@pytest.mark.parametrize("value", ["linear", "conv", "count"])
def test_tokenizer_rows_alone_equal_rows_of_all(value):
    tokenizer = make_tokenizer(value)
    batch = make_batch(["a", "b"], [4, 5], "spikes" if value == "count" else "lfp")
    rows = torch.tensor([0, 3, 5, 9, 17])
    torch.testing.assert_close(tokenizer(batch, rows), tokenizer(batch)[rows])


def test_conv_equals_torch_convolution_of_each_patch_along_time():
    tokenizer = make_tokenizer("conv")
    batch = make_batch(["b"], [9])
    values = batch.values.view(9, 3, 8).permute(1, 2, 0)  # (T * P, S) -> (P, S, T)
    expected = tokenizer.value.conv(torch.nn.functional.pad(values, (2, 0)))  # (P, D, T)
    found = tokenizer.value(batch, None)
    torch.testing.assert_close(found, expected.permute(2, 0, 1).reshape(27, -1), atol=1e-6, rtol=1e-5)


def test_conv_sees_neither_future_nor_other_patches_nor_other_segments():
    tokenizer = make_tokenizer("conv")
    batch = make_batch(["b", "b"], [6, 6])
    before = tokenizer(batch).detach()
    batch.values[3 * 3 + 1] += 1.0  # segment 0, bin 3, patch 1
    changed = (tokenizer(batch) - before).abs().sum(1).nonzero().flatten().tolist()
    assert changed == [3 * 3 + 1, 4 * 3 + 1, 5 * 3 + 1]  # the same patch at bins 3, 4 and 5
    batch.values[5 * 3 + 1] += 1.0  # the last bin of segment 0
    assert (tokenizer(batch) - before)[18:].abs().sum() == 0


def test_space_embedding_unknown_session_is_refused_by_name():
    from raydistill.feed.tokens import Inputs, pack
    from tests.small import make_segments

    tokenizer = Tokenizer(make_spec().config, 8, {"b": 3})
    with pytest.raises(DataError, match='not trained on session "a"'):
        tokenizer(pack([Inputs(modality="lfp", widths=(8,)).tokenize(make_segments(["a"], [3])[0])]))

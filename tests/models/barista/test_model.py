"""Names at each spatial scale, weights that move between sessions, and latents per bin."""

import dataclasses

import pytest
import torch

from raydistill.errors import DataError
from raydistill.models.barista.layout import layout_of
from raydistill.models.families import FAMILIES
from raydistill.store.channels import channel_table
from tests.models.barista.models import lfp_batch, small_config, small_model, small_spec
from tests.small import noise_of


def names_of(model, batch):
    return model.tokenizer.space(batch, layout_of(batch, 4))


@pytest.mark.parametrize("space", ["array", "region"])
def test_channels_of_one_array_share_a_name_in_all_sessions_and_unknown_ones_have_none(space):
    model = small_model(space=space)
    names, table = names_of(model, lfp_batch()), model.tokenizer.space.tables["names"].weight
    of_a, of_b = names[:8], names[24:44]
    assert torch.equal(of_a[:4], table[1].expand(4, -1)) and torch.equal(of_a[4:7], table[2].expand(3, -1))
    assert torch.equal(of_b[:10], table[1].expand(10, -1)) and torch.equal(of_b[10:19], table[2].expand(9, -1))
    assert not names[7].any() and not of_b[19].any() and not torch.equal(table[1], table[2])


def test_position_is_the_sum_of_a_row_of_each_axis_without_unknown_ones():
    model = small_model(space="position", position_step_um=800.0)
    tables, names = model.tokenizer.space.tables, names_of(model, lfp_batch())
    for channel, row in ((0, 0), (1, 0), (2, 1), (6, 3)):  # at 400 µm times the number of the channel
        expected = tables["x"].weight[row] + tables["y"].weight[0] + tables["z"].weight[1]
        torch.testing.assert_close(names[channel], expected)
    assert not names[7].any()


def test_position_outside_of_the_tables_is_refused():
    with pytest.raises(
        ValueError, match="a channel is at x = 1200 µm, but the tables of positions reach from 0 to 1200"
    ):
        small_model(space="position", position_rows=3)


def test_unknown_name_gets_no_gradient_and_stays_zero():
    model = small_model(space="array").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    batch = lfp_batch()
    model.latents(dataclasses.replace(batch, noise=noise_of(batch))).square().sum().backward()
    optimizer.step()
    table = model.tokenizer.space.tables["names"]
    assert not table.weight.grad[0].any() and table.weight.grad[1:].any() and not table.weight[0].any()


def test_model_for_a_new_session_keeps_the_names_that_it_knows():
    model = small_model(space="array")
    table = channel_table(3, array=["S1", "PMd", ""])
    spec = dataclasses.replace(
        model.spec, sessions={"c": 3}, channels={"c": table}, place_names=("PMd", "S1"), behavior=("vx",)
    )
    torch.manual_seed(1)
    new, old = model.transplanted(spec), model.tokenizer.space.tables["names"].weight
    rows = new.tokenizer.space.tables["names"].weight
    assert torch.equal(rows[2], old[2]) and not torch.equal(rows[1], old[1]) and not rows[0].any()
    assert torch.equal(new.encoder.norm.weight, model.encoder.norm.weight)
    assert new.tokenizer.space.rows.tolist() == [[2], [1], [-1]]


def test_names_of_channels_move_with_their_session_and_are_drawn_for_others():
    model = small_model(space="channel")
    spec = small_spec(columns={"b": 20, "c": 2})
    rows = model.transplanted(spec).tokenizer.space.tables["channels"].weight
    assert torch.equal(rows[:20], model.tokenizer.space.tables["channels"].weight[8:])
    assert len(rows) == 22


def test_session_that_the_model_does_not_know_is_refused_or_read_with_the_names_of_another():
    model, batch = small_model(space="array"), lfp_batch(["a"], [12])
    renamed = dataclasses.replace(batch, sessions=("new",))
    with pytest.raises(DataError, match='not trained on session "new"'):
        model.latents(renamed)
    model.use_embeddings_of("new", "a")
    assert torch.equal(model.latents(renamed), model.latents(batch))
    model.use_embeddings_of("new", "b")
    with pytest.raises(DataError, match="session new has 8 channels, but the model has 20 for b"):
        model.latents(renamed)


def test_model_without_names_reads_any_session():
    model, batch = small_model(space="none"), lfp_batch(["a"], [12])
    assert model.spec.reads_any_session
    renamed = dataclasses.replace(batch, sessions=("new",))
    assert torch.equal(model.latents(renamed), model.latents(batch))


def test_latents_of_a_new_behavior_head_are_those_without_one():
    plain, batch = small_model(), lfp_batch()
    supervised = plain.transplanted(dataclasses.replace(plain.spec, behavior=("vx", "vy"))).eval()
    torch.testing.assert_close(supervised.latents(batch), plain.latents(batch), atol=1e-5, rtol=1e-5)
    steps = plain.latents(batch)[:12].unflatten(0, (3, 4))
    assert torch.equal(steps, steps[:, :1].expand(-1, 4, -1))


def test_bins_of_a_trained_head_differ_and_channels_weigh_by_their_outputs():
    model, batch = small_model(behavior=("vx",)), lfp_batch(["a"], [12])
    torch.nn.init.normal_(model.bins.weight.weight)
    torch.nn.init.normal_(model.bins.bins.weight)
    outputs = model.outputs(batch, layout_of(batch, 4)).double().unflatten(0, (3, 8))  # sub-segments, channels
    u, maps = model.bins.weight.weight[0].double(), model.bins.bins.weight.double().unflatten(0, (4, 16))
    weights = torch.exp(outputs @ u) / torch.exp(outputs @ u).sum(1, keepdim=True)
    pooled = torch.einsum("kp,kpd->kd", weights, outputs)
    expected = torch.stack([maps[t % 4] @ pooled[t // 4] for t in range(12)])
    torch.testing.assert_close(model.latents(batch).double(), expected, atol=1e-4, rtol=1e-4)


def test_settings_of_a_configuration_make_it_again():
    for space in ("channel", "position", "array"):
        config = small_config(space=space)
        family = FAMILIES["barista"]
        again = family.configure(family.settings(**family.settings_of(config)), "lfp", "dilated")
        assert again == config


def test_model_without_a_head_for_classes_has_no_logits():
    with pytest.raises(DataError, match="only imported checkpoints"):
        small_model().logits(lfp_batch())

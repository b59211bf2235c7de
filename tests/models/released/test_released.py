"""Released checkpoints: the same tokens as the published equations, and what does not fit is named."""

import json
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch

from raydistill.cli import main
from raydistill.errors import CheckpointError, DataError
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.files import load_model, save_model
from raydistill.models.released.released import import_checkpoint, read_columns
from raydistill.store.session import Segment
from tests.commands import raydistill
from tests.models.released.checkpoints import (
    make_config,
    make_weights,
    published_tokens,
    write_checkpoint,
    write_metadata,
)

COLUMNS = {"MonkeyI_20160622_01": 96, "MonkeyC_e1_1": 95, "MonkeyX_one": 20}
"""Three patches, three with a padded slot, and one with twelve."""


def write(folder, value, columns=COLUMNS, config=(), table=None, **sizes):
    """Checkpoint, table of sessions, and the weights in them."""
    weights = make_weights(value, columns, **sizes)
    checkpoint = write_checkpoint(folder / "released.ckpt", make_config(value, **dict(config)), weights)
    return checkpoint, write_metadata(folder / "released.csv", table or columns), weights


def segments(value, columns, seed=0):
    """A segment of each session, of different lengths."""
    random = np.random.default_rng(seed)
    made = []
    for number, (session, n) in enumerate(columns.items()):
        shape = (11 + 3 * number, n)
        counts = random.poisson(2.5, shape).astype(np.uint8)  # some above the published limit of 5
        lfp = random.normal(size=shape).astype(np.float32)
        spikes = counts if value == "count" else None
        made.append(Segment(session, number, "test", 0.0, spikes, None if value == "count" else lfp, None))
    return made


def ours(model, made):
    """The model's tokens of each segment, all packed into one batch, and its latents."""
    inputs = Inputs(modality=model.spec.modality, widths=model.spec.widths)
    batch = pack([inputs.tokenize(s) for s in made])
    with torch.no_grad():
        return model.encode(batch).split(list(batch.lengths)), model.latents(batch).split(list(batch.bins))


@pytest.mark.parametrize(
    ("value", "config", "sizes"),
    [
        ("conv", {}, {}),
        ("conv", {"dilation": 3}, {"heads": 4, "layers": 3, "kernel": 2}),
        ("mlp", {"activation": "tanh"}, {}),
        ("mlp", {"layer_list": [40, 24, 56]}, {"hidden": (40, 24, 56)}),
        ("mlp", {"layer_list": [512], "activation": "linear"}, {}),
        ("mlp", {"activation": "Linear"}, {"hidden": (40, 24)}),
        ("mlp", {"layer_list": None, "activation": "tanh"}, {"hidden": ()}),
        ("mlp", {"layer_list": None, "activation": "linear"}, {"hidden": ()}),
        ("linear", {"layer_list": []}, {"width": 48, "heads": 3}),
        ("linear", {}, {}),
        ("count", {}, {"width": 64, "patch": 16}),
    ],
    ids=[
        "conv",
        "dilated",
        "mlp",
        "deep",
        "folded",
        "deep-folded",
        "null-list",
        "null-linear",
        "linear",
        "no-list",
        "count",
    ],
)
def test_imported_model_gives_the_published_tokens(tmp_path, value, config, sizes):
    checkpoint, metadata, weights = write(tmp_path, value, config=config, **sizes)
    save_model(import_checkpoint(checkpoint, metadata).model, tmp_path)
    made = segments(value, COLUMNS)
    options = {"patch": sizes.get("patch", 32), "dilation": config.get("dilation", 1)}
    if config.get("activation", "tanh").lower() == "linear":
        options["activation"] = lambda x: x
    options["on_input"] = config.get("layer_list", []) is None
    for segment, tokens, latents in zip(made, *ours(load_model(tmp_path), made), strict=True):
        x = segment.spikes if value == "count" else segment.lfp
        expected = published_tokens(weights, segment.session, x, **options)
        np.testing.assert_allclose(tokens.numpy(), expected, atol=1e-5, rtol=1e-5)
        mean = expected.reshape(len(x), -1, expected.shape[1]).mean(1)  # (T, P, D) -> (T, D)
        np.testing.assert_allclose(latents.numpy(), mean, atol=1e-5, rtol=1e-5)


def test_checkpoint_of_the_published_size_has_the_published_parameters(tmp_path):
    one = {"MonkeyI_20160622_01": 96}
    checkpoint, metadata, weights = write(tmp_path, "conv", one, width=256, heads=8, layers=10)
    model = import_checkpoint(checkpoint, metadata).model
    assert sum(p.numel() for p in model.parameters()) == 10_550_016
    backbone = model.spec.config.backbone
    assert (backbone.heads, backbone.mlp_ratio) == (8, 4)
    assert model.spec.config.predictor is None and not model.spec.config.readout
    (segment,) = segments("conv", one)
    (tokens,), _ = ours(model, [segment])
    expected = published_tokens(weights, segment.session, segment.lfp)
    np.testing.assert_allclose(tokens.numpy(), expected, atol=1e-5, rtol=1e-5)


def test_padding_row_of_counts_becomes_zero_and_is_reported(tmp_path):
    imported = import_checkpoint(*write(tmp_path, "count", width=64, patch=16)[:2])
    assert not imported.model.tokenizer.value.table.weight[-1].any()
    assert any("padded slots" in note for note in imported.notes)


def test_settings_missing_from_the_file_get_defaults_that_are_noted(tmp_path):
    config = make_config("conv") | {"size": {"reach": 4}}
    config["tokenizer"] = {"config": config["tokenizer"] | {"dilation": "${size.reach}"}}
    del config["backbone"]["dropout"]
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", config, make_weights("conv", COLUMNS))
    imported = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))
    sizes = imported.model.spec.config
    assert (sizes.embedding.dilation, sizes.embedding.axis, sizes.dropout) == (4, "tokens", 0.1)
    (note,) = (note for note in imported.notes if "defaults of the released code" in note)
    assert "backbone.dropout = 0.1" in note and "dilation" not in " ".join(imported.notes)


def test_settings_that_raydistill_does_not_have_are_named(tmp_path):
    config = make_config("conv")
    config["backbone"] |= {"alibi": True, "causal": True}
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", config, make_weights("conv", COLUMNS))
    imported = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))
    (note,) = (note for note in imported.notes if "were not read" in note)
    assert "backbone.alibi" in note and "backbone.causal" in note and "backbone.dropout" not in note


@pytest.mark.parametrize(
    ("section", "setting", "why"),
    [
        ("backbone", {"activation": "silu"}, "backbone.activation = 'silu', but raydistill supports only 'gelu'"),
        ("backbone", {"norm_first": False}, "norm_first = False"),
        ("backbone", {"dropout": "${backbone.dropout}"}, "backbone.dropout that refers to itself"),
        ("backbone", {"dropout": 1.5}, "dropout = 1.5, but it must be a number from 0 to 1"),
        ("backbone", {"norm_eps": torch.ones(2)}, "backbone.norm_eps that is a Tensor"),
        ("tokenizer", {"dilation": 0}, "dilation = 0, but it must be a whole number from 1"),
        ("tokenizer", {"dilation": [1, 2]}, "dilation = a list, but it must be a whole number from 1"),
    ],
)
def test_settings_that_are_not_ours_are_refused(tmp_path, section, setting, why):
    config = make_config("conv")
    config[section] |= setting
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", config, make_weights("conv", COLUMNS))
    with pytest.raises(CheckpointError, match=r"c\.ckpt: ") as caught:
        import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("config", "sizes", "why"),
    [
        ({"activation": "relu"}, {}, "has tokenizer.activation = 'relu', but raydistill supports only 'tanh'"),
        ({"layer_list": None, "activation": "gelu"}, {"hidden": ()}, "has tokenizer.activation = 'gelu'"),
        ({"layer_list": [256]}, {}, "has tokenizer.layer_list = [256], but the hidden layers .* have [512] units"),
        ({"layer_list": [512]}, {"hidden": ()}, "has tokenizer.layer_list = [512], but the hidden layers .* have []"),
    ],
)
def test_value_embedding_of_other_equations_is_refused_by_name(tmp_path, config, sizes, why):
    checkpoint, metadata, _ = write(tmp_path, "mlp", config=config, **sizes)
    with pytest.raises(CheckpointError, match=why.replace("[", r"\[").replace("]", r"\]")):
        import_checkpoint(checkpoint, metadata)


@pytest.mark.parametrize("number", [np.float64, np.float32, np.float16])
def test_settings_that_are_numbers_of_numpy_or_paths_are_read(tmp_path, number):
    config = make_config("conv", dilation=np.int64(3), layer_list=[np.int32(512)], folder=PurePosixPath("/a/b"))
    config["backbone"] |= {"dropout": number(0.25), "norm_first": np.bool_(True)}
    config["checkpoint"] = "${tokenizer.folder}"
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", config, make_weights("conv", COLUMNS))
    sizes = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS)).model.spec.config
    assert (sizes.embedding.dilation, sizes.dropout) == (3, 0.25)
    assert type(sizes.embedding.dilation) is int and type(sizes.dropout) is float


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"backbone.layers.1.norm2.weight": None}, "has no backbone.layers.1.norm2.weight"),
        ({"backbone.norm.weight": None}, "has no backbone.norm.weight"),
        ({"tokenizer.embedder.conv.weight": None}, "has no known value embedding"),
        ({"backbone.layers.0.mlp.up_proj.bias": np.zeros(5)}, "up_proj.bias of shape (5,), but it must be (128,)"),
        ({"backbone.layers.0.norm1.bias": np.zeros(32)}, "has backbone.layers.0.norm1.bias, which belongs neither"),
        ({"backbone.norm.weight": np.full(32, np.nan)}, "backbone.norm.weight with values that are not finite numbers"),
        ({"backbone.layers.1.attention.rotary_emb.inv_freq": np.ones(8)}, "another rotary base"),
        ({"tokenizer.patch_embeddings.other.weight": np.zeros((3, 32))}, "has tokenizer.patch_embeddings.other"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_weights_that_do_not_fit_are_named(tmp_path, change, why):
    weights = {n: w for n, w in (make_weights("conv", COLUMNS) | change).items() if w is not None}
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", make_config("conv"), weights)
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_heads_of_a_checkpoint_are_left_out_with_a_note(tmp_path):
    weights = make_weights("conv", COLUMNS) | {"task.weight": np.zeros((2, 32), np.float32)}
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", make_config("conv"), weights)
    imported = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))
    assert "left out: task.weight" in imported.notes


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_views_of_one_storage_are_read(tmp_path, dtype):
    weights = {n: torch.from_numpy(w).to(dtype) for n, w in make_weights("conv", COLUMNS).items()}
    both = torch.cat([weights["backbone.layers.0.norm1.weight"], weights["backbone.layers.0.norm2.weight"]])
    weights["backbone.layers.0.norm1.weight"], weights["backbone.layers.0.norm2.weight"] = both[:32], both[32:]
    weights["backbone.layers.0.mlp.up_proj.weight"] = weights["backbone.layers.0.mlp.up_proj.weight"].T.contiguous().T
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", make_config("conv"), weights)
    model = import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS)).model
    block = model.encoder.blocks[0]
    assert torch.equal(block.norm2.weight, both[32:].float())
    assert torch.equal(block.mlp.up.weight, weights["backbone.layers.0.mlp.up_proj.weight"].float())


def test_weights_that_share_one_storage_are_refused(tmp_path):
    weights = {n: torch.from_numpy(w) for n, w in make_weights("conv", COLUMNS, layers=8).items()}
    for name in list(weights):
        if ".layers.0." not in name and "backbone.layers." in name:
            weights[name] = weights[f"backbone.layers.0.{name.split('.', 3)[3]}"]
    checkpoint = write_checkpoint(tmp_path / "c.ckpt", make_config("conv"), weights)
    with pytest.raises(CheckpointError, match="several share one storage"):
        import_checkpoint(checkpoint, write_metadata(tmp_path / "c.csv", COLUMNS))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (COLUMNS | {"MonkeyC_e1_1": 97}, "3 patches of session MonkeyC_e1_1, .* 97 columns, which are 4 patches of 32"),
        ({"MonkeyC_e1_2": 95}, 'no session MonkeyC_e1_2, .*; did you mean "MonkeyC_e1_1"'),
        ({"MonkeyC_e1_1": 95}, "has tokenizer.patch_embeddings.MonkeyI_20160622_01.weight"),
    ],
)
def test_table_of_sessions_that_disagrees_is_refused_with_its_numbers(tmp_path, table, why):
    checkpoint, metadata, _ = write(tmp_path, "conv", table=table)
    with pytest.raises(CheckpointError, match=why):
        import_checkpoint(checkpoint, metadata)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "lists no session"),
        ("session,n\na,96\n", "line 2: `subject_session,d_input` is expected"),
        ("subject_session,d_input\na,96\na,95\n", "line 3: session a is listed twice, with 96 and 95 columns"),
        ("subject_session,d_input\na,96.5\n", "line 2: session a has d_input '96.5'"),
        ("subject_session,d_input\na,many\n", "line 2: session a has d_input 'many'"),
        ("subject_session,d_input\na,0\n", "line 2: session a has d_input '0'"),
        ("subject_session,d_input\na\n", "line 2: `subject_session,d_input` is expected"),
        ("subject_session,d_input\n../a,96\n", "line 2: session name '../a' is not allowed"),
    ],
)
def test_table_of_sessions_that_cannot_be_read_is_refused_with_its_line(tmp_path, text, why):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=r"t\.csv") as caught:
        read_columns(tmp_path / "t.csv")
    assert why in str(caught.value)


def test_table_of_sessions_may_repeat_rows_that_agree_and_write_whole_numbers_with_a_point(tmp_path):
    (tmp_path / "t.csv").write_text("subject_session,d_input,path\na,96.0,x\na,96,y\nb,95,z\n")
    assert read_columns(tmp_path / "t.csv") == {"a": 96, "b": 95}


def test_import_command_writes_a_model_with_its_origin(tmp_path, monkeypatch, capsys):
    write(tmp_path, "conv", config={"dilation": 2})
    arguments = ("import", "released.ckpt", "--metadata", "released.csv", "--out", "model")
    done = raydistill(*arguments, cwd=tmp_path, check=0)
    assert done.stdout == "model\n"
    origin = json.loads((tmp_path / "model" / "model.json").read_text())["provenance"]
    assert origin["protocol"] == "released" and origin["columns"] == COLUMNS
    assert origin["checkpoint"]["file"] == "released.ckpt" and len(origin["checkpoint"]["sha256"]) == 64
    assert load_model(tmp_path / "model").spec.sessions == {
        "MonkeyI_20160622_01": 3,
        "MonkeyC_e1_1": 3,
        "MonkeyX_one": 1,
    }
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(list(arguments))
    assert (
        capsys.readouterr().err
        == "raydistill: --out model: this folder already contains a model; name another folder\n"
    )

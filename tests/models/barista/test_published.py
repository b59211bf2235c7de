"""Checkpoints in the stated layout: the logits of the equations, and what does not fit is named.

The file is written by this test, as the names in the public ones are not known.
"""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import erf

from raydistill.cli import main
from raydistill.errors import CheckpointError, DataError
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.barista.published import import_barista
from raydistill.models.files import load_model
from raydistill.store.session import Segment

BINS, WIDTH, HEADS, LAYERS, SUB_SEGMENTS, CHANNELS, CLASSES = 32, 16, 2, 2, 3, 4, 3
ROWS = {"position": [(0, 5, 9), (1, 1, 1), (9, 0, 3), (2, 2, 2)], "region": [3, 0, 1, 3]}
DILATIONS = (1, 2, 4, 8, 16)


def make_weights(space):
    random = np.random.default_rng(0)
    draw = lambda *shape: random.normal(0, 0.4, shape).astype(np.float32)  # noqa: E731
    weights = {}
    for i, (a, b) in enumerate(((1, 5), (5, 5), (5, 5), (5, 5), (5, 1))):
        at = f"tokenizer.blocks.{i}"
        weights |= {f"{at}.conv1.weight": draw(b, a, 3), f"{at}.conv1.bias": draw(b)}
        weights |= {f"{at}.conv2.weight": draw(b, b, 3), f"{at}.conv2.bias": draw(b)}
        if a != b:
            weights |= {f"{at}.residual.weight": draw(b, a, 1), f"{at}.residual.bias": draw(b)}
    weights["tokenizer.linear.weight"] = draw(WIDTH, BINS)
    if space == "position":
        weights |= {f"spatial.{axis}.weight": draw(10, WIDTH) for axis in "xyz"}
    else:
        weights["spatial.names.weight"] = draw(5, WIDTH) * (np.arange(5) > 0)[:, None]
    for i in range(LAYERS):
        at = f"backbone.layers.{i}"
        weights |= {f"{at}.norm1.weight": 1 + draw(WIDTH), f"{at}.norm2.weight": 1 + draw(WIDTH)}
        for name, outputs, inputs in (
            ("attention.qkv_proj", 3 * WIDTH, WIDTH),
            ("attention.o_proj", WIDTH, WIDTH),
            ("mlp.gate_proj", 4 * WIDTH, WIDTH),
            ("mlp.up_proj", 4 * WIDTH, WIDTH),
            ("mlp.down_proj", WIDTH, 4 * WIDTH),
        ):
            weights |= {f"{at}.{name}.weight": draw(outputs, inputs), f"{at}.{name}.bias": draw(outputs)}
    weights["backbone.norm.weight"] = 1 + draw(WIDTH)
    weights["head.pool.weight"] = draw(1, SUB_SEGMENTS * CHANNELS)
    weights |= {"head.classes.weight": draw(CLASSES, WIDTH), "head.classes.bias": draw(CLASSES)}
    return weights | {"mask": draw(WIDTH), "predictor.0.weight": draw(WIDTH, WIDTH)}


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def convolved(x, weight, bias, dilation):
    """(inputs, time) -> (outputs, time), zeros outside."""
    padded = np.pad(x, ((0, 0), (dilation, dilation)))
    taps = [padded[:, k * dilation : k * dilation + x.shape[1]] for k in range(3)]
    return sum(weight[:, :, k] @ taps[k] for k in range(3)) + bias[:, None]


def normed(x, weight):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-8) * weight


def published_logits(weights, lfp, space):
    """The equations in float64, one token and one head at a time. Shape: lfp (T, channels) -> (classes,)."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    tokens = []
    for k in range(SUB_SEGMENTS):
        for channel in range(CHANNELS):
            x = lfp[k * BINS : (k + 1) * BINS, channel].astype(np.float64)[None]
            for i, dilation in enumerate(DILATIONS):
                at, y = f"tokenizer.blocks.{i}", x
                for name in ("conv1", "conv2"):
                    y = convolved(y, w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"], dilation)
                    y = gelu((y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5))
                if f"{at}.residual.weight" in w:
                    x = w[f"{at}.residual.weight"][:, :, 0] @ x + w[f"{at}.residual.bias"][:, None]
                x = x + y
            token = w["tokenizer.linear.weight"] @ x[0]
            row = ROWS[space][channel]
            if space == "position":
                token = token + sum(w[f"spatial.{a}.weight"][n] for a, n in zip("xyz", row, strict=True))
            else:
                token = token + w["spatial.names.weight"][row]
            tokens.append(token)
    x, d = np.stack(tokens), WIDTH // HEADS
    angle = np.repeat(np.arange(SUB_SEGMENTS), CHANNELS)[:, None] * 10_000.0 ** (-np.arange(0, d, 2) / d)
    for i in range(LAYERS):
        at = f"backbone.layers.{i}"
        linear = lambda name, z, at=at: z @ w[f"{at}.{name}.weight"].T + w[f"{at}.{name}.bias"]  # noqa: E731
        q, k, v = np.split(linear("attention.qkv_proj", normed(x, w[f"{at}.norm1.weight"])), 3, axis=1)
        mixed = []
        for head in range(HEADS):
            rotated = []
            for z in (q, k):
                a, b = np.split(z[:, head * d : (head + 1) * d], 2, axis=1)
                rotated.append(
                    np.hstack([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)])
                )
            scores = np.exp(rotated[0] @ rotated[1].T / np.sqrt(d))
            mixed.append(scores / scores.sum(1, keepdims=True) @ v[:, head * d : (head + 1) * d])
        x = x + linear("attention.o_proj", np.hstack(mixed))
        u = normed(x, w[f"{at}.norm2.weight"])
        x = x + linear("mlp.down_proj", gelu(linear("mlp.gate_proj", u)) * linear("mlp.up_proj", u))
    pooled = w["head.pool.weight"][0] @ normed(x, w["backbone.norm.weight"])
    return w["head.classes.weight"] @ pooled + w["head.classes.bias"]


def write(folder, space="region", weights=None, **config):
    weights = make_weights(space) if weights is None else weights
    settings = {"backbone": {"heads": HEADS}} | config
    path = folder / "checkpoint.pt"
    torch.save({"config": settings, "state_dict": {n: torch.from_numpy(np.array(x)) for n, x in weights.items()}}, path)
    rows = ROWS[space]
    table = (
        ["session,x,y,z", *(f"S,{x},{y},{z}" for x, y, z in rows)]
        if space == "position"
        else ["session,region,row", *(f"S,{'' if row == 0 else f'parcel {row}'},{row}" for row in rows)]
    )
    (folder / "channels.csv").write_text("\n".join(table) + "\n")
    return path, folder / "channels.csv", weights


def lfp_segment(bins=SUB_SEGMENTS * BINS, seed=1):
    lfp = np.random.default_rng(seed).normal(size=(bins, CHANNELS)).astype(np.float32)
    return Segment("S", seed, "test", 0.0, None, lfp, None)


def tokens_of(*segments):
    inputs = Inputs(modality="lfp", widths=(1,))
    return pack([inputs.tokenize(segment) for segment in segments])


@pytest.mark.parametrize("space", ["position", "region"])
def test_logits_of_an_imported_checkpoint_are_those_of_the_equations(tmp_path, capsys, space):
    checkpoint, channels, weights = write(tmp_path, space)
    out = tmp_path / "model"
    options = ["--kind", "barista", "--metadata", str(channels), "--out", str(out)]
    with pytest.raises(SystemExit, match="0"):
        main(["import", str(checkpoint), *options])
    assert "left out: mask, predictor.0.weight" in capsys.readouterr().err
    segments = [lfp_segment(seed=seed) for seed in (1, 2)]
    logits = load_model(out).logits(tokens_of(*segments)).detach().numpy()
    expected = np.stack([published_logits(weights, segment.lfp, space) for segment in segments])
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(logits, expected, atol=2e-4, rtol=2e-4)


def test_checkpoint_without_a_table_of_channels_lends_its_names_to_other_sessions(tmp_path):
    checkpoint, _, weights = write(tmp_path)
    model = import_barista(checkpoint, None).model
    assert model.spec.sessions == {} and model.spec.place_names == ("1", "2", "3", "4")
    table = dataclasses.replace(import_barista(*write(tmp_path)[:2]).model.spec.channels["S"], region=("2",) * 4)
    spec = dataclasses.replace(model.spec, sessions={"T": 4}, channels={"T": table}, place_names=("2",))
    rows = model.transplanted(spec).tokenizer.space.tables["names"].weight
    np.testing.assert_array_equal(rows[1].detach().numpy(), weights["spatial.names.weight"][2])


def test_segment_of_another_length_has_no_logits(tmp_path):
    model = import_barista(*write(tmp_path)[:2]).model
    with pytest.raises(DataError, match="has 8 tokens, but the head for classes reads 12"):
        model.logits(tokens_of(lfp_segment(2 * BINS)))


def without(name):
    return lambda weights: {n: x for n, x in weights.items() if n != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("tokenizer.linear.weight"), "has no tokenizer.linear.weight"),
        (without("backbone.norm.weight"), "has no backbone.norm.weight"),
        (lambda w: w | {"other.weight": np.zeros(1)}, "has other.weight, which the stated layout does not have"),
        (lambda w: w | {"spatial.names.weight": np.ones((5, WIDTH))}, "whose first row, that of unknown regions"),
        (lambda w: w | {"backbone.norm.weight": np.full(WIDTH, np.nan)}, "values that are not finite"),
        (lambda w: w | {"backbone.layers.0.attention.rotary_emb.inv_freq": np.ones(4)}, "another rotary base"),
    ],
)
def test_checkpoint_of_another_layout_is_refused(tmp_path, change, message):
    checkpoint, channels, _ = write(tmp_path, weights=change(make_weights("region")))
    with pytest.raises(CheckpointError, match=message):
        import_barista(checkpoint, channels)


def test_blocks_without_known_dilations_are_refused_and_read_with_them(tmp_path):
    weights = {n: x for n, x in make_weights("region").items() if not n.startswith("tokenizer.blocks.3")}
    renamed = {n.replace("blocks.4", "blocks.3"): x for n, x in weights.items()}
    checkpoint, channels, _ = write(tmp_path, weights=renamed)
    with pytest.raises(CheckpointError, match=r"has 4 blocks of convolutions and no setting tokenizer\.dilations"):
        import_barista(checkpoint, channels)
    checkpoint, channels, _ = write(tmp_path, weights=renamed, tokenizer={"dilations": [1, 2, 4, 8]})
    assert import_barista(checkpoint, channels).model.config.embedding.dilations == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("session,region,row\nS,a,5\n", "`row` must be the row of each channel .* from 0 to 4, but got '5'"),
        ("session,region,row\nS,a,1\nS,b,1\n", "row 1 is named a and b"),
        ("session,region,row\nS,a,1\nS,a,2\n", "a region has two rows"),
        ("name,row\nS,1\n", "the column `session` is needed"),
        ("session,region,row\n", "this one has none"),
    ],
)
def test_table_of_channels_that_does_not_fit_is_refused(tmp_path, table, message):
    checkpoint, channels, _ = write(tmp_path)
    channels.write_text(table)
    with pytest.raises(DataError, match=message):
        import_barista(checkpoint, channels)


def test_checkpoint_of_the_paper_without_its_table_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["import", str(write(tmp_path)[0]), "--out", str(tmp_path / "model")])
    assert "--kind crossmodal also needs --metadata FILE" in capsys.readouterr().err


def test_settings_that_determine_nothing_are_named(tmp_path):
    path, table, _ = write(tmp_path, backbone={"heads": HEADS, "alibi": True}, spatial={"scale": "lobe"}, seed=1)
    (note,) = (note for note in import_barista(path, table).notes if "were not read" in note)
    assert note.endswith(": backbone.alibi, spatial.scale, seed")

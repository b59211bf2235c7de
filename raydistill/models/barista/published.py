"""Import of checkpoints of BaRISTA: a file of torch.save in the layout of docs/methods.md (BaRISTA, Checkpoints).

Sizes are read from the shapes of the weights. What no shape determines (dilations, heads, dropout) is read from the
settings of the file, or set to the published values, with a note. No code of a file is run.

Axes: D width, F channels of a convolution, L tokens of a segment, P channels of a session.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from raydistill import __version__
from raydistill.config.names import check_name
from raydistill.errors import CheckpointError, DataError
from raydistill.files import sha256_of
from raydistill.models.barista.config import BaristaConfig, ClassesHead, DilatedEmbedding, PositionGrid
from raydistill.models.barista.model import BaristaModel
from raydistill.models.layers.transformer import ROTARY_BASE
from raydistill.models.released.checkpoint_parts import ABSENT, Settings, Weights
from raydistill.models.released.released import MAX_LAYERS, Imported
from raydistill.models.released.torch_file import read_torch_file
from raydistill.models.spec import ModelSpec
from raydistill.store.channels import ChannelTable, channel_table

DILATIONS, HEADS, DROPOUT = (1, 2, 4, 8, 16), 4, 0.1
"""The published values."""
STEP_UM = 1000.0
"""Micrometres from one row of a table of positions to the next: published coordinates are whole millimetres."""
MAX_DILATION = 65536
# Parts of our names of weights -> parts of the names in a file.
_NAMES = {
    "tokenizer.value.": "tokenizer.",
    "tokenizer.space.tables.": "spatial.",
    "encoder.blocks.": "backbone.layers.",
    "encoder.norm.": "backbone.norm.",
    ".first.": ".conv1.",
    ".second.": ".conv2.",
    ".qkv.": ".qkv_proj.",
    ".out.": ".o_proj.",
    ".gate.": ".gate_proj.",
    ".up.": ".up_proj.",
    ".down.": ".down_proj.",
    "head.tokens.": "head.pool.",
}
_ONLY_OF_TRAINING = ("mask", "predictor.", "average.")
"""Beginnings of the names of weights that only pretraining uses."""


def import_barista(checkpoint: Path, metadata: Path | None) -> Imported:
    """The model in a checkpoint.

    Args:
        checkpoint: a file of torch.save, read without running anything in it.
        metadata: CSV with one row per channel: `session`, and the row of the channel in the tables of the file: x, y
            and z, or `row` and the name of the region, `region`. None: the model knows no session.

    Raises:
        CheckpointError: the checkpoint is damaged, contains more than data, or is of another model.
        DataError: the table cannot be read, or does not fit the checkpoint.
    """
    content = read_torch_file(checkpoint)
    try:
        model, notes = _convert(content, read_channels(metadata) if metadata else {}, metadata)
    except CheckpointError as err:
        raise CheckpointError(f"{checkpoint}: {err}") from None
    spec = model.spec
    table = {"metadata": {"file": metadata.name, "sha256": sha256_of(metadata)}} if metadata else {}
    spec.provenance.update(
        checkpoint={"file": checkpoint.name, "sha256": sha256_of(checkpoint)},
        columns={session: count * spec.bands for session, count in spec.sessions.items()},
        notes=notes,
        raydistill=__version__,
        **table,
    )
    return Imported(model=model.eval(), notes=tuple(notes))


def read_channels(path: Path) -> dict[str, list[dict[str, str]]]:
    """Session -> the rows of its channels, from a CSV with the column session. Raises DataError if it is none."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"{path}: not a CSV file ({err})") from None
    sessions: dict[str, list[dict[str, str]]] = {}
    for line, row in enumerate(rows, start=2):
        session = row.get("session")
        if session is None or None in row or None in row.values():
            raise DataError(f"{path}, line {line}: the column `session` is needed, and a value in each column")
        check_name(session, f"{path}, line {line}: session")
        sessions.setdefault(session, []).append(row)
    if not sessions:
        raise DataError(f"{path}: a table of channels has one row per channel, but this one has none")
    return sessions


def _convert(
    content: Any, sessions: dict[str, list[dict[str, str]]], metadata: Path | None
) -> tuple[BaristaModel, list[str]]:
    """The model and the notes."""
    if not isinstance(content, dict):
        raise CheckpointError("has no named tensors")
    published, settings = Weights(content.get("state_dict", content)), Settings(content.get("config", {}))
    config, bands, names = _config(published, settings)
    channels, place_names = _channels(config, names, sessions, metadata)
    model = BaristaModel(
        ModelSpec(
            family="barista",
            config=config,
            sessions={session: len(rows) for session, rows in sorted(sessions.items())},
            bands=bands,
            channels=channels,
            place_names=place_names,
        )
    )
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    weights = {name: published.take(_published(name), shape).float() for name, shape in shapes.items()}
    if names and weights["tokenizer.space.tables.names.weight"][0].any():
        raise CheckpointError("has spatial.names.weight whose first row, that of unknown regions, is not zero")
    model.load_state_dict(weights)
    _check_rotation(published, config)
    return model, [*_left_out(published), *_assumed(settings), *settings.unread_in_words()]


def _config(published: Weights, settings: Settings) -> tuple[BaristaConfig, int, int]:
    """The configuration, the bands of an electrode, and the rows of the table of regions (0: there is none)."""
    width, token_bins = published.shape("tokenizer.linear.weight", 2)
    filters, bands, _ = published.shape("tokenizer.blocks.0.conv1.weight", 3)
    hidden, _ = published.shape("backbone.layers.0.mlp.gate_proj.weight", 2)
    blocks, layers = (published.numbered(prefix) for prefix in ("tokenizer.blocks.", "backbone.layers."))
    heads = settings.number("backbone", "heads", HEADS, 1, 65536)
    if layers > MAX_LAYERS or hidden % width or width % (2 * heads) or token_bins < 2:
        raise CheckpointError(
            f"has {layers} layers of {width=} with {hidden} hidden units and {heads} heads over {token_bins} bins, but "
            f"at most {MAX_LAYERS} layers are allowed, hidden units must be a multiple of the width, and the width of "
            "twice the heads"
        )
    names, grid = 0, None
    if "spatial.x.weight" in published.tensors:
        grid = PositionGrid(rows=published.shape("spatial.x.weight", 2)[0], step_um=STEP_UM, start_um=0.0)
    elif "spatial.names.weight" in published.tensors:
        names, _ = published.shape("spatial.names.weight", 2)
    head = None
    if "head.pool.weight" in published.tensors:
        tokens, classes = published.shape("head.pool.weight", 2)[1], published.shape("head.classes.weight", 2)[0]
        head = ClassesHead(tokens=tokens, classes=classes)
    config = BaristaConfig(
        embedding=DilatedEmbedding(dilations=_dilations(settings, blocks), filters=filters if blocks > 1 else 1),
        width=width,
        layers=layers,
        heads=heads,
        mlp_ratio=hidden // width,
        dropout=settings.number("backbone", "dropout", DROPOUT, 0, 1 - 1e-6),
        token_bins=token_bins,
        space="position" if grid else "region" if names else "none",
        grid=grid,
        head=head,
    )
    return config, bands, names


def _dilations(settings: Settings, blocks: int) -> tuple[int, ...]:
    """The dilation of each block: that of the file, or, if there are as many, the published ones."""
    value = settings.find("tokenizer", "dilations")
    if value is ABSENT:
        if blocks != len(DILATIONS):
            raise CheckpointError(
                f"has {blocks} blocks of convolutions and no setting tokenizer.dilations; the published model has "
                f"{len(DILATIONS)}, so that it is not known which dilations these have"
            )
        settings.assumed["tokenizer.dilations"] = list(DILATIONS)
        return DILATIONS
    allowed = isinstance(value, list) and all(type(n) is int and 0 < n <= MAX_DILATION for n in value)
    if not allowed or len(value) != blocks:
        raise CheckpointError(f"has {blocks} blocks, so tokenizer.dilations must be {blocks} numbers from 1")
    return tuple(value)


def _channels(
    config: BaristaConfig, names: int, sessions: dict[str, list[dict[str, str]]], metadata: Path | None
) -> tuple[dict[str, ChannelTable], tuple[str, ...]]:
    """The channel tables, and the name of each row of the table of regions but the first.

    Raises:
        DataError: a row has no number within the tables of the checkpoint, or two regions have one row.
    """
    if config.space == "none":
        return {}, ()
    columns = ("x", "y", "z") if config.grid else ("row",)
    size = config.grid.rows if config.grid else names
    numbers = {
        session: [tuple(_number(row, column, size, metadata) for column in columns) for row in rows]
        for session, rows in sessions.items()
    }
    if config.grid:
        # In the middle of a row, so that rounding does not matter.
        um = {s: [[(n + 0.5) * STEP_UM for n in row] for row in rows] for s, rows in numbers.items()}
        tables = {
            s: channel_table(len(rows), x_um=[r[0] for r in rows], y_um=[r[1] for r in rows], z_um=[r[2] for r in rows])
            for s, rows in um.items()
        }
        return tables, ()
    named = {number: str(number) for number in range(1, names)}
    for session, rows in sessions.items():
        for row, (number,) in zip(rows, numbers[session], strict=True):
            name = row.get("region", "").strip() or str(number)
            if number and named.get(number) not in (str(number), name):
                raise DataError(f"{metadata}: row {number} is named {named[number]} and {name}; give it one name")
            named |= {number: name} if number else {}
    if len(set(named.values())) < len(named):
        raise DataError(f"{metadata}: a region has two rows; give each region one")
    regions = {s: [named.get(number, "") for (number,) in rows] for s, rows in numbers.items()}
    return {s: channel_table(len(names_), region=names_) for s, names_ in regions.items()}, tuple(named.values())


def _number(row: Mapping[str, str], column: str, size: int, metadata: Path | None) -> int:
    text = row.get(column, "").strip().removesuffix(".0")
    if not text.isdecimal() or int(text) >= size:
        raise DataError(
            f"{metadata}: `{column}` must be the row of each channel in the tables of the checkpoint, from 0 to "
            f"{size - 1}, but got {row.get(column)!r} for session {row['session']}"
        )
    return int(text)


def _published(name: str) -> str:
    """The name in a file of one of our weights."""
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _check_rotation(published: Weights, config: BaristaConfig) -> None:
    """Check the frequencies of the layers that store them, because here they are computed."""
    head = config.width // config.heads
    expected = ROTARY_BASE ** (-torch.arange(0, head, 2) / head)
    for name in sorted(name for name in published.left if name.endswith(".rotary_emb.inv_freq")):
        if not torch.allclose(published.take(name, (head // 2,)).float(), expected, rtol=1e-3):
            raise CheckpointError(
                f"has {name} with another rotary base than {ROTARY_BASE:g} for {config.heads} heads, which is the only "
                "one supported"
            )


def _left_out(published: Weights) -> list[str]:
    """A note with the weights that only pretraining uses. Any other that the model does not have is an error."""
    unknown = [name for name in sorted(published.left) if not name.startswith(_ONLY_OF_TRAINING)]
    if unknown:
        raise CheckpointError(
            f"has {unknown[0]}, which the stated layout does not have (docs/methods.md, BaRISTA); rename the weights "
            "of the file to those of the layout"
        )
    return [f"left out: {', '.join(sorted(published.left))}"] if published.left else []


def _assumed(settings: Settings) -> list[str]:
    values = settings.assumed_in_words()
    return [f"not in the file, so set to the published values: {values}"] if values else []

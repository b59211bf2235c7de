"""Import of the checkpoints that the authors of the cross-modal distillation paper released.

Sizes are read from the shapes of the weights. What no shape determines (dilation, dropout) is read from the file's
settings, or, if they do not contain it, set to the default of the released code, with a note. Settings that require
other equations than ours are an error. The encoder's output tokens equal those of the released code except for three
deliberate differences (docs/methods.md, Slips of the released code): the convolution along the row of tokens does not
reach from one segment into the next, dropout in the two-layer value embedding is off in evaluation, and latents are the
true mean over the patches of a bin, where the released code divides by one too many.

Axes: D width, S slots of a patch, P patches of a session, e numbers that a count is embedded in (S * e = D).
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raydistill import __version__
from raydistill.config.names import check_name
from raydistill.errors import CheckpointError, DataError, suggest
from raydistill.files import sha256_of
from raydistill.models.crossmodal.config import CrossModalConfig, CrossModalSettings, TransformerBackbone, configure
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.layers.transformer import NORM_EPS, ROTARY_BASE
from raydistill.models.model import Model
from raydistill.models.released.checkpoint_parts import Settings, Weights
from raydistill.models.released.perceptron import read_perceptron
from raydistill.models.released.torch_file import read_torch_file
from raydistill.models.spec import ModelSpec

MAX_LAYERS = 256

# Value embedding -> the weight that identifies it in a checkpoint; the first that is present decides.
_EMBEDDERS = {
    "count": "tokenizer.embedder.weight",
    "conv": "tokenizer.embedder.conv.weight",
    "mlp": "tokenizer.embedder.final_layer.weight",
}
# Parts of our names of weights -> parts of the published names.
_NAMES = {
    "encoder.blocks.": "backbone.layers.",
    "encoder.norm.": "backbone.norm.",
    ".qkv.": ".qkv_proj.",
    ".out.": ".o_proj.",
    ".gate.": ".gate_proj.",
    ".up.": ".up_proj.",
    ".down.": ".down_proj.",
    "tokenizer.value.conv.": "tokenizer.embedder.conv.",
    "tokenizer.value.hidden.": "tokenizer.embedder.layers.",
    "tokenizer.value.linear.": "tokenizer.embedder.final_layer.",
    "tokenizer.value.table.": "tokenizer.embedder.",
}
# Settings of the published encoder of which raydistill supports only one value, which is also the default there.
_FIXED = {
    "activation": "gelu",
    "norm": "rmsnorm",
    "norm_eps": NORM_EPS,
    "norm_first": True,
    "use_final_norm": True,
    "attention_module_name": "RotarySelfAttention",
}
_SPACE, _COUNTS = "tokenizer.space.table.weight", "tokenizer.value.table.weight"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A converted checkpoint."""

    model: Model
    """In evaluation mode, on the CPU; that of a cross-modal model is without output heads."""
    notes: tuple[str, ...]
    """One line for everything that was assumed, changed or left out."""


def import_checkpoint(checkpoint: Path, metadata: Path) -> Imported:
    """The model in a released checkpoint, for the sessions of its table.

    Args:
        checkpoint: a file of torch.save, read without running anything in it (torch_file.py).
        metadata: CSV with the columns subject_session and d_input (LFP channels or units of the session).

    Raises:
        CheckpointError: the checkpoint is damaged, contains more than data, or is of another model.
        DataError: the table cannot be read.
    """
    columns, content = read_columns(metadata), read_torch_file(checkpoint)
    try:
        model, notes = _convert(content, columns, checkpoint.stat().st_size)
    except CheckpointError as err:
        raise CheckpointError(f"{checkpoint}: {err}") from None
    model.spec.provenance.update(
        protocol="released",
        checkpoint={"file": checkpoint.name, "sha256": sha256_of(checkpoint)},
        metadata={"file": metadata.name, "sha256": sha256_of(metadata)},
        columns=columns,
        notes=notes,
        raydistill=__version__,
    )
    return Imported(model=model.eval(), notes=tuple(notes))


def read_columns(path: Path) -> dict[str, int]:
    """Session -> number of input columns, from a CSV with the columns subject_session and d_input."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"{path}: not a CSV file ({err})") from None
    columns: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        session, n = row.get("subject_session"), row.get("d_input")
        if session is None or n is None:
            raise DataError(f"{path}, line {line}: `subject_session,d_input` is expected, but got {list(row.values())}")
        check_name(session, f"{path}, line {line}: session")
        number = n.strip().removesuffix(".0")  # pandas writes 96.0 where another row of the column was empty
        if not number.isdecimal() or not 0 < int(number) < 2**20:
            raise DataError(f"{path}, line {line}: session {session} has d_input {n!r}, but it must be a number from 1")
        if columns.setdefault(session, int(number)) != int(number):
            raise DataError(
                f"{path}, line {line}: session {session} is listed twice, with {columns[session]} and {number} columns"
            )
    if not columns:
        raise DataError(
            f"{path}: lists no session; it must have the columns `subject_session,d_input` and one line per session"
        )
    return columns


def _convert(content: Any, columns: dict[str, int], size: int) -> tuple[CrossModalModel, list[str]]:
    """The model with its weights, and notes; `size` is that of the file in bytes."""
    if not isinstance(content, dict):
        raise CheckpointError(
            f"contains a {type(content).__name__}; a released checkpoint contains a config and a state_dict"
        )
    published, settings = Weights(content.get("state_dict")), Settings(content.get("config"))
    spec, notes = _spec(published, settings, columns)
    # On the meta device a model takes no memory, whatever sizes the file contains.
    with torch.device("meta"):
        model = CrossModalModel(spec)
    shapes = {name: tuple(w.shape) for name, w in model.state_dict().items()}
    tables = [f"tokenizer.patch_embeddings.{session}.weight" for session in spec.sessions]
    taken = {name: published.take(_published(name), shape) for name, shape in shapes.items() if name != _SPACE}
    spaces = [published.take(t, (p, spec.config.width)) for t, p in zip(tables, spec.sessions.values(), strict=True)]
    if sum(w.nbytes for w in (*taken.values(), *spaces)) > size:
        raise CheckpointError("describes more weights than the file can contain; several share one storage")
    weights = {n: w.to(torch.float32, copy=True, memory_format=torch.contiguous_format) for n, w in taken.items()}
    weights[_SPACE] = torch.cat(spaces).float()
    _check_rotation(published, spec.config)
    notes += (
        _move_padding(weights, spec, columns)
        + _left_out(published)
        + _assumed(settings)
        + settings.unread_in_words("tokenizer", "backbone")
    )
    model.load_state_dict(weights, assign=True)
    return model, notes


def _spec(published: Weights, settings: Settings, columns: dict[str, int]) -> tuple[ModelSpec, list[str]]:
    """The specification of the model, and notes."""
    value = next((v for v, name in _EMBEDDERS.items() if name in published.tensors), None)
    if value is None:
        raise CheckpointError(f"has no known value embedding ({', '.join(_EMBEDDERS.values())})")
    encoder = _encoder_sizes(published, settings)
    notes: list[str] = []
    if value == "mlp":
        value, tokenizer, notes = read_perceptron(published, settings)
    else:
        tokenizer = _tokenizer_sizes(published, settings, value, encoder["width"])
    patch = tokenizer["spikes_patch" if value == "count" else "lfp_patch"]
    sizes = CrossModalSettings(**encoder, **tokenizer)
    spec = ModelSpec(
        family="crossmodal",
        config=configure(sizes, "spikes" if value == "count" else "lfp", value),
        sessions=_patches(published, columns, patch),
    )
    return spec, notes


def _encoder_sizes(published: Weights, settings: Settings) -> dict[str, Any]:
    (width,) = published.shape("backbone.norm.weight", 1)
    (half_head,) = published.shape("backbone.layers.0.attention.rotary_emb.inv_freq", 1)
    hidden, _ = published.shape("backbone.layers.0.mlp.gate_proj.weight", 2)
    layers = published.numbered("backbone.layers.")
    if width % (2 * half_head) or hidden % width:
        raise CheckpointError(
            f"has heads of width {2 * half_head} and {hidden} hidden units, which do not fit {width=}"
        )
    if layers > MAX_LAYERS:
        raise CheckpointError(f"has {layers} layers, but at most {MAX_LAYERS} are allowed")
    for name, supported in _FIXED.items():
        settings.expect("backbone", name, supported, default=supported)
    dropout = settings.number("backbone", "dropout", 0.1, 0, 1)
    heads = width // (2 * half_head)
    return {"width": width, "layers": layers, "heads": heads, "mlp_ratio": hidden // width, "dropout": dropout}


def _tokenizer_sizes(published: Weights, settings: Settings, value: str, width: int) -> dict[str, Any]:
    """The settings that a table of counts or a convolution determines."""
    shape = published.shape(_EMBEDDERS[value], 3 if value == "conv" else 2)
    if value == "count":
        rows, numbers = shape
        if width % numbers or rows < 3:
            raise CheckpointError(f"has a count table of shape {shape}, which does not fit {width=}")
        return {"spikes_patch": width // numbers, "max_count": rows - 2}
    dilation = settings.number("tokenizer", "dilation", 1, 1, 2**20)
    return {"lfp_patch": shape[1], "conv_kernel": shape[2], "conv_dilation": dilation, "conv_axis": "tokens"}


def _patches(published: Weights, columns: dict[str, int], patch: int) -> dict[str, int]:
    """Session -> P. Raises CheckpointError if checkpoint and table of sessions differ."""
    # In the order of model.json.
    patches = {session: -(-columns[session] // patch) for session in sorted(columns)}
    names = [name.split(".")[2] for name in published.tensors if name.startswith("tokenizer.patch_embeddings.")]
    for session, count in patches.items():
        if session not in names:
            raise CheckpointError(
                f"has no session {session}, but its table of sessions lists it{suggest(session, names)}"
            )
        rows, _ = published.shape(f"tokenizer.patch_embeddings.{session}.weight", 2)
        if rows != count:
            raise CheckpointError(
                f"has {rows} patches of session {session}, but its table of sessions lists {columns[session]} "
                f"columns, which are {count} patches of {patch}; does the table belong to another checkpoint?"
            )
    return patches


def _published(name: str) -> str:
    """The published name of one of our weights."""
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _check_rotation(published: Weights, config: CrossModalConfig) -> None:
    """Check the stored frequencies of each layer, because here they are computed."""
    assert isinstance(config.backbone, TransformerBackbone), "released checkpoints have no other backbone"
    head = config.width // config.backbone.heads
    expected = ROTARY_BASE ** (-torch.arange(0, head, 2) / head)
    for layer in range(config.backbone.layers):
        name = f"backbone.layers.{layer}.attention.rotary_emb.inv_freq"
        frequencies = published.take(name, (head // 2,))
        rounding = max(1e-3, torch.finfo(frequencies.dtype).eps)  # bfloat16 has three digits
        if not torch.allclose(frequencies.float(), expected, rtol=rounding):
            raise CheckpointError(
                f"has {name} with another rotary base than {ROTARY_BASE:g}, which is the only one supported"
            )


def _move_padding(weights: dict[str, Tensor], spec: ModelSpec, columns: dict[str, int]) -> list[str]:
    """Set the count table's row of padded slots to zero without changing any token; a note if the row was not zero.

    The published row is neither zero nor trained (docs/methods.md, Slips of the released code). It adds the same vector
    to each token of a patch with padded slots, just as a space embedding does.
    """
    if spec.config.embedding.name != "count" or not weights[_COUNTS][-1].any():
        return []
    padding, space = weights[_COUNTS][-1].clone(), weights[_SPACE]
    weights[_COUNTS][-1] = 0
    last = -1
    for session, count in spec.sessions.items():
        last += count  # row of the session's last patch, which has the padded slots
        padded = count * spec.patch - columns[session]
        space[last, space.shape[1] - padded * len(padding) :] += padding.repeat(padded)
    return [
        "the count table's row of padded slots was moved into the space embeddings, which leaves all tokens unchanged"
    ]


def _left_out(published: Weights) -> list[str]:
    """A note with the weights that the model does not have: output heads. Any other is an error."""
    for name in sorted(published.left):
        if name.startswith(("tokenizer.", "backbone.")):
            raise CheckpointError(f"has {name}, which belongs neither to the model nor to a session of the table")
    return [f"left out: {', '.join(sorted(published.left))}"] if published.left else []


def _assumed(settings: Settings) -> list[str]:
    values = settings.assumed_in_words()
    return [f"not in the file, so set to the defaults of the released code: {values}"] if values else []

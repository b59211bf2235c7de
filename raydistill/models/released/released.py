"""The checkpoints that the paper's authors released, as models of ours (spec B7).

Sizes come from the shapes of the weights; what no shape tells (dilation, dropout) comes from the file's settings,
and where those are silent from the published code's defaults, which a note then says. Settings that ask for other
equations than ours are an error. The tokens that leave the encoder are the published ones, with three differences
that are meant: the convolution along the row of tokens begins anew with every segment (spec A6, 8), no dropout stays
on in the two-layer value embedding (A6, 4), and latents are the true mean over the patches of a bin, where the
published code divides by one too many (A6, 9).

Axes: D width, S slots of a patch, P patches of a session, e numbers that a count is embedded in (S * e = D).
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from raydistill import __version__
from raydistill.config.names import check_name
from raydistill.errors import CheckpointError, DataError, suggest
from raydistill.models.crossmodal.config import CrossModalConfig, CrossModalSettings, configure
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.layers.transformer import NORM_EPS, ROTARY_BASE
from raydistill.models.released.checkpoint_parts import Settings, Weights
from raydistill.models.released.torch_file import read_torch_file
from raydistill.models.spec import ModelSpec

MAX_LAYERS = 256

# Value embedding -> the weight by which a checkpoint that has it is known; the first that is there counts.
_EMBEDDERS = {
    "count": "tokenizer.embedder.weight",
    "conv": "tokenizer.embedder.conv.weight",
    "mlp": "tokenizer.embedder.layers.0.weight",
    "linear": "tokenizer.embedder.final_layer.weight",
}
# Parts of our names -> parts of theirs.
_NAMES = {
    "encoder.blocks.": "backbone.layers.",
    "encoder.norm.": "backbone.norm.",
    ".qkv.": ".qkv_proj.",
    ".out.": ".o_proj.",
    ".gate.": ".gate_proj.",
    ".up.": ".up_proj.",
    ".down.": ".down_proj.",
    "tokenizer.value.conv.": "tokenizer.embedder.conv.",
    "tokenizer.value.hidden.": "tokenizer.embedder.layers.0.",
    "tokenizer.value.linear.": "tokenizer.embedder.final_layer.",
    "tokenizer.value.table.": "tokenizer.embedder.",
}
# Choices of the published encoder that are fixed here, at what are its defaults too.
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
    model: CrossModalModel
    """In evaluation mode, on the CPU, without heads."""
    notes: tuple[str, ...]
    """What was assumed, changed or left out, a line each."""


def import_checkpoint(checkpoint: Path, metadata: Path) -> Imported:
    """The model in a released checkpoint, for the sessions of its table.

    Args:
        checkpoint: a file of torch.save, read without running anything of it (models/torch_file.py).
        metadata: CSV with the columns subject_session and d_input (LFP channels or units of the session).

    Raises:
        CheckpointError: the checkpoint is damaged, wants more than data, or is of another model.
        DataError: the table cannot be read.
    """
    columns, held = read_columns(metadata), read_torch_file(checkpoint)
    try:
        model, notes = _convert(held, columns, checkpoint.stat().st_size)
    except CheckpointError as err:
        raise CheckpointError(f"{checkpoint}: {err}") from None
    model.spec.provenance.update(
        protocol="released",
        checkpoint={"file": checkpoint.name, "sha256": _sha256(checkpoint)},
        metadata={"file": metadata.name, "sha256": _sha256(metadata)},
        columns=columns,
        notes=notes,
        raydistill=__version__,
    )
    return Imported(model=model.eval(), notes=tuple(notes))


def read_columns(path: Path) -> dict[str, int]:
    """Session -> input columns, from a CSV of `subject_session,d_input`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as err:
        raise DataError(f"{path}: not a CSV file ({err})") from None
    columns = {}
    for line, row in enumerate(rows, start=2):
        session, n = row.get("subject_session"), row.get("d_input")
        if session is None or n is None:
            raise DataError(f"{path}, line {line}: `subject_session,d_input` is expected, got {list(row.values())}")
        if check_name(session, f"{path}, line {line}: session") in columns:
            raise DataError(f"{path}, line {line}: session {session} is listed twice")
        if not n.strip().isdecimal() or not 0 < int(n) < 2**20:
            raise DataError(f"{path}, line {line}: session {session} has d_input {n!r}; 1 or more columns are expected")
        columns[session] = int(n)
    if not columns:
        raise DataError(f"{path}: lists no session; `subject_session,d_input` and a line a session are expected")
    return columns


def _convert(held, columns: dict[str, int], size: int) -> tuple[CrossModalModel, list[str]]:
    """The model, its weights filled in, and notes; `size` is that of the file in bytes."""
    if not isinstance(held, dict):
        raise CheckpointError(f"holds a {type(held).__name__}; a released checkpoint holds a config and a state_dict")
    published, settings = Weights(held.get("state_dict")), Settings(held.get("config"))
    spec = _spec(published, settings, columns)
    # On the meta device sizes cost nothing, whatever the file says they are.
    with torch.device("meta"):
        model = CrossModalModel(spec)
    wanted = {name: tuple(w.shape) for name, w in model.state_dict().items()}
    tables = [f"tokenizer.patch_embeddings.{session}.weight" for session in spec.sessions]
    taken = {name: published.take(_published(name), shape) for name, shape in wanted.items() if name != _SPACE}
    spaces = [published.take(t, (p, spec.config.width)) for t, p in zip(tables, spec.sessions.values(), strict=True)]
    if sum(w.nbytes for w in (*taken.values(), *spaces)) > size:
        raise CheckpointError("describes more weights than it has room for; several share one storage")
    weights = {n: w.to(torch.float32, copy=True, memory_format=torch.contiguous_format) for n, w in taken.items()}
    weights[_SPACE] = torch.cat(spaces).float()
    _check_rotation(published, spec.config)
    notes = _move_padding(weights, spec, columns) + _left_out(published) + _assumed(settings)
    model.load_state_dict(weights, assign=True)
    return model, notes


def _spec(published: Weights, settings: Settings, columns: dict[str, int]) -> ModelSpec:
    value = next((v for v, name in _EMBEDDERS.items() if name in published.tensors), None)
    if value is None:
        raise CheckpointError(f"has no value embedding that is known here ({', '.join(_EMBEDDERS.values())})")
    encoder = _encoder_sizes(published, settings)
    patch, tokenizer = _tokenizer_sizes(published, settings, value, encoder["width"])
    settings_of_ours = CrossModalSettings(**encoder, **tokenizer)
    return ModelSpec(
        family="crossmodal",
        config=configure(settings_of_ours, "spikes" if value == "count" else "lfp", value),
        sessions=_patches(published, columns, patch),
    )


def _encoder_sizes(published: Weights, settings: Settings) -> dict:
    (width,) = published.shape("backbone.norm.weight", 1)
    (half_head,) = published.shape("backbone.layers.0.attention.rotary_emb.inv_freq", 1)
    hidden, _ = published.shape("backbone.layers.0.mlp.gate_proj.weight", 2)
    layers = len({name.split(".")[2] for name in published.tensors if name.startswith("backbone.layers.")})
    if width % (2 * half_head) or hidden % width:
        raise CheckpointError(f"has heads of {2 * half_head} and {hidden} hidden numbers, which do not suit {width=}")
    if layers > MAX_LAYERS:
        raise CheckpointError(f"has {layers} layers, and {MAX_LAYERS} are allowed")
    for name, ours in _FIXED.items():
        settings.expect("backbone", name, ours, default=ours)
    dropout = settings.number("backbone", "dropout", 0.1, 0, 1)
    heads = width // (2 * half_head)
    return {"width": width, "layers": layers, "heads": heads, "mlp_ratio": hidden // width, "dropout": dropout}


def _tokenizer_sizes(published: Weights, settings: Settings, value: str, width: int) -> tuple[int, dict]:
    """S, and what else of the settings the value embedding settles."""
    shape = published.shape(_EMBEDDERS[value], 3 if value == "conv" else 2)
    if value == "count":
        rows, numbers = shape
        if width % numbers or rows < 3:
            raise CheckpointError(f"has a count table of shape {shape}, which does not suit {width=}")
        return width // numbers, {"spikes_patch": width // numbers, "max_count": rows - 2}
    patch, sizes = shape[1], {"lfp_patch": shape[1]}
    if value == "conv":
        dilation = settings.number("tokenizer", "dilation", 1, 1, 2**20)
        sizes |= {"conv_kernel": shape[2], "conv_dilation": dilation, "conv_axis": "tokens"}
    elif value == "mlp":
        settings.expect("tokenizer", "activation", "tanh", default="tanh")
    elif settings.get("tokenizer", "layer_list", [512]) != []:  # without layers, their activation stays
        settings.expect("tokenizer", "activation", "linear", default="tanh")
    return patch, sizes


def _patches(published: Weights, columns: dict[str, int], patch: int) -> dict[str, int]:
    """Session -> P, where checkpoint and table of sessions agree on it."""
    # In the order in which model.json will list them.
    patches = {session: -(-columns[session] // patch) for session in sorted(columns)}
    known = [name.split(".")[2] for name in published.tensors if name.startswith("tokenizer.patch_embeddings.")]
    for session, count in patches.items():
        if session not in known:
            raise CheckpointError(
                f"has no session {session}, which its table of sessions lists{suggest(session, known)}"
            )
        rows, _ = published.shape(f"tokenizer.patch_embeddings.{session}.weight", 2)
        if rows != count:
            raise CheckpointError(
                f"has {rows} patches of session {session}, but its table of sessions gives it {columns[session]} "
                f"columns, which are {count} patches of {patch}; is the table that of another checkpoint?"
            )
    return patches


def _published(name: str) -> str:
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _check_rotation(published: Weights, config: CrossModalConfig) -> None:
    """The frequencies are stored with every layer; here they are computed."""
    head = config.width // config.backbone.heads
    expected = ROTARY_BASE ** (-torch.arange(0, head, 2) / head)
    for layer in range(config.backbone.layers):
        name = f"backbone.layers.{layer}.attention.rotary_emb.inv_freq"
        if not torch.allclose(published.take(name, (head // 2,)).float(), expected, rtol=1e-3):
            raise CheckpointError(f"has {name} of another rotary base than {ROTARY_BASE:g}, the only one known")


def _move_padding(weights: dict[str, Tensor], spec: ModelSpec, columns: dict[str, int]) -> list[str]:
    """Zero the count table's row of padded slots and keep every token as it was; a note if there was such a row.

    The published row is neither zero nor trained (spec A6, 6). What it adds to the tokens of a patch with padded
    slots is always the same: just what a space embedding does.
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
        "the count table's row of padded slots was moved into the space embeddings: the same tokens, a row of zeros"
    ]


def _left_out(published: Weights) -> list[str]:
    """A note of the weights that no part of the model takes: heads. Any other would be missing from the result."""
    for name in sorted(published.left):
        if name.startswith(("tokenizer.", "backbone.")):
            raise CheckpointError(f"holds {name}, for which neither the model nor the table of sessions has a place")
    return [f"left out: {', '.join(sorted(published.left))}"] if published.left else []


def _assumed(settings: Settings) -> list[str]:
    values = ", ".join(f"{path} = {value}" for path, value in settings.assumed.items())
    return [f"not stated in the file, so taken as the published code has it: {values}"] if values else []


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

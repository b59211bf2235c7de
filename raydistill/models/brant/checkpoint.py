"""Import of weights of BRANT from two files of torch.save: the encoder over patches, and that over channels.

Names of weights are those of public copies of the model's code, which agree. Sizes are read from shapes; what no shape
tells is as published, with a note. What does not fit is refused by the name of the weight. This was tried on files that
were written for tests, and not on the published ones.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raydistill import __version__
from raydistill.errors import CheckpointError, ConfigError
from raydistill.files import sha256_of
from raydistill.models.brant.config import PRESETS, BrantConfig, BrantSettings, configure
from raydistill.models.brant.model import BrantModel
from raydistill.models.released.checkpoint_parts import Weights, first_of
from raydistill.models.released.released import MAX_LAYERS, Imported
from raydistill.models.released.torch_file import read_torch_file
from raydistill.models.spec import ModelSpec

PUBLISHED = PRESETS["paper"]
# Beginning of our names of weights -> that of the published names, in the file of each encoder.
_OVER_PATCHES = {
    "tokenizer.value.": "input_embedding.proj.0.",
    "tokenizer.band": "input_embedding.band_encoding",
    "tokenizer.position": "input_embedding.positional_encoding",
    "tokenizer.masked_values": "input_embedding.mask_encoding",
    "tokenizer.masked_powers": "input_embedding.power_mask_encoding",
    "over_patches.": "trans_enc.",
}
_OVER_CHANNELS = {"over_channels.": "trans_enc.", "reconstruction.": "proj_out.0."}
_MASKS = ("input_embedding.mask_encoding", "input_embedding.power_mask_encoding")


def import_brant(over_patches: Path, over_channels: Path) -> Imported:
    """The model in two files, which reads any session with bins of 4 ms (250 Hz).

    Args:
        over_patches: has the names input_embedding... and trans_enc....
        over_channels: has the names trans_enc... and proj_out....
    Raises:
        CheckpointError: a file is damaged, contains more than weights, or has weights that do not fit.
    """
    (patches, unread_patches), (channels, unread_channels) = _weights_in(over_patches), _weights_in(over_channels)
    with _named(over_patches):
        settings = _settings(patches)
    with _named(over_channels):
        config = _with_channel_layers(settings, channels)
    seconds = config.times * config.bin_width_ms / 1000  # longer segments are read in pieces
    spec = ModelSpec(family="brant", config=config, sessions={}, piece_s=seconds)
    with torch.device("meta"):  # takes no memory, whatever sizes the files contain
        model = BrantModel(spec)
    with _named(over_patches):
        taken = _taken(model, patches, _OVER_PATCHES)
    with _named(over_channels):
        taken |= _taken(model, channels, _OVER_CHANNELS)
        if sum(weight.nbytes for weight in taken.values()) > sum(
            p.stat().st_size for p in (over_patches, over_channels)
        ):
            raise CheckpointError("describes more weights than the file can contain; several share one storage")
    weights = {name: w.to(torch.float32, copy=True, memory_format=torch.contiguous_format) for name, w in taken.items()}
    model.load_state_dict(weights, assign=True)
    notes: tuple[str, ...] = (
        f"as published, because no weight tells it: bins of {config.bin_width_ms:g} ms, {config.heads} heads, dropout "
        f"{config.dropout:g}",
        "the names of weights were not compared with those of the published files",
    )
    if others := sorted({*unread_patches, *unread_channels}):
        notes += (f"parts of the files that were not read (sizes follow from the weights): {first_of(others)}",)
    model.spec.provenance.update(
        checkpoint={path.name: sha256_of(path) for path in (over_patches, over_channels)},
        notes=list(notes),
        raydistill=__version__,
    )
    return Imported(model=model.eval(), notes=notes)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Begin the message of an error in the block with the name of the file."""
    try:
        yield
    except (CheckpointError, ConfigError) as err:
        raise CheckpointError(f"{path}: {err}") from None


def _weights_in(path: Path) -> tuple[Weights, list[str]]:
    """The named weights in a file, or in its `state_dict`, without the prefix that distributed training adds; and the
    names of what else is in the file."""
    content: Any = read_torch_file(path)
    content = content if isinstance(content, dict) else {}
    others = [str(name) for name in content if name != "state_dict"] if "state_dict" in content else []
    content = content.get("state_dict", content)
    with _named(path):
        if (
            not isinstance(content, dict)
            or not content
            or not all(isinstance(weight, Tensor) for weight in content.values())
        ):
            raise CheckpointError("contains no named weights; the file of an encoder of BRANT contains nothing else")
        return Weights({str(name).removeprefix("module."): weight for name, weight in content.items()}), others


def _settings(weights: Weights) -> BrantSettings:
    """The sizes that the encoder over patches has; the others are the published ones."""
    width, patch_bins = weights.shape("input_embedding.proj.0.weight", 2)
    bands, _ = weights.shape("input_embedding.band_encoding", 2)
    patches, _ = weights.shape("input_embedding.positional_encoding", 2)
    hidden, _ = weights.shape("trans_enc.layers.0.linear1.weight", 2)
    if bands != len(PUBLISHED.bands_hz):
        raise CheckpointError(f"has {bands} bands, but BRANT has {len(PUBLISHED.bands_hz)}")
    masks = [weights.tensors[name] for name in _MASKS if name in weights.tensors]
    is_learned = any(mask.any() for mask in masks)
    if not is_learned:
        weights.left -= set(_MASKS)  # zeros are not kept
    sizes = {"width": width, "patch_bins": patch_bins, "patches": patches, "hidden": hidden}
    return BrantSettings(**sizes, layers=_layers(weights), masked_by="learned" if is_learned else "zeros")


def _with_channel_layers(settings: BrantSettings, weights: Weights) -> BrantConfig:
    settings = dataclasses.replace(settings, channel_layers=_layers(weights))
    return configure(settings, "lfp", "linear", predictor=True)


def _layers(weights: Weights) -> int:
    layers = weights.numbered("trans_enc.layers.")
    if not 0 < layers <= MAX_LAYERS:
        raise CheckpointError(f"has {layers} layers trans_enc.layers..., but must have 1 to {MAX_LAYERS}")
    return layers


def _taken(model: BrantModel, weights: Weights, names: dict[str, str]) -> dict[str, Tensor]:
    """Our name -> the weight in a file. Raises CheckpointError if one is missing, or one is left."""
    taken = {}
    for name, weight in model.state_dict().items():
        for ours, published in names.items():
            if name.startswith(ours):
                taken[name] = weights.take(name.replace(ours, published), tuple(weight.shape))
    if weights.left:
        raise CheckpointError(f"has {min(weights.left)}, which this encoder of BRANT does not have")
    return taken

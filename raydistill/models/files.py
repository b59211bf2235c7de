"""A model on disk: weights as safetensors, what it is built from as JSON; no pickle is written or read."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from raydistill.errors import CheckpointError
from raydistill.files import write_atomically, write_json
from raydistill.models.crossmodal.model import ModelSpec, NeuralModel

WEIGHTS, SPEC = "model.safetensors", "model.json"


def save_model(model: NeuralModel, folder: Path) -> None:
    """Write both files into `folder`, each whole or absent."""
    write_atomically(folder / WEIGHTS, save({n: w.detach().contiguous().cpu() for n, w in model.state_dict().items()}))
    write_json(folder / SPEC, model.spec.to_json())


def load_model(folder: Path) -> NeuralModel:
    """The model in `folder`, on the CPU, in evaluation mode. Raises CheckpointError where it is not whole."""
    path = folder / SPEC
    try:
        model = NeuralModel(ModelSpec.from_json(json.loads(path.read_text())))
        path = folder / WEIGHTS
        model.load_state_dict(load_file(path))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as err:
        cause = str(err).splitlines()[0]
        raise CheckpointError(
            f"{path} is missing or corrupt ({cause}); delete its folder and run its job again"
        ) from None
    return model.eval()

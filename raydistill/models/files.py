"""A model on disk: weights as safetensors, its specification as JSON; no pickle is written or read."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from raydistill.config.plain import from_plain, to_plain
from raydistill.errors import CheckpointError
from raydistill.files import write_atomically, write_json
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.spec import ModelSpec

WEIGHTS, SPEC = "model.safetensors", "model.json"


def save_model(model: CrossModalModel, folder: Path) -> None:
    """Write model.safetensors and model.json into `folder`; each file is complete or absent."""
    write_atomically(folder / WEIGHTS, save({n: w.detach().contiguous().cpu() for n, w in model.state_dict().items()}))
    write_json(folder / SPEC, spec_to_json(model.spec))


def load_model(folder: Path) -> CrossModalModel:
    """The model in `folder`, on the CPU, in evaluation mode. Raises CheckpointError if a file is missing or corrupt."""
    path = folder / SPEC
    try:
        model = build_model(spec_from_json(json.loads(path.read_text())))
        path = folder / WEIGHTS
        model.load_state_dict(load_file(path))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as err:
        cause = str(err).splitlines()[0]
        raise CheckpointError(
            f"{path} is missing or corrupt ({cause}); delete its folder and run its job again"
        ) from None
    return model.eval()


def spec_to_json(spec: ModelSpec) -> dict:
    """JSON data of a specification."""
    return vars(spec) | {"config": to_plain(spec.config), "behavior": list(spec.behavior)}


def spec_from_json(tree: dict) -> ModelSpec:
    """The specification from its JSON data."""
    config: Any = from_plain(FAMILIES[tree["family"]].config, tree["config"])
    return ModelSpec(**(tree | {"config": config, "behavior": tuple(tree["behavior"])}))

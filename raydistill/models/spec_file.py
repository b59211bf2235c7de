"""model.json: the specification of a model as JSON. This file imports no torch: planning reads imported models."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from raydistill.config.plain import from_plain, to_plain
from raydistill.errors import CheckpointError, one_line, suggest
from raydistill.models.families import FAMILIES
from raydistill.models.spec import LabelOutputs, ModelSpec

SPEC = "model.json"


def read_spec(folder: Path) -> ModelSpec:
    """The specification of the model in a folder. Raises CheckpointError if it is missing or damaged."""
    try:
        return spec_from_json(json.loads((folder / SPEC).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: there is no {SPEC} in this folder; give that of a training (RUNS/jobs/KEY) or of import"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as err:
        raise CheckpointError(f"{folder / SPEC} is damaged ({one_line(err)}); import the model again") from None


def spec_to_json(spec: ModelSpec) -> dict:
    """JSON data of a specification."""
    tree = vars(spec) | {"config": to_plain(spec.config), "behavior": list(spec.behavior)}
    label = tree.pop("label")
    return tree if label is None else tree | {"label": to_plain(label)}


def spec_from_json(tree: dict) -> ModelSpec:
    """The specification from its JSON data. Raises ValueError if a part of it is invalid."""
    if not isinstance(tree, dict):
        raise ValueError(f"a mapping is needed, got {type(tree).__name__}")
    fields = {f.name: f for f in dataclasses.fields(ModelSpec)}
    required = [name for name, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING]
    for name in required:
        if name not in tree:
            raise ValueError(f'the key "{name}" is missing; an earlier version may have written the file')
    for name in tree:
        if name not in fields:
            raise ValueError(f'unknown key "{name}"{suggest(name, fields)}')
    if tree["family"] not in FAMILIES:
        raise ValueError(f'there is no model family "{tree["family"]}"{suggest(str(tree["family"]), FAMILIES)}')
    if not isinstance(tree.get("behavior", []), list):
        raise ValueError(f"`behavior` must be a list, got {tree['behavior']!r}")
    config: Any = from_plain(FAMILIES[tree["family"]].config, tree["config"])
    label = from_plain(LabelOutputs | None, tree.get("label"))
    return ModelSpec(**(tree | {"config": config, "behavior": tuple(tree.get("behavior", [])), "label": label}))

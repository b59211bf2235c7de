"""model.json: the specification of a model as JSON. This file imports no torch: planning reads imported models."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from raydistill.config.plain import from_plain, to_plain
from raydistill.errors import CheckpointError, one_line, suggest
from raydistill.models.families import FAMILIES
from raydistill.models.spec import LabelOutputs, ModelSpec
from raydistill.store.channels import table_from_json, table_to_json

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
    channels = {session: table_to_json(table) for session, table in spec.channels.items()}
    lists = {"behavior": list(spec.behavior), "place_names": list(spec.place_names)}
    tree = vars(spec) | lists | {"config": to_plain(spec.config), "channels": channels}
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
    lists = {name: tree.get(name, []) for name in ("behavior", "place_names")}
    for name, value in lists.items():
        if not isinstance(value, list):
            raise ValueError(f"`{name}` must be a list, got {value!r}")
    config: Any = from_plain(FAMILIES[tree["family"]].config, tree["config"])
    tables = {session: table_from_json(table) for session, table in tree.get("channels", {}).items()}
    texts = {name: tuple(value) for name, value in lists.items()}
    label = from_plain(LabelOutputs | None, tree.get("label"))
    return ModelSpec(**(tree | texts | {"config": config, "channels": tables, "label": label}))

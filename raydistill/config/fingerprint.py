"""Identities: equal settings have the same 64 hex digits in every process and on every machine.

The key of a job depends on the content of its sessions, model, objective, optimiser, seed, the keys of the jobs it
starts from, and the format version. It never depends on paths, number of workers, device, log level or time. A value
that has more than one representation is refused, and not converted to a string.
"""

import dataclasses
import hashlib
import json
import math
from typing import Any

FORMAT_VERSION = 3
"""Incremented when the meaning of a job's specification or files changes; older folders are then ignored."""


def canonical(value: Any) -> Any:
    """JSON data of `value`. Raises TypeError for a type that has more than one JSON representation."""
    if value is None or isinstance(value, str | bool | int):  # first, because most values are
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError(f"mapping keys must be strings, got {sorted(map(repr, value))}")
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    if isinstance(value, frozenset):
        return sorted(canonical(v) for v in value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} is not finite and cannot be part of an identity")
        # 1.0 and 1 in a file are the same setting.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    raise TypeError(f"{type(value).__name__} cannot be part of an identity")


def fingerprint(value: Any) -> str:
    """sha256 of the canonical JSON of `value`."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

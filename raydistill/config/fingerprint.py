"""Identities: the same meaning gives the same 64 hex digits in every process, on every machine.

What enters the key of a job: the content of its sessions, model, objective, optimiser, seed, the keys of
the jobs it starts from, the format version. What never does: paths, worker count, device, log level,
time. A value that could be written in two ways is refused rather than turned into a string.
"""

import dataclasses
import hashlib
import json
import math

FORMAT_VERSION = 2
"""Raised when the meaning of a job's specification or files changes: old folders are then no longer found."""


def canonical(value):
    """Plain JSON data for `value`; raises TypeError for types whose encoding is not one and the same."""
    if value is None or isinstance(value, str | bool | int):  # first, as most are
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        if not all(isinstance(k, str) for k in value):
            raise TypeError(f"mapping keys must be words, got {sorted(map(repr, value))}")
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(v) for v in value]
    if isinstance(value, frozenset):
        return sorted(canonical(v) for v in value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} has no place in an identity")
        # 1.0 and 1 are the same setting, whichever way the file spells it.
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    raise TypeError(f"{type(value).__name__} cannot be part of an identity")


def fingerprint(value) -> str:
    """sha256 of the canonical JSON of `value`."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""Variants of a sweep: a sweep file with settings that the command line overrides (`--set`).

A variant has a name of its own, and with it a folder and an MLflow experiment of its own, so that it does not replace
the results of the file as it is. Jobs are shared by their keys as always.
"""

import json
import re
from collections.abc import Sequence

from raydistill.config.fingerprint import fingerprint
from raydistill.config.load import override

EXECUTION = ("engine", "cpus_per_job", "gpu_per_job", "name")
"""Settings that change no result, and the name itself: they make no variant."""
_READABLE = re.compile(r"[A-Za-z0-9._=,-]{1,60}")


def variant_name(name: str, overrides: Sequence[str]) -> str:
    """The name of a sweep with these overrides, such as demo+training.epochs=5, or demo+1f2e3d4c if that is too long.

    The order of the overrides does not matter. Raises ConfigError for an override that is not `path=value`.
    """
    settings: dict[str, str] = {}
    for text in overrides:
        override({}, text)  # raises the error
        path, _, value = text.partition("=")
        path = path.strip()
        settings.pop(path, None)  # the last value counts
        if path.split(".")[0] not in EXECUTION:
            settings[path] = value.strip()
    if not settings:
        return name
    readable = ",".join(f"{path}={value}" for path, value in sorted(settings.items()))
    if _READABLE.fullmatch(readable):
        return f"{name}+{readable}"
    tree: dict = {}
    for path, value in sorted(settings.items()):
        override(tree, f"{path}={value}")
    return f"{name}+{fingerprint(json.loads(json.dumps(tree)))[:8]}"

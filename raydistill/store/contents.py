"""Content hashes of a session, one for each signal, so that a change of one leaves results that read others valid."""

from collections.abc import Mapping
from typing import Any

from raydistill.config.fingerprint import FORMAT_VERSION, fingerprint
from raydistill.store.catalogue import Normalisation
from raydistill.store.channels import table_to_json
from raydistill.store.session import Session
from raydistill.store.table import SIGNALS

HASHED = ("segments", *SIGNALS)
"""What `update_digests` hashes of a session."""


def contents_of(
    session: Session, protocol: str, normalisation: Mapping[str, Normalisation], digests: Mapping[str, Any]
) -> dict[str, str]:
    """Signal -> sha256 of its stored values, their split, and all that belongs to them.

    Args:
        digests: of hashlib, see `update_digests`.
    """
    common = [FORMAT_VERSION, digests["segments"].hexdigest(), session.bin_width_ms, protocol]
    own: dict[str, list] = {
        "spikes": [table_to_json(session.unit_channels)],
        "lfp": [session.lfp_bands, table_to_json(session.lfp_channels), *_scale(normalisation.get("lfp"))],
        "behavior": [list(session.behavior_names), session.circular],
        "labels": [[name, list(classes)] for name, classes in session.classes.items()],
    }
    return {
        name: fingerprint([name, common, digests[name].hexdigest(), own[name]])
        for name in SIGNALS
        if getattr(session, name) is not None
    }


def _scale(norm: Normalisation | None) -> list[list[str]]:
    """Mean and SD, by which a model that was trained on z-scored LFP reads raw LFP. To six digits, because the last
    ones can differ between machines."""
    return [[f"{value:.6g}" for value in values] for values in (norm.mean, norm.std)] if norm else []

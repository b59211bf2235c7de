"""The models on which test_families.py checks the contract of each family."""

import dataclasses
import itertools
from typing import Any

from raydistill.models.barista.config import PRESETS as BARISTA_PRESETS
from raydistill.models.brant.config import PRESETS as BRANT_PRESETS
from raydistill.models.crossmodal.config import PRESETS
from raydistill.models.msid.config import MsidSettings
from raydistill.models.ndt2.config import PRESETS as NDT2_PRESETS
from raydistill.models.realm.config import PRESETS as REALM_PRESETS

# (modality, value embedding, the model is trained by masking, it reads out the LFP)
MASKED = (("spikes", "count", True, False), ("lfp", "linear", True, False))
UNMASKED = (("lfp", "mlp", False, False), ("lfp", "conv", False, True))
GATED = ("lfp", "gated", True, False)
BINS = (("spikes", "count", False, False), ("lfp", "linear", False, False))
"""Uses of a family that is trained on behavior alone (docs/extending.md)."""


def crossmodal(backbone: str) -> list[tuple[Any, tuple]]:
    """Settings with small patches, and uses: bidirectional and causal models with this backbone."""
    uses = MASKED + UNMASKED
    if backbone != "transformer":
        uses = (*MASKED, GATED, *((modality, embedding, False, False) for modality, embedding, _, _ in UNMASKED))
    settings = dataclasses.replace(PRESETS["tiny"], spikes_patch=8, lfp_patch=8, backbone=backbone)
    cases = [
        (dataclasses.replace(settings, causal=causal), use) for causal, use in itertools.product((False, True), uses)
    ]
    return [*cases, (dataclasses.replace(settings, readout="pooled"), ("lfp", "conv", False, True))]


def realm() -> list[tuple[Any, tuple]]:
    """Teachers and students, with several patches per bin."""
    settings = dataclasses.replace(REALM_PRESETS["tiny"], lfp_patch=8)
    uses = (GATED, ("lfp", "gated", False, True), ("lfp", "gated", False, False))
    return [
        (dataclasses.replace(settings, causal=causal), use) for causal, use in itertools.product((False, True), uses)
    ]


def ndt2() -> list[tuple[Any, tuple]]:
    """Causal models and others, trained by masking and otherwise, with one and with two context tokens."""
    settings = dataclasses.replace(NDT2_PRESETS["tiny"], spikes_patch=8)
    cases = itertools.product((True, False), (True, False), (1, 2))
    return [
        (dataclasses.replace(settings, causal=causal, context_tokens=count), ("spikes", "count", masked, False))
        for causal, masked, count in cases
    ]


def brant() -> list[tuple[Any, tuple]]:
    """Models that were trained by masking and others, whose last patch is not complete."""
    settings = dataclasses.replace(BRANT_PRESETS["tiny"], bin_width_ms=50, patch_bins=4, dropout=0.1)
    return [
        (dataclasses.replace(settings, masked_by=masked_by), ("lfp", "linear", is_masked, False))
        for masked_by, is_masked in (("zeros", True), ("learned", True), ("zeros", False))
    ]


def barista() -> list[tuple[Any, tuple]]:
    """Names at every scale; tokens of 3 bins, which do not divide the segments."""
    settings = dataclasses.replace(BARISTA_PRESETS["tiny"], token_bins=3)
    spaces = ("channel", "position", "array", "region", "none")
    return [(dataclasses.replace(settings, space=space), ("lfp", "dilated", False, False)) for space in spaces]


# Family -> [(settings, use)], for patches of 8 units or channels, or of one channel.
CASES = {
    "crossmodal": [
        case for backbone in ("transformer", "lstm", "gru", "cnn", "mamba") for case in crossmodal(backbone)
    ],
    "realm": realm(),
    "msid": [
        (MsidSettings(states=(6,), patch=8), (modality, embedding, False, False))
        for modality, embedding in (("spikes", "count"), ("lfp", "linear"))
    ],
    "ndt2": ndt2(),
    "barista": barista(),
    "brant": brant(),
}

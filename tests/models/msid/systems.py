"""A simulated system of spikes and LFP with known dynamics, as the batches of one session."""

import numpy as np

from raydistill.feed.tokens import Inputs, pack
from raydistill.models.families import FAMILIES
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Segment

BIN_WIDTH_MS = 10.0
MODULI, ANGLES = (0.98, 0.95), (0.0634, 0.251)
"""Of the pairs of eigenvalues of the dynamics."""
PATCH = 8


def true_dynamics():
    """(4, 4) A of the simulated system."""
    dynamics = np.zeros((4, 4))
    for i, (modulus, angle) in enumerate(zip(MODULI, ANGLES, strict=True)):
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        dynamics[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = modulus * np.array(turn)
    return dynamics


def simulated(n_bins=30_000, n_units=12, n_channels=8, rate=0.1, seed=0):
    """(eigenvalues, states (T, 4), counts (T, units), LFP (T, channels)), each state with a variance of 1."""
    random, dynamics = np.random.default_rng(seed), true_dynamics()
    noise = random.normal(size=(n_bins, 4)) * np.sqrt(1 - np.repeat(MODULI, 2) ** 2)
    states = np.zeros((n_bins, 4))
    for t in range(1, n_bins):
        states[t] = dynamics @ states[t - 1] + noise[t]
    log_rates = states @ random.normal(size=(4, n_units)) * 0.3 + np.log(rate)
    lfp = states @ random.normal(size=(4, n_channels)) * 0.5 + 0.8 * random.normal(size=(n_bins, n_channels))
    return np.linalg.eigvals(dynamics), states, random.poisson(np.exp(log_rates)), lfp


def inputs_of(modality, counts):
    """How the session's segments become tokens, and the scale of the counts."""
    norm = Normalisation(mean=tuple(counts.mean(0)), std=tuple(counts.std(0)))
    return Inputs(
        modality=modality,
        widths=(PATCH, PATCH) if modality == "multimodal" else (PATCH,),
        spikes_norm={"s": norm} if modality == "multimodal" else {},
        behavior={"s": (0, 1)},
    )


def batch_of(inputs, counts, lfp, behavior, segment_bins=1000):
    """Packed segments of these arrays."""
    starts = range(0, len(counts), segment_bins)
    pieces = ([x[a : a + segment_bins] for x in (counts, lfp, behavior)] for a in starts)
    return pack(
        [
            inputs.tokenize(
                Segment("s", i, "train", 0.0, n.astype(np.uint8), y.astype(np.float32), z.astype(np.float32))
            )
            for i, (n, y, z) in enumerate(pieces)
        ]
    )


def spec_of(modality, counts, lfp, **settings):
    """The specification of a model of the session."""
    family = FAMILIES["msid"]
    values = {"patch": PATCH} | settings
    config = family.configure(family.settings(**values), modality, "count" if modality == "spikes" else "linear")
    columns = {"spikes": counts.shape[1], "lfp": lfp.shape[1]}
    patches = max(-(-n // PATCH) for name, n in columns.items() if modality in (name, "multimodal"))
    norms = {
        name: {"mean": x.mean(0).tolist(), "std": x.std(0).tolist()} for name, x in (("spikes", counts), ("lfp", lfp))
    }
    return ModelSpec(
        family="msid",
        config=config,
        sessions={"s": patches},
        behavior=("x", "y"),
        provenance={"normalisation": {"s": norms}},
    )

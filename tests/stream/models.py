"""A store with one small session, and untrained models of it."""

import dataclasses
from functools import partial

import numpy as np
import torch

from raydistill.config.names import draw_name
from raydistill.config.recordings import IngestConfig, LfpFilters, Splits
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.files import save_model
from raydistill.models.spec import ModelSpec
from raydistill.store.session import Session
from raydistill.store.store import Store

N_BINS = 2000


def make_folder(folder, draws=1, **ingest):
    """A store with one session, whose behavior is in the last bins of the LFP, and models of it.

    Args:
        draws: of the folds; here, all are the same.
        ingest: further settings of the IngestConfig.
    """
    rng = np.random.default_rng(0)
    lfp = rng.normal(size=(N_BINS, 6))
    place = np.cumsum(lfp[:, :2], axis=0) * 0.1
    make = partial(
        Session.from_arrays,
        subject="s",
        bin_width_ms=20.0,
        spikes=rng.poisson(0.5, (N_BINS, 5)),
        lfp=lfp,
        behavior=np.column_stack([np.diff(place, axis=0, prepend=0), place])[:, :2] * 30 + 7,
        behavior_names=("x", "y"),
        behavior_units=("cm/s", "cm/s"),
    )
    store = Store(str(folder / "store"))
    splits = Splits(segment_s=1, parent_s=2)
    for draw in range(1, draws + 1):
        session = make(draw_name("S", draw))
        config = IngestConfig(bin_width_ms=20, filters=LfpFilters(causal=True), splits=splits, **ingest)
        store.write(session, config, "f" * 64)
    store.publish()
    return folder


def save(folder, causal=True, behavior=(), backbone="transformer", modality="lfp", lookahead_bins=0):
    """The folder of an untrained model; `backbone: realm` is the family REALM."""
    torch.manual_seed(0)
    name = "realm" if backbone == "realm" else "crossmodal"
    family = FAMILIES[name]
    changes = {"causal": causal}
    if name != "realm":
        changes |= {"backbone": backbone, "lookahead_bins": lookahead_bins}
    embedding = family.embedding or ("count" if modality == "spikes" else "linear")
    spec = ModelSpec(
        family=name,
        config=family.configure(dataclasses.replace(family.presets["tiny"], **changes), modality, embedding),
        sessions={"S": 1},
        behavior=behavior,
        provenance={"segment_bins": {"S": 50}},
    )
    place = folder / f"model-{causal}-{len(behavior)}-{backbone}-{modality}-{lookahead_bins}"
    place.mkdir(exist_ok=True)
    save_model(build_model(spec), place)
    return place

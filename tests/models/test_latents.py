"""Latents of segments: the same in a batch as alone, and the same from a frozen teacher as from the model itself."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.models.crossmodal.config import PRESETS
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import BATCH, encode, frozen
from raydistill.store.session import Session
from raydistill.store.store import Store
from tests.small import make_spec


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """(entry, its segments, which are more than one batch)"""
    store = Store(str(tmp_path_factory.mktemp("store")))
    spikes = np.random.default_rng(0).poisson(0.5, (1300, 9))
    config = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.5, parent_s=1))
    store.write(Session.from_arrays("a", subject="a", bin_width_ms=20, spikes=spikes), config, "a" * 64)
    (entry,) = store.publish()
    return entry, store.read(entry)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CrossModalModel(
        dataclasses.replace(make_spec("spikes", "count", (), settings=PRESETS["tiny"]), sessions={"a": 1})
    )


def test_encode_gives_the_latents_of_every_segment_in_order(session, model):
    entry, segments = session
    assert len(segments) > BATCH
    inputs = inputs_of(model.spec, [entry])
    latents = list(encode(model.train(), segments, inputs))
    assert [x.shape for x in latents] == [(s.n_bins, model.spec.config.width) for s in segments]
    assert all(x.dtype == torch.float32 and not x.requires_grad for x in latents) and not model.training
    for i in (0, BATCH - 1, BATCH, len(segments) - 1):
        (alone,) = encode(model, [segments[i]], inputs)
        torch.testing.assert_close(latents[i], alone, rtol=0, atol=1e-5)


def test_frozen_teacher_gives_what_encode_gives_in_memory_of_its_own(session, model):
    entry, segments = session
    latents = frozen({"a": model}, [entry])(segments)
    for teacher, encoded in zip(latents, encode(model, segments, inputs_of(model.spec, [entry])), strict=True):
        assert torch.equal(teacher, encoded)
        assert teacher.untyped_storage().nbytes() == teacher.numel() * 4  # no view of the whole batch

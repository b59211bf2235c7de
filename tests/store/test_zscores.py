"""Which bins mean and SD are fitted on, and z-scores that follow slow changes."""

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError
from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Session
from raydistill.store.session_plan import plan_session
from raydistill.store.splits import TRAIN
from raydistill.store.store import Store
from raydistill.store.zscores import FollowingZScores, followed


def config(protocol="corrected", adapt_s=None):
    splits = Splits(segment_s=1, parent_s=2, order="chronological")
    return IngestConfig(protocol=protocol, bin_width_ms=100, splits=splits, adapt_s=adapt_s)


def drifting(piece=None):
    """600 bins of two channels whose mean rises."""
    lfp = np.random.default_rng(0).normal(size=(600, 2)) + np.linspace(0, 4, 600)[:, None]
    behavior = np.arange(600.0)[:, None]
    arrays = {"lfp": lfp, "behavior": behavior, "behavior_names": ("x",), "behavior_units": ("cm",)}
    return Session.from_arrays("S", subject="a", bin_width_ms=100, piece=piece, **arrays)


def test_statistics_are_those_of_the_bins_that_the_protocol_names_on_the_same_folds():
    session = drifting()
    train, whole = (plan_session(session, config(name)) for name in ("corrected", "session_zscores"))
    assert train.cuts == whole.cuts and train.split_file == whole.split_file
    bins = np.concatenate([session.lfp[c.start : c.stop] for c in train.cuts if c.split == TRAIN])
    assert np.allclose(train.normalisation["lfp"].mean, bins.mean(0), atol=1e-6)
    assert np.allclose(whole.normalisation["lfp"].mean, session.lfp.mean(0), atol=1e-6)
    assert np.allclose(whole.normalisation["behavior"].mean, 299.5)


def test_content_of_a_session_depends_on_how_it_is_z_scored(tmp_path):
    store = Store(str(tmp_path))
    settings = (config(), config("session_zscores"), config(adapt_s=10), config(adapt_s=20))
    entries = [store.write(drifting(), one, str(i)) for i, one in enumerate(settings)]
    assert len({entry.content_of(("lfp",)) for entry in entries}) == 4
    assert len({entry.content_of(("lfp", "behavior")) for entry in entries}) == 4


def test_z_scores_that_follow_read_no_later_bin_and_remove_a_drift():
    values = drifting().lfp
    norm = Normalisation(mean=(0.0, 0.0), std=(1.0, 1.0))
    z_scored = FollowingZScores(norm, 0.05)(values)
    changed = values.copy()
    changed[300:] = 9
    assert np.array_equal(FollowingZScores(norm, 0.05)(changed)[:300], z_scored[:300])
    mean, variance = 0.0, 1.0
    for x, z in zip(values[:50, 0].astype(np.float64), z_scored[:50, 0], strict=True):  # West's running moments
        assert abs(z - (x - mean) / variance**0.5) < 1e-9
        mean, variance = 0.95 * mean + 0.05 * x, 0.95 * (variance + 0.05 * (x - mean) ** 2)
    assert abs(z_scored[300:].mean()) < 0.2 < values[300:].mean()
    assert np.array_equal(FollowingZScores(norm, 0.0)(values), values)


def test_z_scores_begin_again_after_a_gap():
    piece = np.repeat([0, -1, 1], [250, 50, 300]).astype(np.int32)
    session, norm = drifting(piece), Normalisation(mean=(0.0, 0.0), std=(1.0, 1.0))
    lfp = followed(session, config(adapt_s=2), {"lfp": norm}).lfp
    assert np.allclose(lfp[[0, 300]], session.lfp[[0, 300]])
    assert np.abs(lfp[299] - session.lfp[299]).max() > 0.1


def test_z_scores_that_follow_are_refused_under_another_protocol():
    with pytest.raises(ConfigError, match="`adapt_s` begins with z-scores of the training fold"):
        config("session_zscores", 10)

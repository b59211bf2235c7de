"""The content hash of a signal follows its values, its split and what belongs to it, and nothing of the others."""

import dataclasses

import pytest

from raydistill.config.recordings import Splits
from raydistill.store.channels import channel_table
from raydistill.store.store import Store
from tests.store.test_store import CONFIG, make_session

PLAIN = make_session()


def contents(tmp_path, config=CONFIG, **change):
    return Store(str(tmp_path)).write(make_session(**change), config, "f" * 64).contents


def differing(tmp_path, config=CONFIG, **change):
    """The signals whose hash differs from that of the plain session."""
    before, after = contents(tmp_path), contents(tmp_path, config, **change)
    return {name for name in before if before[name] != after.get(name)}


@pytest.mark.parametrize(
    ("change", "signals"),
    [
        ({}, set()),
        ({"lfp": PLAIN.lfp + PLAIN.lfp[::-1]}, {"lfp"}),
        ({"lfp": PLAIN.lfp * 1000}, {"lfp"}),
        ({"lfp": None}, {"lfp"}),
        ({"spikes": PLAIN.spikes[::-1]}, {"spikes"}),
        ({"behavior": PLAIN.behavior + 1}, {"behavior"}),
        ({"behavior_names": ("x", "y")}, {"behavior"}),
        ({"unit_channels": channel_table(7, region=["M1"] * 7)}, {"spikes"}),
        ({"lfp_channels": channel_table(5, region=["M1"] * 5)}, {"lfp"}),
        ({"bin_width_ms": 10.0}, {"spikes", "lfp", "behavior"}),
        ({"start_s": 3.0, "task": "other", "sources": {"a": "b"}}, set()),
    ],
)
def test_hashes_that_change_are_those_of_the_signals_that_changed(change, signals, tmp_path):
    assert differing(tmp_path, **change) == signals


def test_all_hashes_change_with_the_split_and_that_of_the_lfp_with_its_precision(tmp_path):
    other = dataclasses.replace(CONFIG, splits=Splits(segment_s=1, parent_s=2, seed=1))
    assert differing(tmp_path, other) == {"spikes", "lfp", "behavior"}
    assert differing(tmp_path, dataclasses.replace(CONFIG, lfp_dtype="float16")) == {"lfp"}


def test_content_of_signals_is_that_of_those_which_the_session_has(tmp_path):
    entry = Store(str(tmp_path)).write(make_session(behavior=None, behavior_names=()), CONFIG, "f" * 64)
    assert entry.content_of(("spikes", "behavior")) == entry.content_of(("spikes",))
    assert entry.content_of(("spikes", "lfp")) == entry.content_of(("lfp", "spikes")) != entry.content_of(("lfp",))

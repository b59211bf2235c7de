"""The table of baselines: which sessions suit each, and what an added row needs to be planned, scored and named."""

import pytest

from raydistill.evaluation.baselines import BASELINES
from raydistill.store.catalogue import Entry


@pytest.mark.parametrize(
    ("units", "channels", "aligned", "suiting"),
    [
        (3, 4, True, ["ridge_on_spikes", "ridge_on_lfp", "kalman_on_spikes", "kalman_on_lfp", "clock"]),
        (3, 0, False, ["ridge_on_spikes", "kalman_on_spikes"]),
        (0, 4, False, ["ridge_on_lfp", "kalman_on_lfp"]),
    ],
)
def test_baselines_suit_sessions_with_their_modality_and_alignment(units, channels, aligned, suiting):
    entry = Entry(
        session="s", subject="A", dataset="", task="", region="", bin_width_ms=10, n_segments=1, n_bins=9,
        n_units=units, n_channels=channels, behavior=("x",), behavior_units=("m",), splits={}, aligned=aligned,
        protocol="corrected", normalisation={}, config={}, fingerprint="", content="", sources={}, parts=(),
    )  # fmt: skip
    assert [name for name, baseline in BASELINES.items() if baseline.suits(entry)] == suiting

"""The table of baselines: which sessions suit each, and which a sweep without a list of its own includes."""

import pytest

from raydistill.evaluation.baselines import BASELINES, default_baselines
from raydistill.store.catalogue import Entry

ON_SPIKES = {
    "ridge_on_spikes",
    "wide_ridge_on_spikes",
    "past_ridge_on_spikes",
    "kalman_on_spikes",
    "logistic_on_spikes",
}
ON_LFP = {"ridge_on_lfp", "wide_ridge_on_lfp", "past_ridge_on_lfp", "kalman_on_lfp", "logistic_on_lfp"}

CLOCKS = {"clock", "logistic_on_clock"}


@pytest.mark.parametrize(
    ("units", "channels", "aligned", "suiting"),
    [
        (3, 4, True, set(BASELINES)),
        (3, 4, False, ON_SPIKES | ON_LFP),
        (3, 0, False, ON_SPIKES),
        (0, 4, False, ON_LFP),
        (0, 4, True, ON_LFP | CLOCKS | {"wide_ridge_and_clock_on_lfp", "past_ridge_and_clock_on_lfp"}),
    ],
)
def test_baselines_suit_sessions_with_their_modality_and_alignment(units, channels, aligned, suiting):
    entry = Entry(
        session="s", subject="A", dataset="", task="", region="", bin_width_ms=10, n_segments=1, n_bins=9,
        n_units=units, n_channels=channels, behavior=("x",), behavior_units=("m",), splits={}, aligned=aligned,
        protocol="corrected", normalisation={}, config={}, fingerprint="", content="", sources={}, parts=(),
    )  # fmt: skip
    assert {name for name, baseline in BASELINES.items() if baseline.suits(entry)} == suiting


def test_default_baselines_have_the_context_the_clock_and_the_filter_of_every_signal_that_is_read():
    on_lfp = ("ridge_on_lfp", "wide_ridge_on_lfp", "wide_ridge_and_clock_on_lfp", "kalman_on_lfp", "clock")
    assert default_baselines(spikes=False, causal=False) == on_lfp
    both = default_baselines(spikes=True, causal=False)
    assert set(both) - set(on_lfp) == {name.replace("lfp", "spikes") for name in on_lfp} - {"clock"}


def test_default_baselines_of_causal_methods_have_the_past_alone_too():
    added = set(default_baselines(spikes=True, causal=True)) - set(default_baselines(spikes=True, causal=False))
    assert added == {f"past_ridge{clock}_on_{signal}" for clock in ("", "_and_clock") for signal in ("lfp", "spikes")}
    assert not any(BASELINES[name].future for name in added)


def test_default_baselines_of_a_label_are_those_that_decode_labels():
    assert default_baselines(spikes=True, causal=True, labels=True) == (
        *("logistic_on_spikes", "logistic_on_lfp"),
        "logistic_on_clock",
    )
    assert default_baselines(spikes=False, causal=False, labels=True) == ("logistic_on_lfp", "logistic_on_clock")


def test_baselines_that_read_the_clock_suit_aligned_sessions_alone_and_say_so():
    for name, baseline in BASELINES.items():
        assert baseline.clock == ("clock" in name) and baseline.future == name.startswith("wide")
        assert baseline.past == (name not in CLOCKS)

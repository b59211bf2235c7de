"""The predictions that a model of the signals is scored by: which bins and columns, and with what it is given."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.evaluation.neural import bits_per_spike
from raydistill.evaluation.signal_scores import signal_scores
from raydistill.models.model import Model
from raydistill.store.session import Segment
from tests.models.msid.systems import inputs_of, simulated, spec_of

N_UNITS, N_CHANNELS, N_BINS = 9, 5, 60


class Recording(Model):
    """Predicts a known signal, and notes with what it is called."""

    predicts_signals = True

    def __init__(self, spec, answers):
        super().__init__(spec)
        self.scale, self.answers, self.calls = torch.nn.Parameter(torch.ones(1)), answers, []

    def expected_signals(self, batch, *, ahead, hidden=None, unseen=0):
        self.calls.append((ahead, hidden, unseen))
        return self.answers


@pytest.fixture
def scores():
    """signal_scores of one segment, for these rates (T, units) and this LFP (T, channels)."""
    _, _, counts, lfp = simulated(N_BINS, N_UNITS, N_CHANNELS, rate=0.5)
    spec = spec_of("multimodal", counts, lfp)

    def score(rates, predicted, bin_width_ms=10.0, modality="multimodal"):
        padded = [np.pad(x, ((0, 0), (0, 16 - x.shape[1]))) for x in (rates, predicted)]
        answers = dict(zip(("spikes", "lfp"), map(torch.from_numpy, padded), strict=True))
        model = Recording(dataclasses.replace(spec, sessions={"s": 2}), answers)
        segment = Segment("s", 0, "test", 0.0, counts.astype(np.uint8), lfp.astype(np.float32), None)
        inputs = dataclasses.replace(inputs_of("multimodal", counts), behavior={})
        columns = {"spikes": N_UNITS, "lfp": N_CHANNELS}
        return signal_scores(model, [segment], inputs, columns, bin_width_ms), model.calls

    return score, counts, lfp


def test_each_task_scores_its_own_bins_and_columns(scores):
    score, counts, lfp = scores
    rates = np.random.default_rng(0).gamma(2.0, 0.3, size=counts.shape)
    result, _ = score(rates, lfp)
    held_out = [3, 7]  # every fourth unit
    assert result["one_step"]["bits_per_spike"] == pytest.approx(bits_per_spike(rates, counts))
    expected = bits_per_spike(rates[:, held_out], counts[:, held_out])
    assert result["co_smoothing"]["bits_per_spike"] == pytest.approx(expected)
    assert result["forward"]["bits_per_spike"] == pytest.approx(bits_per_spike(rates[-20:], counts[-20:]))  # 200 ms
    assert [result[task]["lfp_r2"] for task in result] == pytest.approx([1, 1, 1], abs=1e-6)


def test_lfp_of_held_out_channels_is_scored_alone(scores):
    score, _, lfp = scores
    predicted = np.zeros_like(lfp)
    predicted[:, 3] = lfp[:, 3]  # the only channel that is held out
    result, _ = score(np.ones((N_BINS, N_UNITS)), predicted)
    assert result["co_smoothing"]["lfp_r2"] == pytest.approx(1, abs=1e-6)
    assert result["one_step"]["lfp_r2"] < 0.5


def test_model_is_not_given_what_it_predicts(scores):
    score, counts, lfp = scores
    _, (one_step, co_smoothing, forward) = score(np.ones(counts.shape), lfp)
    assert one_step == (True, None, 0) and forward == (False, None, 20)
    assert co_smoothing[0] is False and co_smoothing[2] == 0
    hidden = {name: torch.nonzero(mask)[:, 0].tolist() for name, mask in co_smoothing[1].items()}
    assert hidden == {"spikes": [3, 7], "lfp": [3]}


def test_segments_shorter_than_twice_the_forward_bins_have_no_forward_score(scores):
    score, counts, lfp = scores
    result, _ = score(np.ones(counts.shape), lfp, bin_width_ms=5.0)  # 200 ms are 40 of 60 bins
    assert set(result) == {"one_step", "co_smoothing"}

"""The logistic baseline that reads the clock alone: it decodes what repeats in every trial, and nothing else."""

import numpy as np

from raydistill.evaluation.decoders.classify import LabelTask
from raydistill.evaluation.decoders.logistic import logistic_on_clock
from raydistill.store.labels import StoredLabel
from raydistill.store.session import Segment


def trials(seed, n, codes_of):
    """Trials of 30 to 40 bins with their labels alone, as a fold is read for a baseline that reads no signal."""
    random, made = np.random.default_rng(seed), []
    for number in range(n):
        codes = codes_of(int(random.integers(30, 41)), random)[:, None].astype(np.int16)
        made.append(Segment("s", number, "train", 0.0, None, None, None, trial=number, labels=codes))
    return made


def decoded(codes_of):
    task = LabelTask(name="phase", label=StoredLabel(column=0, classes=("early", "late"), of="bins"))
    folds = [trials(seed, n, codes_of) for seed, n in enumerate((30, 10, 10))]
    return logistic_on_clock(*folds, 20.0, task)


def test_label_that_repeats_in_every_trial_is_decoded_by_the_clock_and_another_is_not():
    repeated = decoded(lambda n_bins, random: np.arange(n_bins) >= 15)
    assert repeated.auc > 0.999 and repeated.accuracy > 0.99 and repeated.n_test_segments == 10
    by_chance = decoded(lambda n_bins, random: random.integers(2, size=n_bins))
    assert abs(by_chance.auc - 0.5) < 0.1

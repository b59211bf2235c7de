"""A baseline that is added to the table is checked, planned and scored without another change."""

import numpy as np
import pytest

from raydistill.errors import ConfigError
from raydistill.evaluation.baselines import BASELINES, Baseline, has_lfp
from raydistill.evaluation.decoders.scoring import evaluate
from raydistill.store.store import Store
from raydistill.sweep.answering.collect import collect
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from tests.sweep.baseline_sweep import run_baselines, write_sweep


def mean_of_train(train, valid, test, bin_width_ms, columns):
    """Predicts the training mean in every bin."""
    mean = np.concatenate([s.behavior for s in train]).mean(axis=0)
    pairs = lambda segments: [(np.tile(mean, (s.n_bins, 1)), s.behavior) for s in segments]  # noqa: E731
    n_train = sum(s.n_bins for s in train)
    return evaluate(lambda x: x, pairs(valid), pairs(test), columns, n_train=n_train)


def test_baseline_added_to_the_table_is_planned_and_scored_where_it_suits(tmp_path, monkeypatch):
    added = Baseline(title="Mean of train", reads=(), suits=has_lfp, score=mean_of_train)
    monkeypatch.setitem(BASELINES, "mean_of_train", added)
    path = write_sweep(tmp_path, "behavior: [vy]", "baselines: [mean_of_train, ridge_on_lfp]")
    sweep, planned, runs = run_baselines(path)
    assert [job.name for job in planned.jobs if job.kind == "baseline"] == ["mean_of_train/a_1", "ridge_on_lfp/a_1"]

    entries = Store(sweep.store).entries()
    mean, _ = collect(sweep, plan(sweep, entries, runs), runs).baselines
    assert (mean.method, mean.session) == ("Mean of train", "a_1") and list(mean.per_part) == ["vy"]
    assert -0.1 < mean.value <= 0  # a constant is at best as good as the mean of the test fold


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("baselines: [clock, ridge_on_lpf]", 'baselines.1: there is no "ridge_on_lpf"; did you mean "ridge_on_lfp"?'),
        ("baselines: mean_of_train", 'baselines.0: there is no "mean_of_train"; known: clock, kalman_on_lfp'),
    ],
)
def test_unknown_baseline_is_refused_with_file_and_line(tmp_path, line, message):
    path = write_sweep(tmp_path, line)
    with pytest.raises(ConfigError) as refused:
        load_sweep(path)
    n_lines = len(path.read_text().splitlines())
    assert str(refused.value).startswith(f"{path}:{n_lines}: {message}")


def test_unknown_group_and_paper_are_refused_with_the_nearest_name(tmp_path):
    path = write_sweep(tmp_path)
    with pytest.raises(ConfigError, match='no paper defines a group "paper_heldout"; did you mean "paper_held_out"'):
        load_sweep(path, ("sessions.every.named=paper_heldout",))
    with pytest.raises(ConfigError, match='paper: there is no "crosmodal"; did you mean "crossmodal"'):
        load_sweep(path, ("paper=crosmodal",))

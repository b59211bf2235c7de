"""Chains of fine-tunings across groups of sessions, each step of which goes on from the weights of the one before."""

from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.feed.reading import read_directly
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, training_task
from raydistill.training.assemble import assemble

SWEEP = """name: s
store: store
preset: tiny
seeds: 0
model: {width: 16, layers: 1, heads: 2, spikes_patch: 8, predictor_width: 8, predictor_heads: 2}
pretraining: {epochs: 2, batch: 13}
sessions: {first: {names: [a, b]}, second: {names: [b, c]}, third: {names: [c, d]}}
jobs:
  pretrained: {pretrain: spikes, on: first}
  tuned: {finetune: pretrained, on: second}
  again: {finetune: tuned, on: third}
  kept: {finetune: again, each: third, training: {epochs: 1, batch: 13, learning_rate: 1e-9}}
methods: {Chain: kept}
baselines: []
"""
SPACE = "tokenizer.space.table.weight"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Job -> its weights, of jobs that were trained one after the other."""
    folder = tmp_path_factory.mktemp("chain")
    store, random = Store(str(folder / "store")), np.random.default_rng(0)
    config = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.2, parent_s=0.4))
    for name in "abcd":
        spikes, behavior = random.poisson(0.7, (300, 10)), random.normal(size=(300, 2))
        columns = {"behavior_names": ("vx", "vy"), "behavior_units": ("", "")}
        made = Session.from_arrays(name, subject=name, bin_width_ms=20, spikes=spikes, behavior=behavior, **columns)
        store.write(made, config, name * 64)
    store.publish()
    (folder / "sweep.yaml").write_text(SWEEP)
    context, weights = JobContext(RunsFolder(folder / "runs"), store.uri), {}
    for job in expand(load_sweep(folder / "sweep.yaml"), store.entries()):
        own = context.runs.job_folder(job.key)
        own.mkdir(parents=True)
        task = training_task(job, context, [store.entry(s) for s in job.spec.sessions], own)
        assemble(task, lambda task, share: read_directly(store, list(task.entries), share.signals)).run()
        weights[job.name] = load_file(own / "model.safetensors")
    return weights


def test_each_fine_tuning_changes_the_weights_of_the_one_before_and_starts_from_them(chain):
    steps = [chain[f"{name}/seed0"] for name in ("pretrained", "tuned", "again")]
    for before, after in pairwise(steps):
        maps = [name for name in before if name.startswith("encoder.") and before[name].ndim == 2]
        assert len(maps) > 3
        for name in maps:
            correlation = np.corrcoef(before[name].ravel(), after[name].ravel())[0, 1]
            assert correlation > 0.95 and np.abs(after[name] - before[name]).max() > 1e-4, name


def test_last_model_of_a_chain_has_the_weights_of_the_model_before_it_where_it_takes_tiny_steps(chain):
    again, pretrained = chain["again/seed0"], chain["pretrained/seed0"]
    for session, rows in {"c": slice(0, 2), "d": slice(2, 4)}.items():  # of the two patches of each session
        kept, expected = chain[f"kept/{session}/seed0"], again | {SPACE: again[SPACE][rows]}
        assert kept.keys() == expected.keys()
        for name in kept:
            np.testing.assert_allclose(kept[name], expected[name], atol=1e-6, err_msg=name)
        assert any(np.abs(kept[name] - pretrained[name]).max() > 1e-3 for name in kept if name != SPACE)


def test_session_of_two_steps_keeps_its_embedding_and_a_new_one_has_a_random_one(chain):
    first, second = (chain[f"{name}/seed0"][SPACE].reshape(2, 2, 16) for name in ("pretrained", "tuned"))
    assert 0 < np.abs(second[0] - first[1]).max() < 0.1  # b, which was trained in both steps
    assert min(np.abs(second[1] - other).max() for other in first) > 1  # c

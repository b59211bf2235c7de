"""Estimates follow the rates measured in the runs folder, and the operations that a training takes."""

import dataclasses

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from raydistill.config.load import Where, build
from raydistill.feed.feed import FeedBatch
from raydistill.feed.masking import Draw
from raydistill.feed.tokens import pack
from raydistill.models.families import FAMILIES
from raydistill.models.inputs import inputs_of
from raydistill.objectives import build_objective
from raydistill.store.session import Segment
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.estimate import pace, update_rates, work
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import model_spec
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import ENTRIES, jobs_of, make_entry

BY_SESSION = {entry.session: entry for entry in ENTRIES}
N_UNITS, N_CHANNELS, N_BINS = 40, 48, 100


def test_pace_is_measured_as_soon_as_a_job_of_that_kind_is_done(tmp_path):
    jobs = jobs_of()
    teacher, student = jobs["teacher/a_2/seed0"], jobs["distilled/a_2/seed0"]
    runs = RunsFolder(tmp_path)
    assumed = pace(student, runs.rates())
    for seconds in (10.0, 30.0):
        update_rates(runs, teacher, work(teacher, BY_SESSION), seconds)
    rates = runs.rates()
    assert work(teacher, BY_SESSION) * pace(teacher, rates) == pytest.approx(20.0)
    assert pace(student, rates) == assumed


def test_work_grows_with_bins_and_epochs():
    one = work(jobs_of()["teacher/a_2/seed0"], BY_SESSION)
    more = jobs_of(training={"epochs": 40})["teacher/a_2/seed0"]  # 20 before
    longer = {name: dataclasses.replace(entry, n_bins=3 * entry.n_bins) for name, entry in BY_SESSION.items()}
    assert work(more, longer) == pytest.approx(6 * one)


def trainings(jobs):
    """The jobs of these lines on one session, and what the store says of it."""
    entry = make_entry("a_1", N_UNITS, N_CHANNELS)
    sweep = {"name": "s", "store": "store", "preset": "tiny", "seeds": [0], "sessions": {"all": {"names": ["a_1"]}}}
    sweep |= {"jobs": jobs, "methods": {"One": [*jobs][-1]}, "baselines": []}
    return expand(build(SweepConfig, sweep, Where("sweep.yaml")), [entry]), {"a_1": entry}


@pytest.mark.parametrize(
    "line",
    [
        {"train": "spikes", "model": {"spikes_patch": 32}},
        {"train": "lfp", "model": {"lfp_patch": 48}},
        {"train": "spikes", "family": "ndt2", "model": {"spikes_patch": 32}},
        {"train": "lfp", "family": "barista", "model": {"token_bins": 25}},
        {"train": "lfp", "family": "barista", "model": {"token_bins": 50}},
        {"train": "lfp", "family": "brant", "model": {"bin_width_ms": 20}},
        {"train": "lfp", "family": "brant", "model": {"bin_width_ms": 20, "patch_bins": 50}},
    ],
    ids=str,
)
def test_work_of_a_transformer_is_what_torch_counts(line):
    (job,), entries = trainings({"one": {"each": "all", "supervision": "full"} | line})
    model, batch = model_and_batch(job, entries["a_1"])
    with FlopCounterMode(display=False) as counted:
        model.behavior(model.eval().latents(batch)).sum().backward()
    per_bin = work(job, entries) / job.spec.epochs / entries["a_1"].n_bins
    # Torch does not count attention, and parameters include the tables of embeddings, which cost next to nothing.
    assert 0.7 < per_bin / (counted.get_total_flops() / N_BINS) < 1.7


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"training": {"mask_ratio": 0.1}},
        {"family": "ndt2", "model": {"spikes_patch": 32, "layers": 6}},
        {"supervision": "joint"},
    ],
    ids=str,
)
def test_work_of_a_masked_pretraining_counts_the_visible_tokens_for_the_encoder(line):
    (job,), entries = trainings({"one": {"train": "spikes", "each": "all", "model": {"spikes_patch": 32}} | line})
    model, batch = model_and_batch(job, entries["a_1"])
    objective = build_objective(job.spec.objective, model.spec)
    with FlopCounterMode(display=False) as counted:
        terms = objective(model.eval(), FeedBatch(tokens=batch), Draw(0, 0))
        sum(term.total for term in terms.values()).backward()
    per_bin = work(job, entries) / job.spec.epochs / entries["a_1"].n_bins
    assert 0.7 < per_bin / (counted.get_total_flops() / N_BINS) < 1.7


def model_and_batch(job, entry):
    """An untrained model of a job, and one segment of a session as its input."""
    spec = model_spec(job, [entry], {})
    model, inputs = FAMILIES[spec.family].build(spec), inputs_of(spec, [entry])
    random = np.random.default_rng(0)
    spikes = random.poisson(0.3, (N_BINS, N_UNITS)).astype(np.uint8)
    lfp = random.normal(size=(N_BINS, N_CHANNELS)).astype(np.float32)
    segment = Segment("a_1", 0, "train", 0.0, spikes, lfp, np.zeros((N_BINS, 1), np.float32))
    return model, pack([inputs.tokenize(segment)])


def test_work_of_a_frozen_encoder_is_a_third():
    tuned = {"family": "brant", "finetune": "brant", "each": "all", "supervision": "full"}
    jobs = {
        "brant": {"family": "brant", "pretrain": "lfp", "on": "all", "model": {"bin_width_ms": 20}},
        "updated": tuned,
        "frozen": tuned | {"freeze": "encoder"},
    }
    (_, updated, frozen), entries = trainings(jobs)
    assert work(frozen, entries) == pytest.approx(work(updated, entries) / 3)


def test_rates_that_cannot_be_read_are_empty(tmp_path):
    (tmp_path / "rates.json").write_text("{")
    assert RunsFolder(tmp_path).rates() == {}

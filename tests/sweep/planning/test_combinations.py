"""Every combination of signals, embedding, backbone, objective and supervision trains, or is refused with its line.

What planning accepts is trained here for two steps, so that nothing that is planned fails in its forward pass.
"""

import itertools
import re

import numpy as np
import pytest

from raydistill.config.objectives import OBJECTIVES
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError
from raydistill.feed.reading import read_directly
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, training_task
from raydistill.training.assemble import assemble
from raydistill.training.history import read_history

SIGNALS = {"spikes": "spikes", "lfp": "lfp", "multimodal": "[spikes, lfp]"}
EMBEDDINGS = ("count", "linear", "conv", "mlp", "gated")
BACKBONES = ("transformer", "lstm", "gru", "cnn", "mamba", "lstm, readout: pooled", "transformer, readout: pooled")
MASKS = ("tokens", "bins")
SUPERVISIONS = ("none", "joint", "full")
SETTINGS = "width: 16, layers: 1, heads: 2, spikes_patch: 8, lfp_patch: 4, predictor_width: 8, predictor_heads: 2"
RECIPE = "training: {epochs: 1, batch: 13}"
LABEL = "behavior: {labels: side}\n"
BLOCKS = "training: {epochs: 1, batch: 13, mask: bins, mask_block: [1, 3]}"
"""Two steps: the train fold of the session has 26 segments."""
FILE = f"""name: s
store: runs/store
preset: tiny
seeds: 0
model: {{{SETTINGS}}}
sessions: {{all: {{names: [a]}}}}
jobs:
  teacher: {{train: spikes, each: all, {RECIPE}}}
  job: JOB
methods: {{}}
"""
AT_JOB = re.compile(r"sweep\.yaml:9: `?jobs\.job[.:]")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store, random = Store(str(tmp_path_factory.mktemp("store"))), np.random.default_rng(0)
    session = Session.from_arrays(
        "a",
        subject="a",
        bin_width_ms=20,
        spikes=random.poisson(0.7, (300, 10)),
        lfp=random.normal(size=(300, 6)),
        behavior=random.normal(size=(300, 2)),
        behavior_names=("vx", "vy"),
        behavior_units=("", ""),
        labels=random.integers(-1, 3, (300, 1)).astype(np.int16),
        classes={"side": ("left", "middle", "right")},
    )
    store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.2, parent_s=0.4)), "a" * 64)
    store.publish()
    return store


@pytest.fixture(scope="module")
def teacher(store, tmp_path_factory):
    """The context of a runs folder in which the teacher is trained."""
    context = JobContext(RunsFolder(tmp_path_factory.mktemp("runs")), store.uri)
    path = tmp_path_factory.mktemp("teacher") / "sweep.yaml"
    path.write_text(FILE.replace("  job: JOB\n", ""))
    (job,) = (job for job in expand(load_sweep(path), store.entries()) if job.trains)
    train(job, context, store)
    return context


def train(job, context, store):
    """Train a job in this process, once per key; returns the lines of its history."""
    folder = context.runs.job_folder(job.key)
    if not folder.exists():
        folder.mkdir(parents=True)
        task = training_task(job, context, store.entries(), folder)
        assemble(task, lambda task, share: read_directly(store, list(task.entries), share.signals)).run()
    return read_history(folder)


def is_possible(scope, signals, embedding, backbone, objective, supervision, mask) -> bool:
    """Whether a combination makes sense: what docs/sweeps.md says of each setting."""
    needs = OBJECTIVES[objective].needs
    usual = {
        "none": set(OBJECTIVES),
        "joint": {"joint_distillation" if needs.teacher else "masked_autoencoding_with_behavior"},
        "full": {"distillation_with_behavior" if needs.teacher else "behavior_regression"},
    }
    return (
        (embedding == "count") == (signals == "spikes")
        and objective in usual[supervision]
        and not needs.labels  # the sweep decodes behavior; see the test below
        and objective != "masked_groups"  # of another family
        and (backbone.startswith("transformer") or not needs.predictor or mask == "bins")
        and (needs.predictor or mask == "tokens")
        and not (embedding == "gated" and backbone.startswith("transformer") and needs.predictor)
        and (backbone not in ("lstm", "gru", "cnn", "mamba") or not needs.readout)
        and (signals == "lfp" or not needs.teacher)
        and (scope == "each" or (signals != "multimodal" and not needs.behavior and supervision == "none"))
    )


def line_of(scope, signals, embedding, backbone, objective, supervision, mask) -> str:
    """The line of `jobs`, as a mapping on one line."""
    if OBJECTIVES[objective].needs.teacher:
        verb = f"distill: teacher, into: {SIGNALS[signals]}"
    else:
        verb = f"{'train' if scope == 'each' else 'pretrain'}: {SIGNALS[signals]}"
    return (
        f"{{{verb}, {scope}: all, embedding: {embedding}, model: {{backbone: {backbone}}}, objective: {objective}, "
        f"supervision: {supervision}, {RECIPE if mask == 'tokens' else BLOCKS}}}"
    )


@pytest.mark.parametrize("scope", ["each", "on"])
@pytest.mark.parametrize("signals", SIGNALS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_combination_trains_two_steps_or_is_refused_with_its_line(scope, signals, embedding, store, teacher, tmp_path):
    path = tmp_path / "sweep.yaml"
    for others in itertools.product(BACKBONES, OBJECTIVES, SUPERVISIONS, MASKS):
        line = line_of(scope, signals, embedding, *others)
        path.write_text(FILE.replace("JOB", line))
        try:
            jobs = expand(load_sweep(path), store.entries())
        except ConfigError as err:
            assert AT_JOB.search(str(err)) and not is_possible(scope, signals, embedding, *others), f"{line}: {err}"
            continue
        assert is_possible(scope, signals, embedding, *others), line
        (job,) = (job for job in jobs if job.trains and job.line == "job")
        (history,) = train(job, teacher, store)
        assert np.isfinite([history["train_loss"], history["valid_loss"]]).all(), line


@pytest.mark.parametrize("backbone", BACKBONES)
def test_label_is_learned_by_every_backbone(backbone, store, teacher, tmp_path):
    path = tmp_path / "sweep.yaml"
    for signals, embedding in (("spikes", "count"), ("lfp", "linear"), ("multimodal", "linear")):
        line = line_of("each", signals, embedding, backbone, "label_classification", "none", "tokens")
        path.write_text(FILE.replace("  teacher:", "  # teacher:").replace("JOB", line) + LABEL)
        (job,) = (job for job in expand(load_sweep(path), store.entries()) if job.trains)
        (history,) = train(job, teacher, store)
        assert 0.5 < history["train_loss"] < 3 and np.isfinite(history["valid_loss"]), line  # log 3 is 1.1


def test_label_is_learned_by_electrodes_as_tokens(store, teacher, tmp_path):
    path = tmp_path / "sweep.yaml"
    line = f"{{family: barista, train: lfp, each: all, objective: label_classification, {RECIPE}}}"
    file = FILE.replace("  teacher:", "  # teacher:").replace("JOB", line)
    path.write_text(file.replace(SETTINGS, "width: 16, layers: 1, heads: 2, token_bins: 5, dilations: [1]") + LABEL)
    (job,) = (job for job in expand(load_sweep(path), store.entries()) if job.trains)
    (history,) = train(job, teacher, store)
    assert 0.5 < history["train_loss"] < 3 and np.isfinite(history["valid_loss"])

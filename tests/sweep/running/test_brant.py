"""Jobs of the family brant from masked training to frozen and updated read-outs, on one small session."""

import json

import numpy as np
import pytest

import raydistill
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.decode.decoder import open_decoder
from raydistill.errors import DataError
from raydistill.models.files import load_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job

SWEEP = """name: rivals
preset: tiny
seeds: [0]
sessions: {every: {names: a_1}}
model: {bin_width_ms: 20, patch_bins: 25, patches: 4, width: 32, hidden: 48, layers: 1}
training: {epochs: 3}
jobs:
  brant: {train: lfp, each: every, family: brant}
  frozen: {finetune: brant, each: every, family: brant, supervision: full, freeze: encoder}
  updated: {finetune: brant, each: every, family: brant, supervision: full}
methods: {BRANT: brant, BRANT frozen: frozen, BRANT updated: updated}
baselines: []
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The sweep, with all its jobs done, on a store whose second session has other bins."""
    folder, random = tmp_path_factory.mktemp("brant"), np.random.default_rng(0)
    store = Store(str(folder / "store"))
    for name, width in (("a_1", 20.0), ("a_2", 10.0)):
        lfp = random.normal(size=(1500, 4))
        session = Session.from_arrays(
            name, subject="a", bin_width_ms=width, lfp=lfp, behavior=np.cumsum(lfp[:, :2], axis=0) / 20,
            behavior_names=("vx", "vy"), behavior_units=("cm/s", "cm/s"),
        )  # fmt: skip
        store.write(session, IngestConfig(bin_width_ms=width, splits=Splits(segment_s=1, parent_s=2)), name * 21)
    store.publish()
    (folder / "sweep.yaml").write_text(SWEEP + f"store: {folder / 'store'}\n")
    sweep = OpenSweep(load_sweep(folder / "sweep.yaml"), RunsFolder(folder / "runs"))
    for job in sweep.plan().jobs:
        run_session_job(job, JobContext(sweep.runs, sweep.store))
    return sweep


def folders(sweep):
    return {job.line: sweep.runs.job_folder(job.key) for job in sweep.plan().jobs}


def test_frozen_encoder_keeps_its_weights_and_an_updated_one_moves_less_than_the_head(sweep):
    weights = {line: load_model(folder).state_dict() for line, folder in folders(sweep).items()}
    shared = [name for name in weights["frozen"] if name in weights["brant"]]
    assert "tokenizer.band" in shared and "over_channels.layers.0.linear1.weight" in shared
    moved = {
        line: max((weights[line][name] - weights["brant"][name]).abs().max().item() for name in shared)
        for line in ("frozen", "updated")
    }
    assert moved["frozen"] == 0 < moved["updated"] < 1e-4
    for line in ("frozen", "updated"):
        assert weights[line]["upsampling.shift"].abs().max() > 1e-4  # zero before training


def test_masked_training_lowers_the_error_of_masked_patches(sweep):
    lines = (folders(sweep)["brant"] / "history.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train_loss"] for line in lines]
    assert losses[-1] < losses[0]


def test_scores_and_cards_say_what_patches_cannot_carry(sweep):
    results = sweep.collect(sweep.plan())
    assert {score.method for score in results.scores} == {"BRANT", "BRANT frozen", "BRANT updated"}
    assert any("BRANT and BRANT frozen and BRANT updated: a token covers 0.5 s" in note for note in results.notes)
    card = raydistill.load_model(folders(sweep)["frozen"]).card
    assert "- A token covers 0.5 s, and one vector for 0.5 s cannot carry behavior in bins of 20 ms" in card
    assert "- It reads other sessions, too, and does not tell their channels apart." in card


def test_decoding_a_session_with_other_bins_is_refused(sweep):
    with pytest.raises(DataError, match="session a_2 has bins of 10 ms, but the model reads bins of 20 ms"):
        open_decoder(folders(sweep)["brant"], Store(sweep.store), "a_2", None, ())

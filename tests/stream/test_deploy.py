"""A model as a graph of one step, run by a program that has numpy and onnxruntime alone."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from raydistill.decode.decoder import open_decoder
from raydistill.errors import DataError
from raydistill.models.crossmodal.backbones import BACKBONES
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.files import save_model
from raydistill.models.spec import ModelSpec
from raydistill.store.store import Store
from raydistill.stream import deploy as deploying
from raydistill.stream.command import deployed
from raydistill.stream.decoder import StreamDecoder
from raydistill.stream.deploy import TOLERANCE, deploy, exported, ready
from raydistill.stream.live import LiveDecoder
from raydistill.stream.onnx_step import in_place
from raydistill.stream.preprocess import Preprocess
from raydistill.stream.samples import Lines
from raydistill.stream.step import StepModule
from tests.commands import raydistill
from tests.paths import ROOT
from tests.stream.models import make_folder, save

PROGRAM = ROOT / "examples" / "run_decoder.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("deploy"))


def make_decoder(folder, backbone="transformer", behavior=()):
    store = Store(str(folder / "store"))
    return StreamDecoder(open_decoder(save(folder, True, behavior, backbone), store, "S", None, ())), store


def lines_of(values):
    return "\n".join(" ".join(f"{x:.8g}" for x in row) for row in values)


def program(folder, text, *options):
    return subprocess.run(
        [sys.executable, "-S", str(PROGRAM), str(folder), *options],
        input=text,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": np.__path__[0].rpartition("/")[0]},
        timeout=120,
    )


def run_program(folder, text, *options):
    done = program(folder, text, *options)
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    return header, np.array([row.split() for row in rows], dtype=float)


@pytest.mark.parametrize("backbone", [*BACKBONES, "realm"])
def test_graph_in_a_program_without_torch_decodes_as_the_stream(folder, backbone, tmp_path):
    decoder, store = make_decoder(folder, backbone, ("y", "x") if backbone == "lstm" else ())
    assert deploy(decoder, store, tmp_path / "out") < 1e-4
    values = np.random.default_rng(1).normal(size=(70, 6))
    header, decoded = run_program(tmp_path / "out", lines_of(values))
    expected = np.array(list(LiveDecoder(decoder).run(Lines(lines_of(values).splitlines()))))
    assert header == " ".join(decoder.columns)
    assert np.abs(decoded - expected).max() < 1e-4 * np.abs(expected).max()


def test_raw_samples_are_filtered_as_in_the_store_and_the_last_one_stands_for_one_that_is_lost(folder, tmp_path):
    decoder, store = make_decoder(folder)
    deploy(decoder, store, tmp_path / "out", rate_hz=1000.0)
    lines = lines_of(np.random.default_rng(2).normal(size=(3000, 6)) + 3).splitlines()
    lines[1000] = ""  # a lost sample
    _, decoded = run_program(tmp_path / "out", "\n".join(lines), "--raw")
    live = LiveDecoder(decoder, lambda: Preprocess(decoder.decoder.entry, 1000.0), 1000.0)
    expected = np.array(list(live.run(Lines(lines))))
    assert len(decoded) == len(expected) == 150
    assert np.abs(decoded - expected).max() < 1e-4 * np.abs(expected).max()
    for values, count in ((np.ones((1, 7)), 7), (np.full((1, 6), np.nan), 6)):
        refused = program(tmp_path / "out", lines_of(values), "--raw")
        assert refused.returncode == 1 and f"must have 6 finite numbers, but one has {count}" in refused.stderr


def test_z_scores_that_follow_do_so_in_the_program_too(folder, tmp_path):
    store = Store(str(make_folder(tmp_path / "own", adapt_s=2) / "store"))
    decoder = StreamDecoder(open_decoder(save(folder), store, "S", None, ()))
    deploy(decoder, store, tmp_path / "out", rate_hz=100.0)
    about = json.loads((tmp_path / "out" / "decoder.json").read_text())["preprocessing"]
    assert (about["fitted_on"], about["share_of_bin"]) == ("train", 0.01)
    lines = lines_of(np.random.default_rng(2).normal(size=(600, 6)) * np.linspace(1, 5, 600)[:, None])
    _, decoded = run_program(tmp_path / "out", lines, "--raw")
    live = LiveDecoder(decoder, lambda: Preprocess(decoder.decoder.entry, 100.0), 100.0)
    expected = np.array(list(live.run(Lines(lines.splitlines()))))
    assert len(decoded) == 300 and np.abs(decoded - expected).max() < 1e-4 * np.abs(expected).max()


def test_deploy_says_that_z_scores_have_read_what_was_scored(folder, tmp_path):
    store, said = make_folder(tmp_path / "own", protocol="session_zscores") / "store", []
    deployed(save(folder), "S", str(store), None, (), tmp_path / "out", None, said.append)
    assert "z-scores of the whole session" in said[0]
    about = json.loads((tmp_path / "out" / "decoder.json").read_text())
    assert about["preprocessing"]["fitted_on"] == "session"


def test_program_answers_all_bins_of_a_model_that_is_late_but_the_last_ones(folder, tmp_path):
    store = Store(str(folder / "store"))
    decoder = StreamDecoder(open_decoder(save(folder, lookahead_bins=5), store, "S", None, ()))
    deploy(decoder, store, tmp_path / "out")
    values = np.random.default_rng(1).normal(size=(70, 6))
    _, decoded = run_program(tmp_path / "out", lines_of(values))
    expected = np.array(list(LiveDecoder(decoder).run(Lines(lines_of(values).splitlines()))))
    assert len(expected) == 70 and np.abs(decoded - expected[:65]).max() < 1e-4 * np.abs(expected).max()
    refused = program(tmp_path / "out", "", "--raw")
    assert refused.returncode == 1 and "out was written without --rate-hz" in refused.stderr


def test_command_writes_graph_and_description(folder, tmp_path):
    arguments = ("deploy", save(folder), "--session", "S", "--store", folder / "store", "--out", tmp_path / "out")
    done = raydistill(*arguments, cwd=tmp_path, check=0)
    assert done.stdout == f"{tmp_path / 'out'}\n" and done.stderr.splitlines()[-1].startswith(
        "onnxruntime and torch differ"
    )
    about = json.loads((tmp_path / "out" / "decoder.json").read_text())
    assert about["behavior"] == [{"name": "x", "unit": "cm/s"}, {"name": "y", "unit": "cm/s"}]
    assert about["state"]["0.keys"] == {"shape": [1, 4, 50, 16], "dtype": "float32"} and about["window_bins"] == 50
    assert "not empty" in raydistill(*arguments, cwd=tmp_path, check=2).stderr


def test_graph_that_does_not_agree_is_not_written(folder, tmp_path, monkeypatch):
    decoder, store = make_decoder(folder)
    monkeypatch.setattr(deploying, "TOLERANCE", 0.0)
    with pytest.raises(DataError, match=r"differ by .*; nothing was written"):
        deploy(decoder, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("weight", "bias", "agrees"), [(0.0, 1e6, True), (1.0, 1e6, True), (1.0, 0.0, False)])
def test_behavior_agrees_up_to_rounding_whatever_its_offset_and_weights(folder, monkeypatch, weight, bias, agrees):
    """Differences count in standard deviations of behavior; the last digits of a large offset do not."""
    module = StepModule.of(make_decoder(folder)[0])
    module.weights.fill_(weight)
    module.bias.fill_(bias)
    step = ready(module, exported(module))
    if not agrees:
        monkeypatch.setattr(module, "bias", module.bias + 1e-3)
    bins = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    difference = deploying._difference(module, step, bins, np.ones(2))
    assert (difference < TOLERANCE) == agrees


def test_states_that_only_their_own_update_reads_are_shared(folder):
    keys = exported(StepModule.of(make_decoder(folder)[0]))
    assert sorted(in_place(keys)) == ["0.keys", "0.values", "1.keys", "1.values"]
    assert in_place(exported(StepModule.of(make_decoder(folder, "mamba")[0]))) == []


def test_graph_that_gives_no_numbers_is_not_written(folder, tmp_path):
    decoder, store = make_decoder(folder)
    with torch.no_grad():
        next(decoder.decoder.model.parameters()).fill_(torch.nan)
    with pytest.raises(DataError, match="differ by nan"):
        deploy(decoder, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rate_of_raw_samples_is_refused_for_a_model_of_spikes(folder, tmp_path):
    store = Store(str(folder / "store"))
    decoder = StreamDecoder(open_decoder(save(folder, modality="spikes"), store, "S", None, ()))
    with pytest.raises(DataError, match="`rate_hz` is the rate of raw LFP samples, but this model reads spikes"):
        deploy(decoder, store, tmp_path / "out", rate_hz=1000.0)


def test_model_with_an_operation_that_onnx_lacks_is_refused_and_nothing_is_written(folder, tmp_path):
    family = FAMILIES["msid"]
    config = family.configure(family.settings(states=(4,)), "lfp", "linear")
    place, store = tmp_path / "model", Store(str(folder / "store"))
    place.mkdir()
    save_model(build_model(ModelSpec(family="msid", config=config, sessions={"S": 1})), place)
    decoder = StreamDecoder(open_decoder(place, store, "S", None, ()))
    with pytest.raises(DataError, match=r"ONNX has no form for a part of this model \(family msid\)"):
        deploy(decoder, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()

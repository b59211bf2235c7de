"""`raydistill decode --stream`: the scored segments of a stored session, bin by bin."""

import json

import numpy as np
import pytest
import torch

from raydistill.decode.command import decode, summary_line
from raydistill.stream.command import replayed
from raydistill.stream.replay import Latency
from tests.commands import raydistill
from tests.stream.models import make_folder, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("stream"))


@pytest.mark.parametrize("behavior", [(), ("y", "x")])
@pytest.mark.parametrize("backbone", ["transformer", "mamba"])
def test_replay_decodes_what_whole_segments_give(folder, behavior, backbone):
    model, store = save(folder, True, behavior, backbone), str(folder / "store")
    report = replayed(model, "S", store, None, ())
    at_once = decode(model, "S", store, None, (), None, None)
    assert report.r2 == pytest.approx(at_once["r2"], abs=1e-5) and report.r2_whole == at_once["r2"]
    assert report.n_bins == at_once["n_test"] and report.largest_difference < 1e-4
    if not behavior:
        assert report.r2 > 0.9  # by least squares
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms <= report.latency.max_ms
    assert torch.get_num_threads() >= 1 and report.threads == 1 and report.memory_mb > 50


def test_command_prints_one_line_or_json(folder):
    model, store = save(folder), folder / "store"
    arguments = ("decode", model, "--session", "S", "--store", store, "--stream")
    line = raydistill(*arguments, cwd=folder, check=0).stdout
    assert line.startswith("S: R² ") and "over whole segments" in line and line.count("\n") == 1
    report = json.loads(raydistill(*arguments, "--json", cwd=folder, check=0).stdout)
    assert set(report) >= {"r2", "r2_whole", "latency", "n_bins", "memory_mb", "threads"}


def test_score_of_one_of_several_draws_says_so(folder, tmp_path):
    model, store = save(folder), make_folder(tmp_path, draws=3) / "store"
    decoded = decode(model, "S", str(store), None, (), None, None)
    assert summary_line(decoded).endswith("protocol; draw 1 of the 3 draws of its folds alone")
    replay = replayed(model, "S~2", str(store), "S", ())
    assert (replay.draw, replay.draws) == (
        2,
        3,
    ) and "; draw 2 of the 3 draws of its folds alone); " in replay.in_words()
    once = replayed(model, "S", str(folder / "store"), None, ())
    assert (once.draw, once.draws) == (1, 1) and "draw" not in once.in_words()


def test_z_scores_of_a_whole_session_are_used_with_a_warning(folder, tmp_path):
    model, said = save(folder), []
    store = make_folder(tmp_path, protocol="session_zscores") / "store"
    assert replayed(model, "S", str(store), None, (), said.append).n_bins > 0
    (warning,) = said
    assert warning.startswith("warning: session S was stored with z-scores of the whole session (`protocol: session_z")
    replayed(model, "S", str(folder / "store"), None, (), said.append)
    assert len(said) == 1, "z-scores of the training fold have not read what is scored"


def test_model_that_reads_later_bins_is_refused_with_the_setting(folder):
    model = save(folder, causal=False)
    done = raydistill("decode", model, "--session", "S", "--store", folder / "store", "--stream", cwd=folder, check=2)
    assert "train one with `model: {causal: true}`" in done.stderr and done.stderr.count("\n") == 1


def test_latency_counts_the_bins_that_took_too_long():
    latency = Latency.of(np.array([0.001] * 99 + [0.05]), 20.0)
    assert (latency.p50_ms, latency.max_ms, latency.share_over_bin) == (pytest.approx(1), pytest.approx(50), 0.01)

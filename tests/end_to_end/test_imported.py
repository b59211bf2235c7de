"""Imported models in a sweep, through the commands: decoded as they are, and as the start of a training."""

import json
import shutil

import pytest

from raydistill.store.store import Store
from tests.commands import JOBS, raydistill, read_json
from tests.sweep.planning.test_imported import import_into

LINES = """jobs:
  released: {imported: ../model}
  tuned: {finetune: released, each: held_out, supervision: full}
methods:
  Released:
    - {job: released, each: held_out}
    - {job: released, each: neighbours, as: S1_02}
  Tuned: tuned
compare: [Tuned > Released]
"""


@pytest.fixture(scope="module")
def imported(finished_sweep, tmp_path_factory):
    """(folder, store) of a sweep whose file is in a folder of its own, one level above which the model lies."""
    folder = tmp_path_factory.mktemp("imported")
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    shutil.copytree(store, folder / "store")
    channels = {e.session: e.n_channels for e in Store(str(store)).entries()}
    assert channels["S1_01"] == channels["S1_02"]
    import_into(folder / "model", {s: channels[s] for s in ("S1_02", "S2_02")}, patch=8)
    head = JOBS.split("jobs:")[0].replace("  held_out", "  neighbours: {names: [S1_01]}\n  held_out")
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "s.yaml").write_text(f"name: s\nstore: ../store\n{head}{LINES}controls: []\n")
    raydistill("sweep", "sweeps/s.yaml", cwd=folder, check=0)
    return folder


def test_imported_model_is_scored_in_a_sweep_as_decode_scores_it(imported):
    results = read_json("results", "sweeps/s.yaml", cwd=imported)
    scores = {(s["method"], s["session"]): s["r2"] for s in results["scores"]}
    assert {session for method, session in scores if method == "Released"} == {"S1_01", "S1_02", "S2_02"}
    assert {session for method, session in scores if method == "Tuned"} == {"S1_02", "S2_02"}
    for session, more in (("S1_02", ()), ("S1_01", ("--as", "S1_02"))):
        columns = ("--behavior", "velocity_x", "--behavior", "velocity_y", "--json")
        arguments = ("--session", session, "--store", "store", *more, *columns)
        decoded = json.loads(raydistill("decode", "model", *arguments, cwd=imported, check=0).stdout)
        assert decoded["r2"] == pytest.approx(scores["Released", session], abs=1e-6)
    assert raydistill("sweep", "sweeps/s.yaml", cwd=imported, check=0)
    counts = read_json("plan", "sweeps/s.yaml", cwd=imported)["counts"]
    assert counts["done"] == sum(counts.values())


def test_imported_model_with_other_channels_is_refused_by_decode_and_by_the_sweep(imported):
    n = Store(str(imported / "store")).entry("S2_02").n_channels
    import_into(imported / "narrow", {"S2_02": n - 1}, patch=8)
    arguments = ("decode", "narrow", "--session", "S2_02", "--store", "store")
    message = f"has {n} channels, but S2_02, which the model was trained on, has {n - 1}"
    assert message in raydistill(*arguments, cwd=imported, check=2).stderr
    assert message in raydistill(*arguments, "--as", "S2_02", cwd=imported, check=2).stderr
    overrides = ("--set", "jobs.released.imported=narrow", "--set", "methods.Released={job: released, each: held_out}")
    text = raydistill("plan", "sweeps/s.yaml", *overrides, "--set", "sessions.held_out={names: [S2_02]}", cwd=imported)
    assert text.returncode == 2 and message in text.stderr

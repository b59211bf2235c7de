"""A trained model, used from the command line and from Python."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pynwb import NWBHDF5IO
from sklearn.metrics import r2_score

import raydistill as package
from raydistill.errors import DataError
from raydistill.store.store import Store
from tests.commands import raydistill, read_json
from tests.paths import ROOT


@pytest.fixture(scope="module")
def made(finished_sweep):
    """(the sweep's folder, its store, folder of each job by name)"""
    (store,) = (finished_sweep / "runs" / "stores").iterdir()
    jobs = read_json("plan", "sweep.yaml", cwd=finished_sweep)["jobs"]
    return finished_sweep, store, {job["name"]: finished_sweep / "runs" / "jobs" / job["key"] for job in jobs}


def decode(made, name, session, *more, check=0):
    folder, store, jobs = made
    return raydistill("decode", jobs[name], "--session", session, "--store", store, *more, cwd=folder, check=check)


def test_decode_of_its_own_session_gives_the_score_of_the_sweep(made, tmp_path):
    out, picture = tmp_path / "S1_02.parquet", tmp_path / "S1_02.png"
    columns = ("--behavior", "velocity_x", "--behavior", "velocity_y")
    more = ("--json", "--out", out, "--picture", picture, *columns)
    printed = json.loads(decode(made, "distilled/S1_02/seed0", "S1_02", *more).stdout)
    metrics = json.loads((made[2]["distilled/S1_02/seed0"] / "metrics.json").read_text())
    assert printed["r2"] == pytest.approx(metrics["r2"], abs=1e-6) and printed["protocol"] == "corrected"
    assert picture.read_bytes().startswith(b"\x89PNG")

    entry, table = Store(str(made[1])).entry("S1_02"), pq.read_table(out)
    frame = table.to_pandas()
    assert len(frame) == entry.n_bins and frame["time_s"].is_monotonic_increasing
    assert set(frame["split"]) == {"train", "valid", "test"} and "latent_031" in frame and "latent_032" not in frame
    scored = frame[frame["split"] == "test"]
    r2 = [r2_score(scored[name], scored[f"{name}_decoded"]) for name in ("velocity_x", "velocity_y")]
    assert np.mean(r2) == pytest.approx(printed["r2"], abs=1e-4)  # in units of the recording as in z-scores
    about = json.loads(table.schema.metadata[b"raydistill"])
    assert about["units"] == dict.fromkeys(("velocity_x", "velocity_y"), entry.behavior_units[-1])
    assert about["r2"] == printed["r2"]


def test_decoded_session_as_nwb_contains_recorded_and_decoded_behavior(made, tmp_path):
    out = tmp_path / "S1_02.nwb"
    decode(made, "ss_lfp/S1_02/seed0", "S1_02", "--out", out)
    entry = Store(str(made[1])).entry("S1_02")
    with NWBHDF5IO(out, "r") as file:
        nwb = file.read()
        module = nwb.processing["raydistill"]
        assert module["latents"].data.shape == (entry.n_bins, 32)
        assert json.loads(module["latents"].comments)["session"] == "S1_02"
        recorded = nwb.processing["behavior"]["BehavioralTimeSeries"]
        assert set(module["decoded"].time_series) == set(recorded.time_series) == set(entry.behavior)
        for name, series in module["decoded"].time_series.items():
            assert series.data.shape == recorded[name].data.shape and series.unit == recorded[name].unit


def test_decode_refuses_an_unknown_file_type_before_any_work(made, tmp_path):
    done = decode(made, "ss_lfp/S1_02/seed0", "S1_02", "--out", tmp_path / "x.npz", check=2)
    assert "must end in .parquet or .nwb" in done.stderr


@pytest.mark.parametrize("name", ["x.parquet", "x.nwb"])
def test_decode_replaces_only_a_file_that_raydistill_wrote(made, tmp_path, name):
    out, command = tmp_path / name, (made, "ss_lfp/S1_02/seed0", "S1_02", "--out", tmp_path / name)
    out.write_bytes(b"the only copy")
    assert "exists already; give another name, or `--overwrite`" in decode(*command, check=2).stderr
    assert "never overwrites it" in decode(*command, "--overwrite", check=2).stderr
    assert out.read_bytes() == b"the only copy"
    out.unlink()
    decode(*command)
    assert "exists already" in decode(*command, check=2).stderr
    decode(*command, "--overwrite")


def test_decode_of_another_session_needs_a_session_whose_embeddings_to_use(made):
    done = decode(made, "distilled/S1_02/seed0", "S1_01", check=2)
    assert (
        "was not trained on session S1_01; give `--as` one of the sessions whose embeddings it should use: S1_02"
        in done.stderr
    )
    assert "R²" in decode(made, "distilled/S1_02/seed0", "S1_01", "--as", "S1_02").stdout
    done = decode(made, "distilled/S1_02/seed0", "S1_01", "--as", "S1_2", check=2)
    assert 'was not trained on session "S1_2"; did you mean "S1_02"?' in done.stderr


def test_loaded_model_gives_the_latents_of_its_job_to_the_last_bit(made):

    from raydistill.models.files import load_model
    from raydistill.models.inputs import inputs_of
    from raydistill.models.latents import encode

    store, folder = Store(str(made[1])), made[2]["teacher/S1_02/seed0"]
    entry = store.entry("S1_02")
    segment = store.read(entry, "test")[0]
    model = package.load_model(folder)
    latents = model.latents(spikes=segment.spikes)
    neural = load_model(folder)
    (expected,) = encode(neural, [segment], inputs_of(neural.spec, [entry]))
    assert np.array_equal(latents, expected.numpy()) and latents.dtype == np.float32
    assert model.sessions == ("S1_02",) and model.spec.provenance["data"] == {"S1_02": entry.content}
    assert model.spec.provenance["protocol"] == "corrected" and model.spec.provenance["job"] == "teacher/S1_02/seed0"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "this model reads spikes: give `spikes`"),
        ({"spikes": np.zeros(5)}, r"`spikes` has the shape \(5,\)"),
        ({"spikes": np.full((5, 3), 0.5)}, "whole numbers from 0 to 255"),
        ({"spikes": np.full((5, 3), np.nan)}, "not finite"),
        ({"spikes": np.zeros((5, 99))}, "has 99 units, but S1_02, which the model was trained on, has"),
        ({"spikes": np.zeros((5, 3)), "session": "S9"}, 'give one as `session`, but got "S9"'),
    ],
)
def test_loaded_model_refuses_what_it_cannot_read(made, given, message):
    model = package.load_model(made[2]["teacher/S1_02/seed0"])
    with pytest.raises(DataError, match=message):
        model.latents(**given)
    with pytest.raises(DataError, match="no behavior head"):
        model.behavior(**({"spikes": np.zeros((5, 3))} | given))


def test_readme_shows_lines_of_python_that_run(made, capsys):
    _, store, jobs = made
    code = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names = {"my_store": str(store), "my_session": "S1_02", "runs/jobs/KEY": str(jobs["distilled/S1_02/seed0"])}
    for shown, real in names.items():
        assert shown in code
        code = code.replace(shown, real)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("# Distilled LFP: S1_02, seed 0\n")
    assert printed.endswith("\ncorrected (50, 32) True\n")

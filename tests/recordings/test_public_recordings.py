"""Manifests of public recordings read files of their layout, with the right values (docs/recordings.md)."""

import importlib.util
import os

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.expand import expand
from tests.paths import EXAMPLES, SWEEPS
from tests.recordings.public_files import (
    SPEED,
    steinmetz_session,
    write_grosmark,
    write_jacobsen,
    write_pickle_that_calls,
    write_pickled,
    write_sargolini,
)
from tests.sweep.planning.test_plan import make_entry


def planned(manifest, folder):
    """name -> recording of a shipped manifest whose files are in `folder`."""
    return {r.name: r for r in plan_sources(EXAMPLES / manifest, folder=folder)}


def made(recording):
    with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        return to_session(recording, raw, {})


@pytest.fixture(scope="module")
def conversion():
    """examples/steinmetz2019.py as a module."""
    spec = importlib.util.spec_from_file_location("steinmetz2019", EXAMPLES / "steinmetz2019.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rats_of_the_entorhinal_cortex_give_their_speed_and_one_channel(tmp_path):
    write_sargolini(tmp_path / "sub-10073" / "sub-10073_ses-17010302_behavior+ecephys.nwb")
    session, notes = made(planned("dandi_000582.yaml", tmp_path)["R10073_17010302"])
    assert (session.subject, session.dataset, session.spikes.shape[1]) == ("R10073", "dandi_000582", 3)
    assert session.behavior_names == ("speed",)
    assert np.nanmax(np.abs(session.behavior - SPEED)[50:-50]) < 0.01 * SPEED
    assert session.lfp.shape == (len(session.spikes), 1)
    assert np.std(session.lfp) == pytest.approx(
        1e-4 / np.sqrt(2), rel=0.1
    )  # 8 Hz passes, and no common average is taken
    assert any("acquisition/ElectricalSeries" in note for note in notes)
    assert session.spikes.sum() == pytest.approx(3 * 480, abs=3)


def test_mice_of_the_entorhinal_cortex_give_the_stated_speed_and_four_channels(tmp_path):
    write_jacobsen(tmp_path / "sub-70375" / "sub-70375_ses-20170316T095515_behavior+ecephys.nwb")
    session, _ = made(planned("dandi_000230.yaml", tmp_path)["M70375_20170316_0955"])
    assert (session.subject, session.spikes.shape[1], session.lfp.shape[1]) == ("M70375", 1, 4)
    assert session.behavior_names == ("movement_speed",) and session.behavior_units == ("m/s",)
    t = session.start_s + (np.arange(len(session.spikes)) + 0.5) * 0.02
    assert np.nanmax(np.abs(session.behavior[:, 0] - (0.1 + 0.05 * np.sin(t / 5)))[50:-50]) < 1e-3


def test_trials_of_the_wheel_come_out_with_their_counts_lfp_and_velocity(tmp_path, conversion):
    parts = [steinmetz_session("Cori", "2016-12-14"), steinmetz_session("Cori", "2016-12-17", units=2, areas=1)]
    write_pickled(tmp_path / "steinmetz_part0.npz", [session for session, _ in parts])
    write_pickled(tmp_path / "steinmetz_lfp.npz", [field for _, field in parts])
    conversion.main(tmp_path)
    session, _ = made(planned("steinmetz2019.yaml", tmp_path)["Cori_2016-12-14"])
    assert (session.subject, len(session.spikes), session.spikes.shape[1]) == ("Cori", 24 * 50, 4)
    spks = parts[0][0]["spks"].astype(int)  # (units, trials, 10 ms)
    assert np.array_equal(session.spikes, spks.reshape(4, -1, 5).sum(-1).T)
    trial = np.repeat(np.arange(24), 50)
    assert np.allclose(session.behavior[:, 0], trial % 5 - 2)
    assert np.allclose(session.lfp, trial[:, None] + np.array([0, 100, 200]))
    assert made(planned("steinmetz2019.yaml", tmp_path)["Cori_2016-12-17"])[0].lfp.shape == (24 * 50, 1)


def test_conversion_of_the_wheel_runs_nothing_that_a_pickle_asks_for(tmp_path, conversion):
    target = tmp_path / "made_by_the_pickle"
    write_pickle_that_calls(tmp_path / "steinmetz_lfp.npz", os.mkdir, str(target))
    with pytest.raises(Exception, match="mkdir is no array, number or text"):
        conversion.main(tmp_path)
    assert not target.exists()


def test_conversion_of_the_wheel_refuses_lfp_of_other_trials(tmp_path, conversion):
    (session, _), (_, field) = steinmetz_session("Cori", "2016-12-14"), steinmetz_session("Cori", "x", trials=20)
    with pytest.raises(ValueError, match=r"Cori_2016-12-14: .* are not of the same trials"):
        conversion.write_session(tmp_path, session, field)


def test_position_whose_rate_is_a_step_in_seconds_is_refused_until_it_is_mended(tmp_path):
    path = write_grosmark(tmp_path / "Achilles.nwb")
    manifest = tmp_path / "manifest.yaml"
    maze = "interval: {table: epochs, column: label, value: MazeEpoch}"
    manifest.write_text(f"sessions: [{{file: Achilles.nwb, lfp: null, {maze}, behavior: {{derive: velocity}}}}]")
    (recording,) = plan_sources(manifest)
    with pytest.raises(DataError, match=r"behavior is lost in every bin.*are its time stamps in seconds"):
        made(recording)
    series = "processing/behavior/1.6mLinearMazeLinearizedPosition/1.6mLinearMazeLinearizedTimeSeries"
    with h5py.File(path, "r+") as file:
        file[f"{series}/starting_time"].attrs["rate"] = 1 / 0.0256
    velocity = made(plan_sources(manifest)[0])[0].behavior
    assert len(velocity) in (4999, 5000)  # 50 s at 10 ms
    assert np.nanmax(np.abs(velocity[:-5] - SPEED)) < 1e-3


@pytest.mark.parametrize(
    ("manifest", "name", "n_sessions", "n_compared"),
    [
        ("dandi_000582", "entorhinal_rats", 27, 9),
        ("dandi_000230", "entorhinal_mice", 9, 9),
        ("steinmetz2019", "wheel", 39, 10),
    ],
)
def test_sweep_of_a_public_recording_fits_the_sessions_of_its_manifest(
    manifest, name, n_sessions, n_compared, tmp_path
):
    recordings = plan_sources(EXAMPLES / f"{manifest}.yaml", folder=tmp_path)
    assert len(recordings) == n_sessions
    sweep = load_sweep(SWEEPS / f"{name}.yaml", ("store=somewhere",))
    entries = [
        make_entry(r.name, subject=r.name.split("_")[0], dataset=manifest, behavior=sweep.behavior) for r in recordings
    ]
    jobs = expand(sweep, entries)
    compared = {job.session for job in jobs if job.name.startswith("distilled/")}
    assert len(compared) == n_compared
    pretraining = [job for job in jobs if job.name.startswith("ms_spike/")]
    assert all(not compared & set(job.spec.sessions) for job in pretraining)
    assert bool(pretraining) == (name != "entorhinal_mice")

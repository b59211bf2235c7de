"""SIGKILL of a worker, of the driver and of the raylet while a pretraining runs: the same bytes in the end."""

from tests.faults.killing import VICTIMS, disturbed, outcome, sweep_text


def test_pretraining_killed_three_ways_ends_with_the_same_weights_history_and_scores(finished_sweep, tmp_path):
    sweep = tmp_path / "sweep.yaml"
    # How often it is saved changes no result and no key, so the small sweep's pretraining is the undisturbed one.
    sweep.write_text(sweep_text())
    kills = disturbed(tmp_path, finished_sweep / "runs", VICTIMS, seed=35)
    assert kills == 3
    expected, found = outcome(sweep, finished_sweep / "runs"), outcome(sweep, tmp_path / "runs")
    assert "ms_spike/seed0 model.safetensors" in expected
    assert [name for name in expected if expected[name] != found[name]] == []

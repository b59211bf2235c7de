"""SIGKILL of a worker, the driver and the raylet during a pretraining: the result is the same, byte for byte."""

from tests.faults.killing import VICTIMS, disturbed, outcome, sweep_text


def test_pretraining_killed_three_ways_ends_with_the_same_weights_history_and_scores(finished_sweep, tmp_path):
    sweep = tmp_path / "sweep.yaml"
    # The interval of checkpoints changes neither the result nor the key, so the finished sweep has the undisturbed run.
    sweep.write_text(sweep_text())
    kills = disturbed(tmp_path, finished_sweep / "runs", VICTIMS, seed=35)
    assert kills == 3
    expected, actual = outcome(sweep, finished_sweep / "runs"), outcome(sweep, tmp_path / "runs")
    assert "ms_spike/seed0 model.safetensors" in expected
    assert [name for name in expected if expected[name] != actual[name]] == []

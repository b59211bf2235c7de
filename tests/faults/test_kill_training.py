"""SIGKILL of a worker, the driver and the raylet in one pretraining: it ends with the same bytes."""

from .killing import VICTIMS, disturbed, undisturbed


def test_pretraining_killed_three_ways_ends_with_the_same_weights_history_and_scores(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = undisturbed(tmp_path / "whole")
    found, kills = disturbed(tmp_path / "killed", tmp_path / "whole", VICTIMS, seed=1)
    assert kills == 3
    assert [name for name in expected if found[name] != expected[name]] == []

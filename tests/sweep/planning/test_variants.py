"""Variants of a sweep: a name for every set of overrides that may change a result."""

import pytest

from raydistill.errors import ConfigError
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.variants import variant_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "demo"),
        (["training.epochs=5"], "demo+training.epochs=5"),
        (["training.epochs=4", "training.epochs=5"], "demo+training.epochs=5"),
        (["b=2", "a=1"], "demo+a=1,b=2"),
        (["a=1", " b =2 "], "demo+a=1,b=2"),
        (["cpus_per_job=2", "engine.memory=stream"], "demo"),
        (["cpus_per_job=2", "preset=tiny"], "demo+preset=tiny"),
    ],
)
def test_variant_is_named_by_the_overrides_that_change_results(overrides, name):
    assert variant_name("demo", overrides) == name


def test_overrides_that_make_no_readable_name_are_hashed_and_stay_apart():
    names = [variant_name("demo", [text]) for text in ("seeds=[0, 1]", "seeds=[0, 2]", "store=/data", f"a={'x' * 80}")]
    assert len(set(names)) == 4 and all(len(name) == len("demo+") + 8 for name in names)
    assert variant_name("demo", ["seeds=[0,1]"]) == names[0]
    assert variant_name("demo", ["store=/data", "b=1"]) == variant_name("demo", ["b=1", "store=/data"])


def test_name_of_a_variant_is_a_folder_in_the_runs_folder(tmp_path):
    for text in ("training.epochs=5", "store=../../x", "a=..,b"):
        folder = RunsFolder(tmp_path).sweep_folder(variant_name("demo", [text]))
        assert folder.parent == tmp_path / "sweeps"


def test_override_without_a_value_is_refused():
    with pytest.raises(ConfigError, match="--set takes `path=value`"):
        variant_name("demo", ["epochs"])

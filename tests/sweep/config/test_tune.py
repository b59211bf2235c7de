"""`tune` of a sweep: short and long form, the default space, and what is refused."""

import pytest

from raydistill.config.load import Where, build
from raydistill.config.training import RECIPES
from raydistill.errors import ConfigError
from raydistill.sweep.config.reading import with_trials
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.config.tune import TuneConfig, space_of
from tests.sweep.planning.test_plan import SWEEP


def sweep_with(tune, **change):
    return build(SweepConfig, SWEEP | change | {"tune": tune}, Where("sweep.yaml"))


def test_number_is_short_for_that_many_trials():
    assert sweep_with(7).tuning == sweep_with({"trials": 7}).tuning == TuneConfig(trials=7)
    assert sweep_with(None).tuning is None


@pytest.mark.parametrize("preset", RECIPES)
def test_default_space_has_valid_values_around_the_preset(preset):
    sweep = sweep_with(5, preset=preset)
    space = space_of(sweep.tuning, preset, sweep.jobs.values())
    rate, own = space.dimensions["training.learning_rate"], RECIPES[preset].training.learning_rate
    assert (rate.low, rate.high) == (own / 4, own * 4)
    for name, dimension in space.dimensions.items():
        section, _, field = name.partition(".")
        for value in getattr(dimension, "choices", (dimension.low, dimension.high) if section == "training" else ()):
            for line in ("ms", "ss"):
                sweep_with(5, preset=preset, jobs={line: SWEEP["jobs"][line] | {section: {field: value}}}, methods={})


def test_values_of_the_space_have_the_types_of_the_settings():
    sweep = sweep_with({"space": {"training.epochs": {"low": 5, "high": 9}, "model.dropout": [0, 0.1]}})
    space = space_of(sweep.tuning, sweep.preset, sweep.jobs.values())
    assert space.dimensions["training.epochs"].whole and space.dimensions["model.dropout"].choices == (0.0, 0.1)
    assert isinstance(space.dimensions["model.dropout"].choices[0], float)


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        (1, r"`tune` must be at least 2"),
        ({"trials": 1}, r"`tune.trials` must be at least 2"),
        ({"space": {}}, r"tune.space: `space` names nothing to try"),
        ({"space": {"training.rate": [1, 2]}}, r'tune.space.training.rate: .*unknown key "rate"'),
        (
            {"space": {"embedding": ["conv", "mlp"]}},
            r'varies settings of model, training, objective, .*not "embedding"',
        ),
        ({"space": {"model.dropout": [0.1, 2]}}, r"`model.dropout` must be at least 0 and below 1"),
        ({"space": {"model.dropout": {"choices": [0.1], "when": {"model.width": 1}}}}, r'`when` names "model.width"'),
        ({"space": {"model.width": [32, 64]}}, r"tune.space.model.width: model.width cannot be varied here: students"),
        ({"methods": ["Distil"]}, r'`tune` names "Distil", which is no method of the sweep; it has Distilled, SS'),
        ({"sampler": "tpe"}, r'unknown key "sampler" in `tune`'),
    ],
)
def test_wrong_tune_is_refused_in_one_line(tune, message):
    with pytest.raises(ConfigError, match=message) as caught:
        sweep_with(tune)
    assert "\n" not in str(caught.value) and str(caught.value).count("sweep.yaml") == 1


@pytest.mark.parametrize(
    ("text", "override"), [("jobs: {}", "tune=6"), ("tune: 3", "tune=6"), ("tune: {seed: 1}", "tune.trials=6")]
)
def test_option_of_the_command_changes_the_number_of_trials_only(tmp_path, text, override):
    (tmp_path / "sweep.yaml").write_text(text)
    assert with_trials(tmp_path / "sweep.yaml", ("seeds=1",), 6) == ("seeds=1", override)
    assert with_trials(tmp_path / "sweep.yaml", ("seeds=1",), None) == ("seeds=1",)

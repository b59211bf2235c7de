"""Search files: the shipped ones are valid, and invalid ones are refused."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.search import Halving, load_search
from raydistill.sweep.config.space import Choices, Range
from tests.paths import SWEEPS
from tests.sweep.config.smallest import SWEEP

SEARCH = """name: search_ft
sweep: sweep.yaml
job: ft
space:
  training.learning_rate: {low: 0.001, high: 0.1, log: true}
  model.dropout: [0.1, 0.2]
"""


@pytest.fixture
def load(tmp_path):
    def load(text=SEARCH):
        (tmp_path / "sweep.yaml").write_text(SWEEP)
        (tmp_path / "search.yaml").write_text(text)
        return load_search(tmp_path / "search.yaml")

    return load


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("search_*.yaml")), ids=lambda p: p.stem)
def test_shipped_search_loads_and_opens_with_question_cost_and_answer(path):
    assert load_search(path).name == path.stem
    words = ["# Question:", "# Cost:", "# Answers:"]
    assert [line[: len(word)] for line, word in zip(path.read_text().splitlines(), words, strict=False)] == words


def test_search_puts_values_into_the_job_and_nowhere_else(load):
    search = load()
    assert search.space.dimensions == {
        "training.learning_rate": Range(low=0.001, high=0.1, log=True),
        "model.dropout": Choices(choices=(0.1, 0.2)),
    }
    sweep = search.sweep_with({"training.learning_rate": 1e-05, "model.dropout": 0.1})
    assert sweep.training_of(sweep.jobs["ft"]).learning_rate == 1e-05 and sweep.model_of("ft").dropout == 0.1
    assert sweep.model_of("ms").dropout == 0.0


def test_halving_compares_at_growing_epochs_and_ends_with_the_last():
    assert Halving(first=5, part=2).rungs(30) == [5, 10, 20, 30]
    assert Halving(first=5, part=3).rungs(5) == [5]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("job: ft", "job: fft", 'has no job "fft"; did you mean "ft"?'),
        ("model.dropout: [0.1, 0.2]", "model.layer: [1, 2]", 'unknown key "layer"'),
        ("model.dropout: [0.1, 0.2]", "model.layers: [one]", "must be a whole number"),
        ("low: 0.001, high: 0.1", "low: 0.1, high: 0.1", "needs `low` below `high`"),
        ("job: ft", "job: ft\nsampler: grid", "needs lists of choices, or ranges of whole numbers or with a `step`"),
        ("[0.1, 0.2]", "[0.1, 0.2, 0.1]", "0.1 is given twice"),
        ("[0.1, 0.2]", "{choices: [0.1], whn: {}}", 'unknown key "whn" in `space.model.dropout`; did you mean "when"?'),
        ("[0.1, 0.2]", "{low: 0, high: .nan}", "must be a finite number"),
        ("model.dropout: [0.1, 0.2]", "model.layers: {low: 1.5, high: 3}", "a whole number, so `low` must be one, too"),
        ("model.dropout: [0.1, 0.2]", "model.backbone: {low: 1, high: 3}", "is no number; give a list of choices"),
        ("model.dropout: [0.1, 0.2]", "engine.micro_batch: [1, 2]", "execution settings change no score"),
        ("model.dropout: [0.1, 0.2]", "each: [held_out]", 'unknown key "each" in a job'),
        ("model.dropout: [0.1, 0.2]", "modl.dropout: [0.1]", 'no section "modl"; did you mean "model"?'),
        ("[0.1, 0.2]", "{choices: [0.1], when: {model.layers: 1}}", '"model.layers", which is not in the space'),
        ("job: ft", "job: ft\nobjectives: [parameters]", "`objectives` must be [valid_r2]"),
    ],
)
def test_invalid_search_is_refused(load, old, new, message):
    with pytest.raises(RaydistillError) as caught:
        load(SEARCH.replace(old, new))
    assert message in str(caught.value)


def test_load_search_of_a_sweep_names_the_command_that_runs_it(load, tmp_path):
    load()
    with pytest.raises(RaydistillError, match=r"sweep\.yaml: this is a sweep, .*`raydistill sweep "):
        load_search(tmp_path / "sweep.yaml")


def test_load_sweep_of_a_search_names_the_command_that_runs_it(load, tmp_path):
    load()
    with pytest.raises(RaydistillError, match=r"search\.yaml: this is a search, .*`raydistill search "):
        load_sweep(tmp_path / "search.yaml")


def space_of(load, dimension):
    return load(SEARCH.replace("model.dropout: [0.1, 0.2]", dimension)).space.dimensions


@pytest.mark.parametrize(
    ("dimension", "kind"),
    [("training.weight_decay: {low: 0, high: 1}", float), ("model.layers: {low: 1.0, high: 3}", int)],
)
def test_type_of_a_range_is_that_of_the_setting_and_not_of_the_text(load, dimension, kind):
    name = dimension.partition(":")[0]
    values = space_of(load, dimension)[name]
    assert type(values.low) is type(values.high) is kind and values.whole is (kind is int)


def test_choices_and_conditions_get_the_type_of_their_settings(load):
    text = "training.clip: {choices: [1, null], when: {model.space_std: 1}}\n  model.space_std: [1, 2]"
    clip, std = space_of(load, text)["training.clip"], space_of(load, text)["model.space_std"]
    assert repr(clip.choices) == "(1.0, None)" and repr(std.choices) == "(1.0, 2.0)"
    assert clip.when == {"model.space_std": (1.0,)}


def test_range_with_an_invalid_combination_at_one_end_is_not_refused(load):
    search = load(SEARCH.replace("model.dropout: [0.1, 0.2]", "model.width: {low: 30, high: 64}"))
    with pytest.raises(RaydistillError, match="multiple of twice its heads"):
        search.sweep_with({"model.width": 30})


def test_settings_of_an_objective_can_be_searched(load):
    search = load(SEARCH.replace("model.dropout", "objective.mask_ratio"))
    sweep = search.sweep_with({"objective.mask_ratio": 0.2})
    assert search.own_values["objective.mask_ratio"] == 0.6
    assert sweep.objective_of(sweep.jobs["ft"]).mask_ratio == 0.2


def test_grid_of_a_billion_points_is_refused_at_once(load):
    names = [
        f"training.{name}: {{low: 0.1, high: 1, step: 0.0005}}" for name in ("weight_decay", "decay", "warmup_start")
    ]
    text = SEARCH.replace("  training.learning_rate: {low: 0.001, high: 0.1, log: true}\n", "")
    text = text.replace("model.dropout: [0.1, 0.2]", "\n  ".join(names))
    with pytest.raises(RaydistillError, match="the grid has more than 10,000 points"):
        load(f"{text}sampler: grid\n")
    assert load(text).space.finite


def test_store_on_the_command_line_is_that_of_the_sweep(load, tmp_path):
    load()
    search = load_search(tmp_path / "search.yaml", ["store=elsewhere", "trials=7"])
    assert search.sweep.store == "elsewhere" and search.config.trials == 7
    with pytest.raises(RaydistillError, match='unknown key "stor"'):
        load_search(tmp_path / "search.yaml", ["stor=elsewhere"])


def test_sweep_is_read_once(load, tmp_path):
    search = load()
    (tmp_path / "sweep.yaml").write_text("edited: while the search runs\n")
    assert search.sweep_with({"model.dropout": 0.2}).model_of("ft").dropout == 0.2


@pytest.mark.parametrize("values", ["[0.001, -1.0]", "{low: -1, high: 0.1}"])
def test_value_that_the_setting_can_never_have_is_refused_with_its_limits(load, values):
    with pytest.raises(RaydistillError, match=r"search\.yaml:5: `space.training.learning_rate` must be above 0"):
        load(SEARCH.replace("{low: 0.001, high: 0.1, log: true}", values))

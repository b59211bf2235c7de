"""Search files: the shipped ones are valid, and invalid ones are refused."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.search import Halving, Range, load_search, sweep_with
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


def test_search_puts_values_into_the_job_and_nowhere_else(load, tmp_path):
    search = load()
    assert search.space == {"training.learning_rate": Range(low=0.001, high=0.1, log=True), "model.dropout": (0.1, 0.2)}
    sweep = sweep_with(search, tmp_path / "search.yaml", {"training.learning_rate": 1e-05, "model.dropout": 0.1})
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
        ("job: ft", "job: ft\nsampler: grid", "needs lists of choices, or ranges with a `step`"),
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

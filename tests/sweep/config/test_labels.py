"""What a sweep that decodes a label cannot have is refused with its line, and what decodes labels elsewhere, too."""

import pytest

from raydistill.errors import ConfigError
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.search import load_search

FILE = """name: s
store: store
preset: tiny
behavior: {labels: direction}
sessions: {all: {names: [a]}}
jobs:
  lfp: {train: lfp, each: all}
methods: {LFP: lfp}
"""
CLASSIFIED = "{train: lfp, each: all, objective: label_classification}"


def load(folder, *changes, more=""):
    text = FILE + more
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "sweep.yaml").write_text(text)
    return load_sweep(folder / "sweep.yaml")


def test_label_is_read_in_place_of_columns(tmp_path):
    sweep = load(tmp_path)
    assert sweep.label == "direction" and sweep.columns == ()
    plain = load(tmp_path, ("{labels: direction}", "[vx, vy]"))
    assert plain.label is None and plain.columns == ("vx", "vy")


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ([], "baselines: [ridge_on_lfp]\n", "ridge_on_lfp decodes numbers, but the sweep decodes the label"),
        ([], "compare: [LFP > Ridge on LFP]\n", "ridge_on_lfp decodes numbers"),
        ([("{labels: direction}", "[vx]")], "baselines: [logistic_on_lfp]\n", "logistic_on_lfp decodes a label, but"),
        ([("{train: lfp, each: all}", "{train: lfp, each: all, supervision: full}")], "", "trains on behavior columns"),
        ([("{labels: direction}", "[vx]"), ("{train: lfp, each: all}", CLASSIFIED)], "", "needs a sweep that decodes"),
        ([("{LFP: lfp}", "{LFP: {job: lfp, past_bins: 3}}")], "", "`past_bins` decodes behavior columns"),
        ([], "tune: 3\n", "`tune` is about R²"),
        ([], "answers: {F3: all}\n", "`answers` is about R²"),
        (
            [("{train: lfp, each: all}", CLASSIFIED.replace("}", ", family: brant}"))],
            "",
            "`objective: label_classification` is not there for `family: brant`, only for crossmodal, realm, .*barista",
        ),
    ],
)
def test_parts_that_do_not_fit_a_label_are_refused(tmp_path, changes, more, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, *changes, more=more)


def test_search_of_a_sweep_that_decodes_a_label_is_refused(tmp_path):
    load(tmp_path)
    search = tmp_path / "search.yaml"
    search.write_text("name: x\nsweep: sweep.yaml\njob: lfp\nspace: {training.learning_rate: [0.1, 0.2]}\n")
    with pytest.raises(ConfigError, match=r'but sweep[.]yaml decodes the label "direction"'):
        load_search(search)

"""The table of docs/sweeps.md about what of the paper can be run: it agrees with the sweeps and with the numbers."""

import re
from collections import Counter

import pytest

from raydistill.papers.crossmodal import CROSSMODAL
from raydistill.sweep.config.reading import load_sweep
from tests.paths import ROOT, SWEEPS

SHORT = {"Figure ": "F", "Table ": "T", "Appendix A.7": "A7", "Appendix ": ""}
NO_NUMBERS = {("Table 2", ""), ("Figure 4", "unsupervised"), ("Figure 10", "scaling"), ("Appendix A.7", "brant")}


def rows():
    """(figure, its short name, sweep, state) of each row of the table."""
    text = (ROOT / "docs" / "sweeps.md").read_text()
    table = text.partition("| in the paper | what | sweep | state |\n|---|---|---|---|\n")[2].partition("\n\n")[0]
    for line in table.splitlines():
        figure, _, sweep, state = (cell.strip() for cell in line.strip("|").split("|"))
        short = figure
        for word, letter in SHORT.items():
            short = short.replace(word, letter)
        yield figure, short, sweep.strip("`–"), state


def shown_by(sweep):
    """The figures that a sweep answers, by their short names; the last one is that of similarity of latents."""
    config = load_sweep(SWEEPS / f"{sweep}.yaml")
    aligned = [CROSSMODAL.alignment_table] if config.align else []
    return {figure.partition(" ")[0] for figure in config.answers} | set(aligned)


def test_table_names_the_sweep_of_every_figure_and_no_other():
    including = {path.stem for path in SWEEPS.glob("*.yaml") if "include/paper.yaml" in path.read_text()}
    sweeps = {name for name in including if load_sweep(SWEEPS / f"{name}.yaml").paper == CROSSMODAL.name}
    sweeps -= {"generalization_released"}  # Figure 5 with other weights
    listed = {(short, sweep) for figure, short, sweep, _ in rows() if sweep and figure != "Figure 4"}
    assert listed == {(figure, sweep) for sweep in sweeps for figure in shown_by(sweep)}
    assert load_sweep(SWEEPS / "unsupervised.yaml").align, "without it, Figure 4 is not drawn"


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row[0]} {row[2]}")
def test_state_counts_the_numbers_that_are_shown_or_says_why_there_are_none(row):
    figure, short, sweep, state = row
    targets = [target for target in CROSSMODAL.targets if target.figure == short]
    if (figure, sweep) in NO_NUMBERS:
        assert not re.search(r"\d+ number", state)
    elif sweep:
        assert int(re.match(r"(\d+) number", state)[1]) == len(targets)
    else:
        assert {f"not there: {target.out_of_reach}" for target in targets} == {state}


def test_every_figure_with_numbers_is_in_the_table_once():
    listed = Counter(short for figure, short, sweep, _ in rows() if (figure, sweep) not in NO_NUMBERS)
    assert listed == Counter({target.figure for target in CROSSMODAL.targets})

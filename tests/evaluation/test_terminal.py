"""Results on a terminal: every number is whole, however narrow the terminal is."""

import io
import re

import pytest
from rich.console import Console

from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.evaluation.terminal import render
from raydistill.papers.targets import Panel

METHODS = ("Distilled LFP", "MS-LFP", "SS-LFP", "Wide ridge and clock on spikes", "Past ridge and clock on LFP")


def lines_of(width, n_subjects):
    """The lines of results with this many subjects, whose means are .111, .112, and so on."""
    scores = tuple(
        Score(method, f"subject_{i}.1", f"subject_{i}", 0, 0.111 + m / 1000, "job")
        for m, method in enumerate(METHODS)
        for i in range(n_subjects)
    )
    panel = Panel(pairs=((METHODS[0], METHODS[1]),))
    results = Results(protocol="corrected", scores=scores, comparisons=compare_all((panel,), scores), panels=(panel,))
    text = io.StringIO()
    render(results, Console(width=width, file=text))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("n_subjects", [3, 8, 12])
@pytest.mark.parametrize("width", [80, 100])
def test_table_of_means_fits_the_terminal_with_every_number(width, n_subjects):
    lines = lines_of(width, n_subjects)
    assert max(map(len, lines)) <= width and "…" not in "".join(lines)
    begin = next(i for i, line in enumerate(lines) if "mean over sessions" in line)
    means = lines[begin + 1 :]
    numbers = re.findall(r"\.11\d", "\n".join(means[: next(i for i, line in enumerate(means) if line.startswith("•"))]))
    for m in range(len(METHODS)):
        assert numbers.count(f".{111 + m}") == n_subjects + 2  # each subject, the mean of all and the median
    heads = [line for line in means if re.search(r"\b(median|subject_0)\b", line)]
    assert all(not line.startswith(" ") for line in heads)


@pytest.mark.parametrize(("last_draw", "over"), [(1, "seeds"), (2, "seeds and draws of the folds")])
def test_title_says_what_the_sd_of_a_session_is_over(last_draw, over):
    scores = tuple(Score("A", "a.1", "a", 0, 0.1 * draw, "job", draw=draw) for draw in range(1, last_draw + 1))
    text = io.StringIO()
    render(Results(protocol="corrected", scores=scores), Console(width=100, file=text))
    assert text.getvalue().splitlines()[0] == f"Decoding R² under the corrected protocol; mean ± SD over {over}"


def test_predicted_signals_and_fits_have_tables_of_their_own():
    neural = {"forward": {"bits_per_spike": 0.123}, "co_smoothing": {"lfp_r2": -0.456}}
    fit = {"chosen": {"states": 16}, "valid_r2": {"8": 0.3, "16": 0.41}}
    score, text = Score("MSID", "a", "s", None, 0.5, "job", neural=neural, fit=fit), io.StringIO()
    render(Results(protocol="corrected", scores=(score,)), Console(width=80, file=text))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert "MSID held-out channels – – -.456" in lines and "MSID last 200 ms .123 – –" in lines
    assert "MSID 16 states (1) 8: 0.300, 16: 0.410" in lines


def test_table_of_means_with_three_subjects_is_one_table_in_100_columns():
    assert sum(line.startswith("method ") for line in lines_of(100, 3)) == 1

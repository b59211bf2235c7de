"""The table of models that are fitted in one step: what was chosen in how many sessions, and R² of each choice."""

from raydistill.evaluation.fit_table import fit_rows, numbers_of
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score


def score(method, session, fit):
    return Score(method, session, "A", None, 0.5, "key", fit=fit)


def test_row_counts_the_choices_and_averages_r2_of_each_over_the_sessions_that_have_it():
    scores = (
        score("MSID", "a", {"chosen": {"states": 16}, "valid_r2": {"16": 0.3, "8": 0.1}}),  # sorted, as in JSON
        score("MSID", "b", {"chosen": {"states": 8}, "valid_r2": {"8": 0.2}}),
        score("MSID", "c", {"chosen": {"states": 16}, "valid_r2": {"16": 0.5, "8": 0.3}}),
        score("SS-LFP", "a", {}),
    )
    (row,) = fit_rows(Results(protocol="corrected", scores=scores))
    assert row.method == "MSID"
    assert row.in_words() == ("16 states (2), 8 states (1)", "8: 0.200, 16: 0.400")


def test_numbers_of_a_fit_are_its_choice_and_the_r2_of_each():
    fit = {"chosen": {"states": 16}, "valid_r2": {"8": 0.1, "16": 0.3}, "note": None, "unused_units": [3]}
    assert numbers_of(fit) == {"states": 16, "R² validation with 8": 0.1, "R² validation with 16": 0.3}
    assert numbers_of({}) == {}

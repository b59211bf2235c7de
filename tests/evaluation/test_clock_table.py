"""The table of methods compared with the clock: means over sessions, the seeds of each averaged first."""

import numpy as np
import pytest

from raydistill.evaluation.clock_table import clock_rows
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import Panel


def score(method, session, seed, r2, clock):
    return Score(method, session, "A", seed, r2, "key", clock=clock)


def test_rows_average_seeds_first_and_leave_out_sessions_without_a_clock():
    scores = (
        score("m", "a", 0, 0.2, ClockSkill(clock_r2=0.1, skill_over_clock=0.1, r2_with_clock=0.3)),
        score("m", "a", 1, 0.4, ClockSkill(clock_r2=0.1, skill_over_clock=0.3, r2_with_clock=0.5)),
        score("m", "b", 0, 0.9, ClockSkill(clock_r2=0.5, skill_over_clock=0.8, r2_with_clock=None)),
        score("m", "c", 0, 0.7, None),
        score("other", "c", 0, 0.7, None),
    )
    (row,) = clock_rows(Results(protocol="corrected", scores=scores))
    assert (row.method, row.n) == ("m", 2)
    assert row.values["r2"] == pytest.approx(0.6) and row.values["skill_over_clock"] == pytest.approx(0.5)
    assert row.values["clock_r2"] == pytest.approx(0.3) and row.values["r2_with_clock"] == pytest.approx(0.4)
    assert np.isnan(row.values["r2_other_trials"])


def test_sweep_with_several_figures_has_rows_for_each_over_its_own_sessions():
    scores = tuple(
        score("m", session, 0, r2, ClockSkill(clock_r2=0.1, skill_over_clock=0.5, r2_with_clock=None))
        for session, r2 in {"a": 0.2, "b": 0.6}.items()
    )
    panels = tuple(Panel(figure=f, methods=("m",), sessions=frozenset(s)) for f, s in {"F3": "a", "F11": "b"}.items())
    rows = clock_rows(Results(protocol="corrected", scores=scores, panels=panels))
    assert [(row.method, row.values["r2"], row.n) for row in rows] == [("F3: m", 0.2, 1), ("F11: m", 0.6, 1)]

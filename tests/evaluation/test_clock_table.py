"""The table of methods compared with the clock: means over sessions, the seeds of each averaged first."""

import numpy as np
import pytest

from raydistill.evaluation.clock_table import clock_rows
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.scores import Score


def score(method, session, seed, r2, clock):
    return Score(method, session, "A", seed, r2, "key", clock=clock)


def test_rows_average_seeds_first_and_leave_out_sessions_without_a_clock():
    rows = clock_rows(
        [
            score("m", "a", 0, 0.2, ClockSkill(clock_r2=0.1, skill_over_clock=0.1, r2_with_clock=0.3)),
            score("m", "a", 1, 0.4, ClockSkill(clock_r2=0.1, skill_over_clock=0.3, r2_with_clock=0.5)),
            score("m", "b", 0, 0.9, ClockSkill(clock_r2=0.5, skill_over_clock=0.8, r2_with_clock=None)),
            score("m", "c", 0, 0.7, None),
            score("other", "c", 0, 0.7, None),
        ]
    )
    (row,) = rows
    assert (row.method, row.n) == ("m", 2)
    assert row.values["r2"] == pytest.approx(0.6) and row.values["skill_over_clock"] == pytest.approx(0.5)
    assert row.values["clock_r2"] == pytest.approx(0.3) and row.values["r2_with_clock"] == pytest.approx(0.4)
    assert np.isnan(row.values["r2_other_trials"])

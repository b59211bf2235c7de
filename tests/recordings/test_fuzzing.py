"""Damaged and odd files of every kind: a session is made, or one line says what is wrong (tests/recordings/fuzzing)."""

import pytest

from tests.recordings.fuzzing.examine import fuzz
from tests.recordings.fuzzing.kinds import KINDS

FILES = 12  # of each kind; `python -m tests.recordings.fuzzing 2000` makes more


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_recordings_are_stored_or_refused_in_one_line(kind, tmp_path):
    results = list(fuzz(kind, range(FILES), tmp_path))
    assert [result for result in results if result["fault"]] == []
    assert any(result["state"] == "failed" for result in results)

"""What an ingest prints while it runs."""

import io

from rich.console import Console

from raydistill.recordings.ingest import RecordingResult
from raydistill.recordings.progress import progress_reporter


def test_ingest_without_a_result_for_long_names_what_it_waits_for():
    printed = io.StringIO()
    with progress_reporter(7, Console(file=printed)) as reporter:
        reporter.wait(["a"], 60.0)
        reporter.result(RecordingResult(name="a", state="failed", cause="a.h5: it is damaged"))
        reporter.wait(list("bcdefg"), 120.0)
    first, result, second = printed.getvalue().splitlines()
    assert first == "reading a; no result for 60 s"
    assert result.startswith("failed  a: a.h5: it is damaged  (1 of 7, ")
    assert second == "reading b, c, d, e and 2 more; no result for 120 s"

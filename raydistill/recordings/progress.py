"""Progress of an ingest: a bar with failures and notes above it on a terminal, otherwise one line per recording."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from raydistill.recordings.ingest import RecordingResult


@contextmanager
def progress_reporter(total: int, console: Console | None = None) -> Iterator[Callable[[RecordingResult], None]]:
    """Yield `report(result)`, to be called once for each of `total` recordings; it writes to stderr."""
    console = console or Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    start, count = time.monotonic(), 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("recordings", total=total)

        def report(result: RecordingResult) -> None:
            nonlocal count
            count += 1
            bar.advance(task)
            details = f": {result.cause}" if result.cause else "".join(f"; {note}" for note in result.notes)
            if details or not console.is_terminal:
                seconds_left = (time.monotonic() - start) / count * (total - count)
                position = f"  ({count} of {total}{f', {seconds_left:.0f} s left' if count < total else ''})"
                line = f"{result.state:<8}{result.name}{details}{position}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield report

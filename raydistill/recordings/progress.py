"""Progress of an ingest: a bar with failures and notes above it on a terminal, otherwise one line per recording."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from raydistill.cluster.terminal import reserved
from raydistill.recordings.ingest import RecordingResult

_MOST_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class IngestReporter:
    """What is called while recordings are ingested."""

    result: Callable[[RecordingResult], None]
    """To be called once for each recording."""
    wait: Callable[[list[str], float], None]
    """wait(names, seconds): there was no result for so long, and these sessions are waited for."""
    line: Callable[[str], None]
    """A line about something else."""


@contextmanager
def progress_reporter(total: int, console: Console | None = None) -> Iterator[IngestReporter]:
    """Yield what reports on `total` recordings; it writes to stderr.

    Args:
        console: by default a terminal that what Ray prints does not reach.
    """
    if console is None:
        with _own_terminal() as own, progress_reporter(total, own) as reporter:
            yield reporter
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    start, count, terminal = time.monotonic(), 0, console
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("recordings", total=total)

        def show(line: str) -> None:
            terminal.print(line, highlight=False, markup=False, soft_wrap=True)

        def report(result: RecordingResult) -> None:
            nonlocal count
            count += 1
            bar.advance(task)
            details = f": {result.cause}" if result.cause else "".join(f"; {note}" for note in result.notes)
            if details or not terminal.is_terminal:
                seconds_left = (time.monotonic() - start) / count * (total - count)
                position = f"  ({count} of {total}{f', {seconds_left:.0f} s left' if count < total else ''})"
                show(f"{result.state:<8}{result.name}{details}{position}")

        def wait(names: list[str], seconds: float) -> None:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            show(f"reading {', '.join(names[:_MOST_NAMED])}{more}; no result for {seconds:.0f} s")

        yield IngestReporter(result=report, wait=wait, line=show)


@contextmanager
def _own_terminal() -> Iterator[Console]:
    """A terminal for the lines of this file alone. What else is printed goes to a file, named after an interrupt."""
    handle, name = tempfile.mkstemp(prefix="raydistill-ingest-", suffix=".log")
    os.close(handle)
    log, console = Path(name), Console(stderr=True)
    with reserved(log) as stream:
        console.file = stream
        try:
            yield console
        except BaseException:
            if log.stat().st_size:
                console.print(f"what Ray printed: {log}", highlight=False, markup=False, soft_wrap=True)
            raise
        else:
            log.unlink()
        finally:
            if log.exists() and not log.stat().st_size:
                log.unlink()

"""What a running ingest tells: one bar on a terminal, with what failed above it; a line a recording otherwise."""

import time
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def telling(total: int, console: Console | None = None):
    """Yield `report(arrival)`, to be called for each of `total` recordings as it is done; it writes to stderr."""
    console = console or Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    started, count = time.monotonic(), 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("recordings", total=total)

        def report(arrival):
            nonlocal count
            count += 1
            bar.advance(task)
            details = f": {arrival.cause}" if arrival.cause else "".join(f"; {note}" for note in arrival.notes)
            if details or not console.is_terminal:
                left = (time.monotonic() - started) / count * (total - count)
                place = f"  ({count} of {total}{f', {left:.0f} s left' if count < total else ''})"
                line = f"{arrival.state:<8}{arrival.name}{details}{place}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield report

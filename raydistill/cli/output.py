"""Output of the commands: results to stdout, progress and messages to stderr."""

import os
import sys

from rich.console import Console


def console() -> Console:
    """Console for results on stdout, as wide as the terminal, or 140 columns for a file or pipe."""
    return Console(width=None if sys.stdout.isatty() else 140)


def say(text: str) -> None:
    """Write one line to stderr."""
    print(text, file=sys.stderr, flush=True)


def close_stdout() -> None:
    """Send what is left for stdout nowhere: Python would write it at its end, and print a traceback if it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

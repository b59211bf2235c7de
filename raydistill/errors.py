"""The errors a user can put right. The command line prints each as one line and exits with code 2.

A message names what was wrong, the value, what is allowed, and the way out. Everything that is not a
RaydistillError is a surprise and keeps its traceback.
"""

import re


class RaydistillError(Exception):
    """Root of the tree: something in the input, not in the program, has to change."""


class ConfigError(RaydistillError):
    """A sweep file, manifest or option says something that cannot be meant.

    `at` is the path of the value within the configuration, so that the file's line can be told.
    """

    def __init__(self, message: str, at: tuple[str, ...] = ()):
        super().__init__(message)
        self.at = at


class DataError(RaydistillError):
    """A recording or the session store is missing, unreadable or inconsistent."""


class CheckpointError(RaydistillError):
    """A job folder or model file is corrupt or belongs to another model."""


class TrainingError(RaydistillError):
    """Training cannot go on: the loss is not finite, memory or disk is full, or there is nothing to train on.

    `everywhere`: all workers of the job find it at the same step.
    """

    def __init__(self, message: str, everywhere: bool = False):
        super().__init__(message)
        self.everywhere = everywhere


def suggest(word: str, known) -> str:
    """`; did you mean "x"?` for the nearest known word, or the list of known words."""
    import difflib

    known = [str(k) for k in known]
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(sorted(known)) or 'none'}"


def one_line(err: Exception) -> str:
    """The first line of an exception's message, with its type when there is none."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0]


def without_password(text: str) -> str:
    """`text` with the user name and password removed from every address in it."""
    return re.sub(r"//[^/?#\s]*@", "//", text)

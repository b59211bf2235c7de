"""Errors that a user can correct. The command line prints each of them as one line and exits with code 2.

A message says what is wrong, and names the value, what is allowed, and how to correct it. Any other exception is a
fault of the program and is shown with its traceback.
"""

import re
from collections.abc import Iterable

_LONGEST = 1000  # characters of a message
_PYTHON = re.compile(
    r"NoneType|has no attribute|unhashable|unsupported operand|not supported between|subscriptable|not iterable|"
    r"PathLike|could not broadcast"
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # also those that reverse text


class RaydistillError(Exception):
    """Base class of all errors that are caused by the input and not by a fault of the program.

    A message stays one line of a readable length without control characters, whatever names and values of a file it
    quotes.
    """

    def __init__(self, message: str):
        text = _CONTROL.sub("?", " ".join(message.splitlines()))
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 3 :]}"
        super().__init__(text)


class ConfigError(RaydistillError):
    """A sweep file, manifest or option is invalid.

    `at` is the path of the invalid value within the configuration, from which the line of the file is found.
    """

    def __init__(self, message: str, at: tuple[str | int, ...] = ()):
        super().__init__(message)
        self.at = at


class DataError(RaydistillError):
    """A recording or the session store is missing, unreadable or inconsistent."""


class CheckpointError(RaydistillError):
    """A job folder or model file is corrupt or belongs to another model."""


class TrainingError(RaydistillError):
    """Training cannot continue: the loss is not finite, memory or disk is full, or there is nothing to train on.

    `everywhere`: all workers of the job detect the error at the same step.
    """

    def __init__(self, message: str, everywhere: bool = False):
        super().__init__(message)
        self.everywhere = everywhere


class TimeLimitReached(Exception):
    """A training has saved a checkpoint and stopped, because the time limit that the user gave has passed.

    It is no error: the same command continues the training from that checkpoint.
    """


def suggest(word: str, allowed: Iterable[object]) -> str:
    """`; did you mean "x"?` with the nearest allowed word, or the list of allowed words if none is near."""
    import difflib

    words = [str(item) for item in allowed]
    near = difflib.get_close_matches(word, words, n=1)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(sorted(words)) or 'none'}"


def one_line(err: Exception) -> str:
    """The first line of an exception's message, or the name of its type if the message is empty.

    Objects of Python without a text of their own, such as `<ast.Name object at 0x7f6e>`, become "...".
    """
    return re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>", "...", (str(err).strip().splitlines() or [type(err).__name__])[0])


def of_library(err: Exception) -> str:
    """`one_line` of an exception by which a library that reads files shows that it was surprised by one.

    Words that speak of the library's own program, such as "'NoneType' object has no attribute 'data'", are replaced.
    """
    text = one_line(err)
    return "a part of it is missing, or is not of the type that its format asks for" if _PYTHON.search(text) else text


def without_password(text: str) -> str:
    """`text` with the user name and password, and parameters that may be a token, removed from every address in it."""
    text = re.sub(r"//(?:[^/?#\s]*|[^/?#\s:]*:(?!\d{1,5}/)[^?#\s]*)@", "//", text)
    return re.sub(
        r"(?<=[?&#;])([\w.-]*(?:token|secret|passw|pwd|sig|key|credential|auth)[\w.-]*=)[^&#\s]*",
        r"\1...",
        text,
        flags=re.I,
    )


def counted(n: int, name: str) -> str:
    """A number of things in words, such as "1 bin" and "2 bins"."""
    return f"{n} {name}{'s' * (n != 1)}"

"""Libraries that only some uses need."""

from collections.abc import Iterator
from contextlib import contextmanager

from raydistill.errors import RaydistillError


@contextmanager
def needs(library: str, extra: str) -> Iterator[None]:
    """Turn a failing import of a library into the command that installs it."""
    try:
        yield
    except (ImportError, RuntimeError, OSError) as err:  # pylsl needs a shared library
        raise RaydistillError(
            f"{library} is missing ({err}); install it with `pip install 'raydistill[{extra}]'`"
        ) from err

"""What the driver writes down about jobs: it is tried again if it fails, and never stops the jobs."""

from collections.abc import Callable

from raydistill.errors import RaydistillError, one_line


class Bookkeeping:
    """Writes records, each at once or, if that fails, together with a later one.

    Args:
        say: prints a line for the user.
    """

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.waiting: list[tuple[str, Callable[[], object], bool]] = []
        """What is to be written, how, and whether it is needed; in order."""
        self.reported: set[tuple[str, type[Exception]]] = set()
        self.error = ""
        """The newest error, in one line."""

    def write(self, what: str, action: Callable[[], object], is_needed: bool = True) -> None:
        """Write a record, after those that could not be written before.

        Args:
            what: the record in words, the same for all of its kind.
            action: writes it completely or not at all.
            is_needed: whether the results would be wrong without it.
        """
        self.waiting.append((what, action, is_needed))
        self._try_all()

    def finish(self) -> None:
        """Try for the last time to write what could not be written.

        Raises:
            RaydistillError: a record that is needed still cannot be written.
        """
        self._try_all()
        if lacking := [what for what, _, is_needed in self.waiting if is_needed]:
            raise RaydistillError(
                f"{len(lacking)} records could not be written ({', '.join(dict.fromkeys(lacking))}: {self.error}); "
                "finished jobs are kept; correct the cause, then run the same command again"
            )

    def _try_all(self) -> None:
        waiting, self.waiting = self.waiting, []
        for what, action, is_needed in waiting:
            try:
                action()
            except Exception as err:
                self.waiting.append((what, action, is_needed))
                self.error = one_line(err)
                if (what, type(err)) not in self.reported:
                    self.reported.add((what, type(err)))
                    self.say(f"cannot write {what} ({self.error}); the jobs go on, and it is tried again")

"""What was found so far for one session: sections of its manifest, and what they use of the files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.text import Line, Section, choice


@dataclass(kw_only=True)
class Findings:
    """The guesses for one session, which grow while its variables are gone through."""

    looks: Sequence[Look]
    one_file: bool
    """Whether all signals are in one file, so that sections need not name theirs."""
    files: list[str] = field(default_factory=list)
    """Files of which something is used; the first has the clock of the session."""
    used: dict[tuple[str, str], str] = field(default_factory=dict)
    """(file, path) -> what for."""
    bins: int | None = None
    """Number of bins of the spike counts."""
    trial_lengths: tuple[int, ...] = ()
    """Bins of each trial, if counts come in trials."""
    n_trials: int | None = None
    bin_width_ms: float | None = None
    needs_bins: bool = False
    """Whether an array has one value per bin."""
    is_raster: bool = False
    """Whether no bin holds more than one spike, so that bins may be narrow."""
    sampled: list[tuple[str, int, float | None]] = field(default_factory=list)
    """Path, number of samples and rate, if known, of each signal."""
    in_trials: bool | None = None
    """Whether signals are stored trial by trial, which holds for all or none; None: not known yet."""
    has_single_channel: bool = False
    """Whether a series of LFP is of one channel."""
    asked: set[tuple[str, str]] = field(default_factory=set)
    """(file, path) of times whose unit was asked for."""
    duration_s: float | None = None
    """Seconds from 0 to the last time in the files, if a unit of time could be guessed."""
    duration_of: str = ""

    @property
    def left(self) -> list[Look]:
        """What is not used yet."""
        return [look for look in self.looks if (look.file, look.path) not in self.used]

    def use(self, look: Look, what: str) -> None:
        """Mark a variable as used."""
        self.used[look.file, look.path] = what

    def section(self, look: Look, *lines: Line | None) -> Section:
        """The lines of a signal, after its file if the session has several."""
        named: list[Line] = []
        if not self.one_file:
            named.append(Line(key="file", value=look.file))
            if look.file not in self.files:
                self.files.append(look.file)
                if look.file != self.files[0]:
                    asks = f"does the clock of {look.file} start with that of {self.files[0]}? Otherwise how many "
                    asks += "seconds are to be added, in each of its sections? If it runs faster or slower, give its "
                    asks += "time_scale, too"
                    named.append(choice("offset_s", 0, asks))
        return Section((*named, *(line for line in lines if line is not None)))

    def lasts(self, seconds: float, path: str) -> None:
        """Note until when there are data, for comparison with signals without a clock."""
        if self.duration_s is None and seconds > 0:
            self.duration_s, self.duration_of = seconds, path


def several(looks: Sequence[Look]) -> str:
    """Paths of variables in words."""
    paths = [look.path for look in looks]
    return ", ".join(paths[:6]) + (f" and {len(paths) - 6} more" if len(paths) > 6 else "")

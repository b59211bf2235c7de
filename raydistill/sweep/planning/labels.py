"""Labels that a sweep decodes: whether its sessions agree on what an example is, and which baselines suit them."""

from collections.abc import Iterable

from raydistill.errors import ConfigError
from raydistill.evaluation.baselines import BASELINES
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.baselines import named_baselines


def check_same_examples(sweep_name: str, label: str, entries: Iterable[Entry]) -> None:
    """Refuse sessions of which some have a class per segment and others a class per bin: their scores are no means.

    Raises:
        ConfigError: they differ.
    """
    of: dict[str, str] = {}
    for entry in entries:
        of.setdefault(entry.labels[label].of, entry.session)
    if len(of) > 1:
        raise ConfigError(
            f'{sweep_name}: behavior.labels: "{label}" belongs to whole segments in session {of["segments"]} and to '
            f"single bins in session {of['bins']}, so their scores cannot be averaged; ingest both with the same "
            "`splits`, or leave one of them out"
        )


def suits_label(baseline: str, label: str | None, entry: Entry) -> bool:
    """Whether a baseline can decode the label (or, if it is None, behavior) of a session: the clock tells bins of a
    trial apart, and not trials."""
    return label is None or not BASELINES[baseline].clock or entry.labels[label].of == "bins"


def check_clock(sweep: SweepConfig, entries: Iterable[Entry]) -> None:
    """Refuse a baseline that the sweep names and that reads the clock, if the label belongs to whole segments.

    Raises:
        ConfigError: it does.
    """
    assert sweep.label is not None
    for entry in entries:
        for name in named_baselines(sweep):
            if not suits_label(name, sweep.label, entry):
                raise ConfigError(
                    f'{sweep.name}: {name} reads the bin within a trial, but "{sweep.label}" does not change within '
                    f"the segments of session {entry.session}; leave {name} out of `baselines` and `compare`"
                )

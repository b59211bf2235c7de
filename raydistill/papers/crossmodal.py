"""The paper's sessions: Table 2's counts, and the groups that its experiments run on (spec A0 to A4, D6).

Sessions of Makin, Flint and Gallego-Carracedo go by their published names. Those of the four spike-only datasets
belong to a group as a dataset, since the paper does not name them.
"""

from dataclasses import dataclass


def _named(subject: str, days: str) -> tuple[str, ...]:
    return tuple(f"Monkey{subject}_{day}" for day in days.split())


MAKIN_LFP = _named(
    "I",
    """20160622_01 20160624_03 20160627_01 20160630_01 20160915_01 20160916_01 20160921_01 20160927_04 20160927_06
    20160930_02 20160930_05 20161005_06 20161006_02 20161007_02 20161011_03 20161013_03 20161014_04 20161017_02
    20161024_03 20161025_04 20161026_03 20161027_03 20161206_02 20161207_02 20161212_02 20161220_02 20170123_02
    20170124_01 20170127_03 20170131_02""",
)
"""The 30 sessions with broadband recordings."""
MAKIN_SPIKES = (
    *_named("I", "20160407_02 20160411_01 20160411_02 20160418_01 20160419_01 20160420_01 20160426_01"),
    *_named(
        "L",
        """20170210_03 20170213_02 20170214_02 20170215_02 20170216_02 20170217_02 20170227_04 20170228_02
        20170301_05 20170302_02""",
    ),
)
"""The 17 without."""
FLINT = _named("C", "e1_1 e2_1 e2_2 e3_1 e3_2 e3_3 e3_4 e4_1 e4_2 e4_3 e5_1 e5_2")
CHEWIE_LEFT = _named("Ch", "20160929 20161005 20161006 20161007 20161014 20161021")
CHEWIE_RIGHT = _named("Ch", "20150313 20150319 20150629 20150630")
MIHILI = _named("M", "20140217 20140218 20140303 20140304 20140306 20140307")
"""The paper uses five of these six and does not say which: ours are the five longest."""

_HELD_OUT = frozenset(
    (
        *_named("I", "20160622_01 20160630_01 20160915_01 20161013_03 20170124_01"),
        *_named("C", "e1_1 e4_1 e5_2"),
        *CHEWIE_RIGHT,  # the paper does not name its four: ours come from an implant of their own
        *MIHILI,
    )
)
_GENERALIZATION_UNTIL = "MonkeyI_20161027_03"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of Table 2."""

    areas: str
    tasks: str
    subjects: dict[str, int | None]
    """Subject -> sessions; None where the paper does not say."""
    pretraining: int
    held_out: int
    """Sessions of spike pretraining, and those kept out of it."""
    hours: float
    sequences: int
    neurons: int

    @property
    def sessions(self) -> int:
        return self.pretraining + self.held_out


TABLE_2 = {
    "makin": Published(
        areas="M1, S1", tasks="RT", subjects={"I": 37, "L": 10},
        pretraining=42, held_out=5, hours=13.49, sequences=9664, neurons=12060,
    ),
    "flint": Published(
        areas="M1", tasks="CO", subjects={"C": 12},
        pretraining=9, held_out=3, hours=2.03, sequences=1448, neurons=2344,
    ),
    "gallego": Published(
        areas="M1, PMd, S1", tasks="CO", subjects={"Ch": 10, "M": 5, "H": 5, "La": 3},
        pretraining=0, held_out=23, hours=8.21, sequences=9884, neurons=1201,
    ),
    "perich": Published(
        areas="M1, PMd", tasks="RT, CO", subjects={"Cp": 66, "T": 12, "Mp": 28, "J": 3},
        pretraining=109, held_out=0, hours=34.69, sequences=34615, neurons=10301,
    ),
    "churchland": Published(
        areas="M1, PMd", tasks="maze", subjects={"C1": 4, "C2": 5},
        pretraining=9, held_out=0, hours=19.33, sequences=23117, neurons=1728,
    ),
    "chowdhury": Published(
        areas="S1", tasks="TRT, CO-bump", subjects={"R1": 5, "R2": 5, "R3": 2},
        pretraining=12, held_out=0, hours=7.45, sequences=8334, neurons=1188,
    ),
    "ma": Published(
        areas="M1", tasks="CO, ISO, key", subjects=dict.fromkeys(("X1", "X2", "X3", "X4")),
        pretraining=45, held_out=0, hours=8.24, sequences=9042, neurons=4007,
    ),
}  # fmt: skip
"""Dataset -> its row."""

PUBLISHED_NAMES = {"makin": (*MAKIN_LFP, *MAKIN_SPIKES), "flint": FLINT}
"""Datasets whose sessions are all known by name."""

GROUPS = {"paper_held_out": 17, "paper_pretraining": 226, "paper_lfp_pretraining": 48, "paper_generalization": 27}
"""Named group of sessions -> how many it has when the whole corpus is there."""


def paper_group(name: str, entries) -> list[str]:
    """Those of the entries' sessions that belong to one of `GROUPS`, in their order.

    Args:
        entries: with the attributes `session`, `dataset` and `n_bins`; those of a store.
    """
    unused = _unused([e for e in entries if e.dataset == "gallego"])
    return [e.session for e in entries if e.session not in unused and _belongs(name, e)]


def _belongs(name, entry) -> bool:
    held_out, dataset = entry.session in _HELD_OUT, entry.dataset
    if dataset not in TABLE_2:
        return False
    if name == "paper_held_out":
        return held_out
    if name == "paper_pretraining":
        return dataset != "gallego" and not held_out
    if name == "paper_lfp_pretraining":
        return not held_out and (entry.session in MAKIN_LFP or dataset in ("flint", "gallego"))
    of_makin = entry.session in MAKIN_LFP and entry.session <= _GENERALIZATION_UNTIL
    return not held_out and (of_makin or dataset == "flint")


def _unused(gallego) -> frozenset[str]:
    """The shortest of Mihili's six sessions; the paper has five."""
    mihili = sorted((e for e in gallego if e.session in MIHILI), key=lambda e: (-e.n_bins, e.session))
    return frozenset(e.session for e in mihili[5:])


def counts_off(entries) -> list[str]:
    """How the named groups differ from the paper where the whole corpus is there; empty where part of it is missing."""
    present = {dataset: sum(e.dataset == dataset for e in entries) for dataset in TABLE_2}
    if any(present[dataset] < row.sessions for dataset, row in TABLE_2.items()):
        return []
    found = {name: len(paper_group(name, entries)) for name in GROUPS}
    return [f"{name} has {found[name]} sessions, not {n}" for name, n in GROUPS.items() if found[name] != n]

"""The paper on cross-modal distillation from spikes to LFP: its datasets (Table 2), groups of sessions and figures.

Sessions of Makin, Flint and Gallego-Carracedo are listed by their published names. The paper does not name the
sessions of the four datasets without LFP, so every session of these datasets belongs to a group. See
docs/methods.md, Data and preprocessing.
"""

from collections.abc import Collection

from raydistill.papers.paper import Paper, PaperDataset, StoredSession


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
"""The 17 sessions without."""
FLINT = _named("C", "e1_1 e2_1 e2_2 e3_1 e3_2 e3_3 e3_4 e4_1 e4_2 e4_3 e5_1 e5_2")
CHEWIE_LEFT = _named("Ch", "20160929 20161005 20161006 20161007 20161014 20161021")
CHEWIE_RIGHT = _named("Ch", "20150313 20150319 20150629 20150630")
MIHILI = _named("M", "20140217 20140218 20140303 20140304 20140306 20140307")
"""The paper uses five of these six without saying which; we take the five longest."""

_HELD_OUT = frozenset(
    (
        *_named("I", "20160622_01 20160630_01 20160915_01 20161013_03 20170124_01"),
        *_named("C", "e1_1 e4_1 e5_2"),
        *CHEWIE_RIGHT,  # the paper does not name its four sessions; these four were recorded from a separate implant
        *MIHILI,
    )
)
_GENERALIZATION_UNTIL = "MonkeyI_20161027_03"


TABLE_2 = {
    "makin": PaperDataset(
        tasks="RT", subjects={"I": 37, "L": 10},
        pretraining=42, held_out=5, hours=13.49, sequences=9664, neurons=12060,
    ),
    "flint": PaperDataset(
        tasks="CO", subjects={"C": 12},
        pretraining=9, held_out=3, hours=2.03, sequences=1448, neurons=2344,
    ),
    "gallego": PaperDataset(
        tasks="CO", subjects={"Ch": 10, "M": 5, "H": 5, "La": 3},
        pretraining=0, held_out=23, hours=8.21, sequences=9884, neurons=1201,
    ),
    "perich": PaperDataset(
        tasks="RT, CO", subjects={"Cp": 66, "T": 12, "Mp": 28, "J": 3},
        pretraining=109, held_out=0, hours=34.69, sequences=34615, neurons=10301,
    ),
    "churchland": PaperDataset(
        tasks="maze", subjects={"C1": 4, "C2": 5},
        pretraining=9, held_out=0, hours=19.33, sequences=23117, neurons=1728,
    ),
    "chowdhury": PaperDataset(
        tasks="TRT, CO-bump", subjects={"R1": 5, "R2": 5, "R3": 2},
        pretraining=12, held_out=0, hours=7.45, sequences=8334, neurons=1188,
    ),
    "ma": PaperDataset(
        tasks="CO, ISO, key", subjects=dict.fromkeys(("X1", "X2", "X3", "X4")),
        pretraining=45, held_out=0, hours=8.24, sequences=9042, neurons=4007,
    ),
}  # fmt: skip
"""Dataset -> its row of Table 2."""

PUBLISHED_NAMES = {"makin": (*MAKIN_LFP, *MAKIN_SPIKES), "flint": FLINT}
"""Dataset -> its sessions, for the datasets whose sessions are all published by name."""


def select(group: str, entries: Collection[StoredSession]) -> list[str]:
    """The sessions of `entries` that belong to a group of the paper, in the order of the entries.

    Args:
        group: paper_held_out, paper_pretraining, paper_lfp_pretraining or paper_generalization.
    """
    excluded = _surplus([e for e in entries if e.dataset == "gallego"])
    return [e.session for e in entries if e.session not in excluded and _belongs(group, e)]


def _belongs(group: str, entry: StoredSession) -> bool:
    held_out, dataset = entry.session in _HELD_OUT, entry.dataset
    if dataset not in TABLE_2:
        return False
    if group == "paper_held_out":
        return held_out
    if group == "paper_pretraining":
        return dataset != "gallego" and not held_out
    if group == "paper_lfp_pretraining":
        return not held_out and (entry.session in MAKIN_LFP or dataset in ("flint", "gallego"))
    of_makin = entry.session in MAKIN_LFP and entry.session <= _GENERALIZATION_UNTIL
    return not held_out and (of_makin or dataset == "flint")


def _surplus(gallego: Collection[StoredSession]) -> frozenset[str]:
    """The shortest of Mihili's six sessions; the paper has five."""
    mihili = sorted((e for e in gallego if e.session in MIHILI), key=lambda e: (-e.n_bins, e.session))
    return frozenset(e.session for e in mihili[5:])


CROSSMODAL = Paper(
    name="crossmodal",
    citation="Erturk, Hashemi, Shanechi: Cross-Modal Representational Knowledge Distillation for Enhanced "
    "Spike-Informed LFP Modeling. Advances in Neural Information Processing Systems, 2025. arXiv:2512.12461",
    datasets=TABLE_2,
    groups={"paper_held_out": 17, "paper_pretraining": 226, "paper_lfp_pretraining": 48, "paper_generalization": 27},
    select=select,
    protocols=("paper", "released"),
    printed="crossmodal_targets.csv",
    method_sets={"all LFP variants": ("MS-LFP", "SS-LFP", "SS-MM-ZS")},
    alignment_table="T1",
)

"""The paper's groups of sessions: the published counts on the whole corpus, a part on part of it."""

from dataclasses import dataclass

import pytest

from raydistill.papers.crossmodal import (
    CHEWIE_LEFT,
    CHEWIE_RIGHT,
    CROSSMODAL,
    FLINT,
    MAKIN_LFP,
    MAKIN_SPIKES,
    MIHILI,
    TABLE_2,
)


@dataclass(frozen=True)
class Stored:
    session: str
    dataset: str
    n_bins: int = 1000


def corpus(mihili=MIHILI):
    gallego = [*CHEWIE_LEFT, *CHEWIE_RIGHT, *mihili, *(f"MonkeyH_{i}" for i in range(5)), "MonkeyLa_1", "MonkeyLa_2"]
    named = {"makin": (*MAKIN_LFP, *MAKIN_SPIKES), "flint": FLINT, "gallego": (*gallego, "MonkeyLa_3")}
    others = [d for d in TABLE_2 if d not in named]
    named |= {d: [f"{d}_{i}" for i in range(TABLE_2[d].sessions)] for d in others}
    return [Stored(s, d) for d, sessions in named.items() for s in sessions]


def test_table_2_adds_up_to_226_sessions_of_16_subjects_in_6_datasets():
    pretrained = {d: row for d, row in TABLE_2.items() if row.pretraining}
    assert sum(row.pretraining for row in pretrained.values()) == 226 and len(pretrained) == 6
    assert sum(len(row.subjects) for row in pretrained.values()) == 16
    for row in TABLE_2.values():
        counts = list(row.subjects.values())
        assert None in counts or sum(counts) == row.sessions


@pytest.mark.parametrize("mihili", [MIHILI, MIHILI[1:]])
def test_groups_of_the_whole_corpus_have_the_published_counts(mihili):
    entries = corpus(mihili)
    groups = {name: CROSSMODAL.select(name, entries) for name in CROSSMODAL.groups}
    assert {name: len(g) for name, g in groups.items()} == CROSSMODAL.groups
    assert CROSSMODAL.count_mismatches(entries) == []
    held_out = set(groups["paper_held_out"])
    assert not held_out & set(groups["paper_pretraining"]) and not held_out & set(groups["paper_lfp_pretraining"])
    assert len({s for s in held_out if s.startswith("MonkeyM_")}) == 5
    of_i = [s for s in groups["paper_lfp_pretraining"] if s.startswith("MonkeyI_")]
    assert len(of_i) == 25 and set(groups["paper_generalization"]) <= set(groups["paper_lfp_pretraining"])
    assert max(s for s in groups["paper_generalization"] if s.startswith("MonkeyI_")) == "MonkeyI_20161027_03"


def test_group_leaves_the_shortest_session_of_mihili_out_where_all_six_are_there():
    entries = [Stored(e.session, e.dataset, 500 if e.session == MIHILI[2] else 1000) for e in corpus()]
    assert set(MIHILI) - set(CROSSMODAL.select("paper_held_out", entries)) == {MIHILI[2]}


def test_group_of_part_of_the_corpus_is_what_is_there():
    entries = [Stored("MonkeyI_20160622_01", "makin"), Stored("MonkeyI_20160624_03", "makin"), Stored("S1_01", "mine")]
    assert CROSSMODAL.select("paper_held_out", entries) == ["MonkeyI_20160622_01"]
    assert CROSSMODAL.select("paper_pretraining", entries) == ["MonkeyI_20160624_03"]
    assert CROSSMODAL.count_mismatches(entries) == []


def test_count_mismatches_name_the_groups_of_another_size():
    entries = [e for e in corpus() if e.session != "MonkeyC_e1_1"] + [Stored("MonkeyC_e9_1", "flint")]
    assert CROSSMODAL.count_mismatches(entries) == [
        "paper_held_out has 16 sessions, not 17",
        "paper_pretraining has 227 sessions, not 226",
        "paper_lfp_pretraining has 49 sessions, not 48",
        "paper_generalization has 28 sessions, not 27",
    ]

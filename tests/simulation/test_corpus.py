"""The paper's corpus in miniature: the plan of all its sessions, and a few of every layout, written and ingested."""

from collections import Counter
from itertools import count
from types import SimpleNamespace

import pytest

from raydistill.errors import ConfigError
from raydistill.papers.crossmodal import CROSSMODAL, MAKIN_LFP, TABLE_2
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.readers import makin
from raydistill.simulation.corpus import corpus_config, planned_sessions, write_corpus
from raydistill.store.store import Store
from tests.commands import raydistill

# Session -> subject, region, task and channels of LFP per electrode.
PICKED = {
    "MonkeyI_20160624_03": ("I", "M1", "RT", 1),
    "MonkeyI_20160411_01": ("I", "M1", "RT", 0),
    "MonkeyL_20170210_03": ("L", "M1, S1", "RT", 0),
    "MonkeyC_e2_1": ("C", "M1", "CO", 1),
    "MonkeyC_e2_2": ("C", "M1", "CO", 1),
    "MonkeyCh_20150313": ("Ch", "M1", "CO", 9),
    "MonkeyH_20171101": ("H", "area 2", "CO", 9),
    "Chowdhury_1_TRT_1": ("R1", "S1", "TRT", 0),
    "Ma_4_key_1": ("X4", "M1", "key", 0),
    "Perich_C_CO_1": ("Cp", "M1, PMd", "CO", 0),
    "Perich_M_CO_3": ("Mp", "M1, PMd", "CO", 0),
    "Churchland_2_Maze_5": ("C2", "M1, PMd", "Maze", 0),
}
FEWER = ("MonkeyI_20160624_03", "MonkeyC_e2_1", "MonkeyCh_20150313", "Perich_M_CO_3")


def stored(folder, names):
    """Entries of the sessions of these names, written to `folder` and ingested as they come."""
    sessions = [s for s in planned_sessions() if s.session in names]
    assert all(path.is_file() for path in write_corpus(folder / "raw", corpus_config("tiny"), sessions))
    store = Store(str(folder / "store"))
    arrivals = [ingest_one(recording, store.uri, None) for recording in plan_sources(folder / "raw")]
    assert [a.cause for a in arrivals if a.state != "stored"] == []
    store.publish()
    return {entry.session: entry for entry in store.entries()}


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("corpus"), PICKED)


def test_planned_sessions_are_those_of_table_2():
    planned = planned_sessions()
    assert len(planned) == len({s.session for s in planned}) == 257
    for dataset, row in TABLE_2.items():
        found = Counter(s.subject for s in planned if s.dataset == dataset)
        assert found.total() == row.sessions and found.keys() == row.subjects.keys()
        assert all(n in (None, found[subject]) for subject, n in row.subjects.items())
    arrays = {s.array: s.subject for s in planned}
    assert len(arrays) == 1 + len(set(arrays.values())) == 1 + sum(len(row.subjects) for row in TABLE_2.values())


def test_planned_sessions_have_lfp_where_the_paper_has_it():
    with_lfp = [s for s in planned_sessions() if s.has_lfp]
    assert Counter(s.dataset for s in with_lfp) == {"makin": 30, "flint": 12, "gallego": 23}
    assert {s.session for s in with_lfp if s.dataset == "makin"} == set(MAKIN_LFP)


def test_planned_sessions_make_up_the_papers_groups():
    found = [SimpleNamespace(session=s.session, dataset=s.dataset, n_bins=1000) for s in planned_sessions()]
    assert {name: len(CROSSMODAL.select(name, found)) for name in CROSSMODAL.groups} == {
        "paper_held_out": 17,
        "paper_pretraining": 226,
        "paper_lfp_pretraining": 48,
        "paper_generalization": 27,
    }
    assert CROSSMODAL.count_mismatches(found) == []


def test_written_sessions_come_out_under_their_names_subjects_and_areas(entries):
    planned = {s.session: s for s in planned_sessions()}
    assert entries.keys() == PICKED.keys()
    for name, (subject, region, task, _) in PICKED.items():
        entry = entries[name]
        assert (entry.subject, entry.region, entry.task) == (subject, region, task)
        assert (entry.subject, entry.dataset) == (planned[name].subject, planned[name].dataset)
        assert len(entry.behavior) == 2


def test_written_sessions_hold_lfp_where_the_paper_has_it(entries):
    for name, (*_, per_electrode) in PICKED.items():
        electrodes = range(6, 9) if per_electrode else [0]
        assert entries[name].n_channels in [per_electrode * n for n in electrodes], name


def test_written_sessions_know_the_arrays_of_their_electrodes_and_units(entries):
    for name, entry in entries.items():
        if entry.dataset not in ("makin", "flint", "gallego"):  # NeuroTask's files say nothing of electrodes
            assert entry.unit_channels is entry.lfp_channels is None
            continue
        arrays = {"LeftS1Area2"} if entry.subject == "H" else set(entry.region.split(", "))
        assert set(entry.unit_channels.array) == arrays and len(entry.unit_channels) == entry.n_units
        assert (entry.lfp_channels is None) == (PICKED[name][3] == 0)
        if entry.lfp_channels:
            assert len(entry.lfp_channels) == entry.n_channels // entry.lfp_bands
            numbers = [str(n + 1) for n in range(len(entry.lfp_channels))]
            assert list(entry.lfp_channels.electrode) == numbers and set(entry.lfp_channels.array) == arrays


def test_electrodes_of_loco_are_those_of_two_published_arrays(tmp_path):
    """Of 192 channels, those from 97 on are of S1."""
    sessions = [s for s in planned_sessions() if s.session == "MonkeyL_20170210_03"]
    (path,) = write_corpus(tmp_path, corpus_config("tiny"), sessions)
    (found,) = makin.find(path.parent)
    with makin.open_raw(found.path, found.source, 10.0) as raw:
        units, table = raw.spikes.ids, raw.spikes.channels
    channels = [unit % 192 for unit in units]
    assert table.array == tuple("S1" if channel >= 96 else "M1" for channel in channels)
    assert table.electrode == tuple(str(channel % 96 + 1) for channel in channels)
    assert {"M1", "S1"} == set(table.array) == set(table.region)


def test_written_sessions_fill_every_fold_under_the_default_configurations(entries):
    for entry in entries.values():
        per_parent = 2 if entry.dataset in ("makin", "flint") else 1
        assert min(entry.splits[fold] for fold in ("train", "valid", "test")) >= per_parent, entry.session
        assert 10 <= entry.n_units <= 12


def test_a_session_is_the_same_whichever_others_are_written(entries, tmp_path):
    alone = stored(tmp_path, FEWER)
    assert {name: entry.content for name, entry in alone.items()} == {name: entries[name].content for name in FEWER}


def test_files_written_again_are_the_same_byte_for_byte(tmp_path, monkeypatch):
    clock = map(str, count())
    monkeypatch.setattr("time.asctime", lambda: next(clock))  # what scipy puts into the head of a MATLAB file
    sessions = [s for s in planned_sessions() if s.session in ("MonkeyL_20170210_03", *FEWER[1:])]
    once, again = (
        [path.read_bytes() for path in write_corpus(tmp_path / place, corpus_config("tiny"), sessions)]
        for place in ("once", "again")
    )
    assert once == again and len(once) == 4


def test_corpus_config_takes_overrides_but_no_other_subjects_or_arrays():
    config = corpus_config("small", ["duration_s=60", "seed=3"])
    assert (config.duration_s, config.seed, config.max_units) == (60, 3, corpus_config("small").max_units)
    for text in ("subjects=3", "sessions_per_subject=2", "arrays=2"):
        with pytest.raises(ConfigError, match=f"--set {text}: subjects, sessions and arrays are those of the paper"):
            corpus_config("tiny", [text])


def test_synth_scale_with_another_layout_is_refused_in_one_line(tmp_path):
    done = raydistill("synth", "raw", "--scale", "tiny", cwd=tmp_path, check=2)
    assert "--scale tiny applies to --layout paper only" in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

"""Recordings that are not here, or here twice: told before any is read, and without harm to the others."""

import dataclasses
import os
import shutil

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.content import Content
from raydistill.recordings.ingest import ingest, ingest_one, recording_fingerprint
from raydistill.recordings.planning.discover import plan, plan_sources
from raydistill.recordings.refused import overlapping, refused
from raydistill.store.store import Store
from tests.commands import raydistill

PARENTS = "ingest.splits.parent_s=5"
POINTERS = {
    "annex.nwb": ("/annex/objects/SHA256E-s1--01.nwb\n", r"annex\.nwb: its content is not fetched .*`datalad get"),
    "lfs.nwb": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", r"lfs\.nwb: .*`git lfs pull"),
}


@pytest.fixture
def dataset(make_nwb, tmp_path):
    """A clone of a DataLad dataset: links to content below .git/annex, one of them not fetched, and a linked folder."""
    folder, objects = tmp_path / "ds", tmp_path / "ds" / ".git" / "annex" / "objects"
    objects.mkdir(parents=True)
    (folder / "sub-1").mkdir()
    (tmp_path / "elsewhere").mkdir()
    make_nwb("one.nwb", subject="one").rename(objects / "SHA256E-s1--0123.nwb")
    make_nwb("two.nwb", subject="two").rename(tmp_path / "elsewhere" / "sub-2.nwb")
    os.symlink("../.git/annex/objects/SHA256E-s1--0123.nwb", folder / "sub-1" / "sub-1.nwb")
    os.symlink("../.git/annex/objects/absent.nwb", folder / "sub-1" / "not_fetched.nwb")
    os.symlink("../elsewhere", folder / "linked")
    return folder


def test_clone_of_a_dataset_gives_each_recording_once_and_names_what_is_not_fetched(dataset, tmp_path):
    command = ("ingest", "ds", "--store", "store", "--set", PARENTS)
    listed = raydistill(*command, "--dry-run", cwd=tmp_path, check=1)
    done = raydistill(*command, cwd=tmp_path, check=1)
    for output in (listed, done):
        assert "not_fetched.nwb: its content is not fetched (git-annex); run `datalad get" in output.stderr
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [
        ["not_fetched", "fail:"],
        ["sub-1", "store,"],
        ["sub-2", "store,"],
    ]
    subjects = {e.session: e.subject for e in Store(str(tmp_path / "store")).entries()}
    assert subjects == {"sub-1": "one", "sub-2": "two"}


def test_folder_in_which_nothing_is_fetched_is_an_error(tmp_path):
    for name, (text, _) in POINTERS.items():
        (tmp_path / name).write_text(text)
    done = raydistill("ingest", ".", "--store", "store", cwd=tmp_path, check=2)
    assert done.stderr.count("is not fetched") == 2 and "2 failed" in done.stderr
    raydistill("ingest", ".", "--store", "store", "--dry-run", cwd=tmp_path, check=2)


@pytest.mark.parametrize("name", POINTERS)
def test_pointer_in_the_place_of_a_file_fails_with_the_command_that_fetches_it(name, tmp_path):
    text, message = POINTERS[name]
    (tmp_path / name).write_text(text)
    (cause,) = refused(plan_sources(tmp_path)).values()
    with pytest.raises(DataError, match=message):
        raise DataError(cause)


def test_unfetched_file_of_several_sessions_leaves_the_others_to_be_found(make_nwb, tmp_path):
    make_nwb("a.nwb")
    os.symlink(".git/annex/objects/k.parquet", tmp_path / "5_10_Perich_CO.parquet")
    recordings = plan_sources(tmp_path)
    assert sorted(r.name for r in recordings) == ["5_10_Perich_CO", "a"] and list(refused(recordings)) == [
        "5_10_Perich_CO"
    ]


def test_link_given_as_the_source_says_how_to_fetch_it(tmp_path):
    os.symlink(".git/annex/objects/k.nwb", tmp_path / "a.nwb")
    with pytest.raises(DataError, match=r"a\.nwb: its content is not fetched .*git annex get a\.nwb"):
        plan_sources(tmp_path / "a.nwb")


def test_link_beside_its_file_is_told_and_no_session(make_nwb, tmp_path):
    make_nwb("a.nwb")
    os.symlink("a.nwb", tmp_path / "latest.nwb")
    planned = plan(tmp_path)
    assert [r.name for r in planned.recordings] == ["a"]
    assert planned.notes == (f"{tmp_path / 'latest.nwb'}: a link to {tmp_path / 'a.nwb'}, which counts once",)


@pytest.mark.parametrize("copy", [shutil.copy, os.link])
def test_two_files_of_one_content_fail_by_both_names_and_the_third_is_stored(copy, make_nwb, tmp_path, local_ray):
    folder = tmp_path / "ds"
    folder.mkdir()
    make_nwb("a.nwb").rename(folder / "a.nwb")
    make_nwb("c.nwb").rename(folder / "c.nwb")
    copy(folder / "a.nwb", folder / "b.nwb")
    outcome = ingest(plan_sources(folder, overrides=[PARENTS]), str(tmp_path / "store"))
    assert outcome.stored == ("c",) and sorted(outcome.failed) == ["a", "b"]
    for cause in outcome.failed.values():
        assert f"{folder / 'a.nwb'}" in cause and f"{folder / 'b.nwb'}" in cause and "same recording" in cause


def test_two_links_of_different_names_to_one_file_elsewhere_are_refused(make_nwb, tmp_path):
    folder = tmp_path / "ds"
    folder.mkdir()
    path = make_nwb("key.nwb")
    for name in "ab":
        os.symlink(path, folder / f"{name}.nwb")
    assert sorted(refused(plan_sources(folder))) == ["a", "b"]


def test_files_that_differ_only_in_the_middle_are_two_recordings(tmp_path):
    values = np.zeros(1 << 18, np.uint8)
    for name, changed in (("a", 0), ("b", 1)):
        values[1 << 17] = changed
        values.tofile(tmp_path / f"{name}.nwb")
    assert refused(plan_sources(tmp_path)) == {}
    values.tofile(tmp_path / "a.nwb")
    assert sorted(refused(plan_sources(tmp_path))) == ["a", "b"]


def test_intervals_of_one_file_are_sessions_and_the_same_interval_twice_is_not(make_nwb, manifest):
    make_nwb("w.nwb", epochs=((0.0, 20.0, "run"), (30.0, 60.0, "run")))
    entry = "  - {{name: {}, file: w.nwb, interval: {{table: epochs, value: run, index: {}}}}}\n"
    text = "sessions:\n" + entry.format("run1", 0) + entry.format("run2", 1)
    assert refused(plan_sources(manifest(text))) == {}
    assert sorted(refused(plan_sources(manifest(text + entry.format("run3", 1))))) == ["run2", "run3"]


# What the store has already


def test_moved_folder_is_unchanged_and_a_renamed_file_names_its_session(make_nwb, tmp_path, local_ray):
    folder, store = tmp_path / "ds", str(tmp_path / "store")
    folder.mkdir()
    make_nwb("a.nwb").rename(folder / "a.nwb")
    assert ingest(plan_sources(folder, overrides=[PARENTS]), store).stored == ("a",)
    moved = folder.rename(tmp_path / "moved")
    assert ingest(plan_sources(moved, overrides=[PARENTS]), store).skipped == ("a",)
    (moved / "a.nwb").rename(moved / "b.nwb")
    outcome = ingest(plan_sources(moved, overrides=[PARENTS]), store)
    assert "b.nwb: stored already, as session a;" in outcome.failed["b"]
    assert [e.session for e in Store(store).entries()] == ["a"]
    shutil.rmtree(tmp_path / "store" / "segments" / "session=a")  # as the message says
    assert ingest(plan_sources(moved, overrides=[PARENTS]), store).stored == ("b",)
    assert [e.session for e in Store(store).entries()] == ["b"]


def test_another_part_of_a_stored_file_is_stored_with_a_note(make_nwb, tmp_path, local_ray, manifest):
    make_nwb("w.nwb")
    entry = "sessions: [{{name: {}, file: w.nwb, interval: {{start_s: {}, stop_s: {}}}}}]"
    notes = []
    for name, start, stop in (("first", 0, 29), ("second", 30, 60), ("second", 30, 60)):
        recordings = plan_sources(manifest(entry.format(name, start, stop)), overrides=[PARENTS])
        outcome = ingest(recordings, str(tmp_path / "store"), report=lambda result: notes.append(result.notes))
        assert not outcome.failed
    assert "also that of first" not in " ".join(notes[0]) and not notes[2]
    assert notes[1][1] == "its file is also that of first; do not train on the one and test on the other"


# Linked files


@pytest.fixture
def linked(make_nwb, tmp_path):
    """session.nwb, whose LFP is a link to probe.nwb, alone in a folder."""
    folder = tmp_path / "day"
    folder.mkdir()
    make_nwb("probe.nwb", trains=[]).rename(folder / "probe.nwb")
    make_nwb("session.nwb").rename(folder / "session.nwb")
    with h5py.File(folder / "session.nwb", "a") as file:
        del file["processing/ecephys/LFP"]
        file["processing/ecephys/LFP"] = h5py.ExternalLink("probe.nwb", "/processing/ecephys/LFP")
    return folder


def invert(path):
    with h5py.File(path, "a") as file:
        file["processing/ecephys/LFP/ElectricalSeries/data"][:] *= -1


def test_changed_linked_file_is_ingested_again_with_its_new_values(linked, tmp_path, local_ray):
    store = Store(str(tmp_path / "store"))

    def made():
        return ingest(plan_sources(linked / "session.nwb", overrides=[PARENTS]), store.uri)

    def lfp():
        return np.concatenate([s.lfp for s in store.read(store.entry("session"))])

    assert made().stored == ("session",)
    before, keys = lfp(), set(store.entry("session").sources)
    assert keys == {"session.nwb", "probe.nwb"} and made().skipped == ("session",)
    invert(linked / "probe.nwb")
    assert made().stored == ("session",)
    assert np.allclose(lfp(), -before, atol=1e-2) and np.std(before) > 0.5
    assert made().skipped == ("session",)


def test_linked_file_that_goes_and_comes_back_changes_the_session_each_time(linked, tmp_path):
    store = Store(str(tmp_path / "store"))
    (recording,) = plan_sources(linked / "session.nwb", overrides=[PARENTS])

    def made():
        result = ingest_one(recording, store.uri, (known := store.stored("session")) and known.fingerprint)
        store.publish()
        return result, store.entry("session").n_channels

    first, channels = made()
    assert (first.state, channels) == ("stored", 3)
    (linked / "probe.nwb").rename(tmp_path / "probe.nwb")
    without, channels = made()
    assert (without.state, channels) == ("stored", 0)
    note = f"session.nwb links to {linked / 'probe.nwb'}, which is not there, so what it holds is left out"
    assert note in without.notes
    (tmp_path / "probe.nwb").rename(linked / "probe.nwb")
    assert [(result.state, n) for result, n in (made(), made())] == [("stored", 3), ("skipped", 3)]


def test_file_that_another_recording_links_to_is_no_session_of_its_own(linked):
    planned = plan(linked)
    assert [r.name for r in planned.recordings] == ["session"]
    assert planned.notes == (
        f"{linked / 'probe.nwb'}: belongs to {linked / 'session.nwb'}, which links to it; no session of its own",
    )


def test_dry_run_lists_linked_files_that_are_there_and_that_are_not(linked, tmp_path):
    command = ("ingest", linked / "session.nwb", "--store", "store", "--dry-run")
    assert "with a file that it links to" in raydistill(*command, cwd=tmp_path, check=0).stdout
    (linked / "probe.nwb").unlink()
    lines = raydistill(*command, cwd=tmp_path, check=0).stdout.splitlines()
    assert "without: it links to no file" in lines[1] and lines[1].endswith("probe.nwb")


def test_files_that_change_their_roles_change_the_fingerprint(make_nwb):
    (recording,) = plan_sources(make_nwb())
    two = dataclasses.replace(recording, source=dataclasses.replace(recording.source, companions=("b.nwb",)))
    a, b = Content("a" * 64), Content("b" * 64)
    assert recording_fingerprint(two, [a, b]) != recording_fingerprint(two, [b, a])
    with_link = Content("a" * 64, ((recording.path, "b" * 64),))
    assert recording_fingerprint(recording, [with_link]) != recording_fingerprint(two, [a, b])


def test_session_of_several_files_is_known_again_when_moved_and_not_when_its_files_are_swapped(
    make_h5, manifest, tmp_path, local_ray, monkeypatch
):
    folder = tmp_path / "day"
    for number, name in enumerate(("lfp.h5", "more.h5")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_h5(name, lfp=np.random.default_rng(number).normal(size=(600, 4))).rename(folder / name)
    make_h5("spikes.h5").rename(folder / "spikes.h5")
    text = (
        "ingest: {filters: null}\ndefaults: {subject: m1, bin_width_ms: 100}\nsessions:\n"
        "  - {name: s, file: spikes.h5, spikes: spikes, lfp: {values: lfp, file: lfp.h5}, "
        "behavior: {values: behavior, file: more.h5}}\n"
    )
    manifest(text).rename(folder / "m.yaml")
    monkeypatch.chdir(folder)
    store = str(tmp_path / "store")
    assert ingest(plan_sources("m.yaml"), store).stored == ("s",)
    assert set(Store(store).entry("s").sources) == {"spikes.h5", "lfp.h5", "more.h5"}
    folder.rename(tmp_path / "moved")
    (tmp_path / "moved" / "lfp.h5").rename(tmp_path / "moved" / "l.h5")
    monkeypatch.chdir(tmp_path / "moved")
    (tmp_path / "moved" / "m.yaml").write_text(text.replace("file: lfp.h5", "file: l.h5"))
    assert ingest(plan_sources("m.yaml"), store).skipped == ("s",)
    (tmp_path / "moved" / "m.yaml").write_text(
        text.replace("lfp.h5", "x").replace("more.h5", "l.h5").replace("x", "more.h5")
    )
    assert ingest(plan_sources("m.yaml"), store).stored == ("s",)


@pytest.mark.parametrize(
    ("second", "is_told"),
    [
        ("interval: {start_s: 30}", False),
        ("interval: {start_s: 29}", True),
        ("interval: [{start_s: 40}, {start_s: 2, stop_s: 9}]", True),
        ("lfp: null", True),
    ],
)
def test_sessions_that_use_the_same_time_of_a_file_are_told(make_nwb, tmp_path, second, is_told):
    make_nwb()
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        f"sessions:\n- {{file: rec.nwb, name: A, interval: {{stop_s: 30}}}}\n- {{file: rec.nwb, name: B, {second}}}\n"
    )
    recordings = plan_sources(manifest)
    assert refused(recordings) == {}
    assert set(overlapping(recordings)) == ({"A", "B"} if is_told else set())


def test_ingest_tells_of_sessions_that_use_the_same_time_of_a_file(make_nwb, tmp_path):
    make_nwb()
    (tmp_path / "m.yaml").write_text("sessions: [{file: rec.nwb, name: A}, {file: rec.nwb, name: B, lfp: null}]")
    done = raydistill("ingest", "m.yaml", "--store", "store", "--set", PARENTS, cwd=tmp_path)
    for name in "BA":
        assert f"session {name} uses a part of the same time of its file; do not train on one and test" in done.stderr


def test_another_part_of_a_file_with_several_draws_is_noted_once(make_nwb, tmp_path, local_ray, manifest):
    make_nwb("w.nwb")
    entry = "sessions: [{{name: {}, file: w.nwb, interval: {{start_s: {}, stop_s: {}}}}}]"
    notes = []
    for name, start, stop in (("first", 0, 29), ("second", 30, 60)):
        recordings = plan_sources(
            manifest(entry.format(name, start, stop)), overrides=[PARENTS, "ingest.splits.repeats=3"]
        )
        ingest(recordings, str(tmp_path / "store"), report=lambda result: notes.extend(result.notes))
    assert "its file is also that of first; do not train on the one and test on the other" in notes

"""Readings that hang, crash or are killed: one line says what happened, and other recordings are not affected."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from raydistill.cluster.folder import folder_of_node
from raydistill.errors import DataError
from raydistill.recordings.child import Item, links_in_child, read_in_child
from raydistill.recordings.guard import Guard
from raydistill.recordings.ingest import ingest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from tests.commands import raydistill, start, wait_until
from tests.recordings.fuzzing.examine import damaged
from tests.recordings.fuzzing.kinds import KINDS

STUCK = r"{}: a library was stopped that had read in it for {} s without an end; the file is probably damaged: copy it"
ATTEMPT = """
import ctypes, os, signal, time
from pathlib import Path
from raydistill.recordings.guard import Guard

with Guard(key={key!r}, stuck_s=5).over([Path("rec.h5")]):
    {body}
"""


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """An exported session with an attribute that HDF5 reads without end, and the sound one."""
    folder = tmp_path_factory.mktemp("endless")
    (folder / "sound").mkdir()
    KINDS["exported"].write(folder / "sound")
    damaged("exported", 1982, folder / "sound", folder / "damaged")
    return folder / "damaged" / "rec.nwb", folder / "sound" / "rec.nwb"


@pytest.fixture
def guard():
    """Keeps its trace where processes without Ray do, also if other tests have started Ray in this one."""
    return Guard(stuck_s=5).fresh(tempfile.gettempdir())


def attempt(guard, body, cwd):
    """The exit code of a process that reads in a guarded way."""
    return subprocess.run([sys.executable, "-c", ATTEMPT.format(key=guard.key, body=body)], cwd=cwd).returncode


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("ctypes.string_at(0)", -signal.SIGSEGV, "a library crashed while it read it (segmentation fault)"),
        ("os.abort()", -signal.SIGABRT, "a library crashed while it read it (aborted)"),
        # PyDLL keeps the GIL, as HDF5 does
        ("ctypes.PyDLL(None).sleep(60)", 1, "a library was stopped that had read in it for 5 s without an end"),
    ],
)
def test_second_attempt_says_how_the_first_one_ended_its_process(body, code, words, guard, tmp_path):
    assert attempt(guard, body, tmp_path) == code
    with pytest.raises(DataError, match=re.escape(f"rec.h5: {words}; the file is probably damaged")):
        guard.over([Path("rec.h5")]).__enter__()
    assert attempt(guard, "pass", tmp_path) == 0  # a reading of the user's next command


def test_attempt_after_one_that_was_killed_reads_again(guard, tmp_path):
    assert attempt(guard, "os.kill(os.getpid(), signal.SIGKILL)", tmp_path) == -signal.SIGKILL
    assert attempt(guard, "Path('read').touch()", tmp_path) == 0 and (tmp_path / "read").exists()


def test_reading_that_takes_longer_in_python_is_not_stopped_and_leaves_nothing(guard, tmp_path):
    assert attempt(guard, "end = time.monotonic() + 8\n    while time.monotonic() < end: pass", tmp_path) == 0
    assert not list(Path(tempfile.gettempdir()).glob(f"raydistill-{guard.key}.trace"))


def test_ingest_of_a_file_that_hdf5_never_ends_fails_alone_and_leaves_no_session(
    endless, tmp_path, local_ray, monkeypatch
):
    damaged_file, sound = endless
    shutil.copy(damaged_file, tmp_path / "a.nwb")
    shutil.copy(sound, tmp_path / "b.nwb")
    store = Store(str(tmp_path / "store"))
    monkeypatch.setattr("raydistill.recordings.ingest._QUIET_S", 0.5)
    waits = []
    outcome = ingest(
        plan_sources(tmp_path), store.uri, report_wait=lambda *wait: waits.append(wait), guard=Guard(stuck_s=10)
    )
    assert outcome.stored == ("b",) and list(outcome.failed) == ["a"]
    assert re.match(STUCK.format(re.escape(str(tmp_path / "a.nwb")), 10), outcome.failed["a"])
    assert [entry.session for entry in store.entries()] == ["b"]
    assert sorted(os.listdir(tmp_path / "store" / "segments")) == ["session=b"]
    assert not list(folder_of_node().glob("raydistill-*.trace"))
    assert (["a"], 0.5) in [(sorted(names)[:1], seconds) for names, seconds in waits]


def test_files_after_one_that_ends_the_process_are_read_in_another(endless):
    items = [Item(files=(str(file),)) for file in endless]
    hung, text = read_in_child("manifest", items, Guard(stuck_s=10))
    assert isinstance(hung, DataError) and re.match(STUCK.format(re.escape(str(endless[0])), 10), str(hung))
    assert "file: rec.nwb" in text


def test_reading_that_is_killed_from_outside_is_one_line(endless):
    def kill_reader(name, seconds):
        assert (name, seconds) == (str(endless[0]), 0.5)
        readers = [p for p in psutil.Process().children() if "raydistill.recordings.child" in p.cmdline()]
        readers[0].kill()

    (error,) = read_in_child("manifest", [Item(files=(str(endless[0]),))], report_wait=kill_reader, quiet_s=0.5)
    assert str(error).startswith(f"{endless[0]}: the process that read it was ended from outside, perhaps because")


def test_process_that_reads_ends_with_a_command_that_was_killed(endless, tmp_path):
    waiting = start("new-manifest", str(endless[0]), cwd=tmp_path)
    readers = []
    wait_until(lambda: readers.extend(psutil.Process(waiting.pid).children()) or readers, waiting)
    wait_until(lambda: readers[0].cpu_times().user > 2, waiting)  # it hangs in HDF5
    waiting.kill()
    waiting.wait()
    assert psutil.wait_procs(readers, timeout=20)[1] == []


def test_links_of_a_file_are_those_found_in_another_process(tmp_path, make_h5):
    import h5py

    path, plain = make_h5(), tmp_path / "notes.txt"
    plain.write_text("no HDF5")
    with h5py.File(path, "r+") as file:
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/lfp")
    assert links_in_child([plain, path]) == {path: (tmp_path / "other.h5",)}


def test_new_manifest_gives_the_error_of_its_process_in_one_line(tmp_path):
    (tmp_path / "rec.h5").write_bytes(b"no HDF5")
    result = raydistill("new-manifest", "rec.h5", cwd=tmp_path, check=2)
    assert re.fullmatch(r"raydistill: rec\.h5: not a readable \.h5 file \(.*\)\n", result.stderr)

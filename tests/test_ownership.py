"""One process writes into a folder at a time: claims of dead, stopped, living and distant processes."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from raydistill.errors import RaydistillError
from raydistill.files import read_mapping, write_json
from raydistill.ownership import OWNER, LostFolderError, check_owner, claim, held, is_owner, release
from tests.commands import wait_until

WRITER = """
import sys, time
from pathlib import Path
from raydistill.ownership import check_owner, claim
folder = Path(sys.argv[1])
claim(folder)
for number in range(10_000):
    check_owner(folder)
    (folder / "written").write_text(str(number))
    time.sleep(0.01)
"""


@pytest.fixture
def writer(tmp_path):
    """A process that has claimed the folder and writes into it all the time."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    wait_until((tmp_path / "written").exists, process)
    yield process
    process.kill()
    process.wait()


def test_claim_of_a_folder_that_a_living_process_has_is_refused_and_names_it(tmp_path, writer):
    with pytest.raises(RaydistillError, match=rf"process {writer.pid} on .* has been running this job since"):
        claim(tmp_path)
    assert not is_owner(tmp_path)
    check_owner(tmp_path)  # this process never had it


def test_folder_of_a_killed_process_is_free(tmp_path, writer):
    writer.kill()
    writer.wait()
    claim(tmp_path)
    assert is_owner(tmp_path)
    release(tmp_path)
    assert not (tmp_path / OWNER).exists() and not is_owner(tmp_path)


def test_stopped_process_loses_the_folder_and_writes_nothing_more_when_it_continues(tmp_path, writer):
    os.kill(writer.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(writer.pid).status() == psutil.STATUS_STOPPED, writer)
    claim(tmp_path)
    (tmp_path / "written").write_text("by the new owner")
    os.kill(writer.pid, signal.SIGCONT)
    _, errors = writer.communicate(timeout=60)
    assert writer.returncode == 1 and "another process has taken over this job" in errors
    assert (tmp_path / "written").read_text() == "by the new owner"
    release(tmp_path)


def test_owner_finds_out_that_the_folder_was_taken_also_after_the_new_owner_has_left(tmp_path):
    claim(tmp_path)
    check_owner(tmp_path)
    write_json(tmp_path / OWNER, {"token": "of another machine", "host": "elsewhere", "pid": 1})
    with pytest.raises(LostFolderError):
        check_owner(tmp_path)
    (tmp_path / OWNER).unlink()
    with pytest.raises(LostFolderError):
        check_owner(tmp_path)
    release(tmp_path)
    check_owner(tmp_path)


@pytest.mark.parametrize("owner", [{"host": "elsewhere", "pid": 1, "token": "x"}, {"token": 3}, {"pid": "x"}])
def test_folder_of_an_owner_that_cannot_be_asked_is_taken_over(tmp_path, owner):
    write_json(tmp_path / OWNER, owner)
    claim(tmp_path)
    assert read_mapping(tmp_path / OWNER)["pid"] == os.getpid()
    release(tmp_path)


def test_number_of_a_dead_process_that_another_one_got_does_not_keep_the_folder(tmp_path, writer):
    owner = read_mapping(tmp_path / OWNER)
    write_json(tmp_path / OWNER, owner | {"started": owner["started"] - 3600})
    claim(tmp_path)
    release(tmp_path)


def test_folder_is_held_once_and_released_by_the_outermost_holder(tmp_path, writer):
    with held(tmp_path):  # by force: the writer lives
        assert is_owner(tmp_path)
        with held(tmp_path):
            check_owner(tmp_path)
        assert is_owner(tmp_path)
    assert not is_owner(tmp_path)
    end = time.monotonic() + 30
    while writer.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    assert writer.returncode == 1

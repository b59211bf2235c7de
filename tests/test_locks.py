"""Locks: one holder at a time is tested where they are used; here, what happens where nothing can be written."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from raydistill.errors import RaydistillError
from raydistill.locks import held_by_one


def try_to_lock(folder):
    """Take a lock in a folder without the rights of root; returns the message of the error, or ""."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        with held_by_one(folder / "a.lock", folder / "a.txt", lambda who: AssertionError("it is held")):
            return ""
    except RaydistillError as err:
        return str(err)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_lock_in_a_folder_that_cannot_be_written_names_the_folder(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, try_to_lock(folder).encode() or b"locked")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == f"{folder}: nothing can be written there, so this command cannot run"


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_error_is_not_hidden_by_a_folder_that_cannot_be_written_any_more():
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="raydistill-test-") as folder:  # pytest's own are closed to other users
        if (child := os.fork()) == 0:
            os.write(writing, closed_while_held(Path(folder)).encode())
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "what has happened"


def closed_while_held(folder):
    """Hold a lock in a folder that is made read-only meanwhile; returns the message of the error that arrives."""
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.setgid(65534)
        os.setuid(65534)
    try:
        with held_by_one(folder / "a.lock", folder / "a.txt", lambda who: AssertionError("it is held")):
            folder.chmod(0o555)
            raise RaydistillError("what has happened")
    except Exception as err:
        return str(err)

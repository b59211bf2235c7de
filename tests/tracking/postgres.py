"""A PostgreSQL server on the loopback interface, for the tests of tracking; Debian's package `postgresql` has it."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracking.servers import free_port, wait_for


def _program(name):
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(installed[-1]) if installed else None)


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of a new, empty database; the test is skipped where PostgreSQL or its driver is not installed."""
    pytest.importorskip("psycopg", reason="needs psycopg, which the extra `test` has")
    initdb, postgres = _program("initdb"), _program("postgres")
    if not (initdb and postgres):
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    root = os.getuid() == 0
    if root and not any(user.pw_name == "postgres" for user in pwd.getpwall()):
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if root else {}
    with tempfile.TemporaryDirectory(prefix="raydistill-pg-") as folder:
        if root:
            shutil.chown(folder, "postgres", "postgres")
        data, port = f"{folder}/data", free_port()
        made = [initdb, "-D", data, "-U", "raydistill", "--auth=trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run(made, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
        command = [postgres, "-D", data, "-p", str(port), *options]
        server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, **who)
        try:
            _wait(port, server)
            yield f"postgresql://raydistill@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(2)  # closes connections, as SIGTERM would wait for them
            server.wait(30)


def _wait(port, server):
    import psycopg

    def answers():
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="raydistill", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    wait_for(answers, server)


def counts(address):
    """(runs that are not deleted, points, parameters) in the database of an MLflow."""
    import psycopg

    with contextlib.closing(psycopg.connect(address)) as database, database.cursor() as cursor:
        found = []
        for table, active in (("runs", "lifecycle_stage = 'active'"), ("metrics", "true"), ("params", "true")):
            cursor.execute(f"SELECT count(*) FROM {table} WHERE {active}")
            found.append(cursor.fetchone()[0])
    return tuple(found)

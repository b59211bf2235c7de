"""A wrong address of a cluster is refused within seconds, in one line that says why."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from raydistill.cluster.address import check_address
from raydistill.errors import RaydistillError
from tests.commands import COMMAND, SWEEP, raydistill


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", ":6379", "host:port", "host:99999"])
def test_word_that_is_no_address_is_refused_with_the_form_of_one(address):
    with pytest.raises(RaydistillError, match=r"is not an address; an address is HOST:PORT"):
        check_address(address)


def test_address_where_nothing_listens_is_refused_at_once():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.monotonic()
    message = "no Ray cluster can be reached there"
    with pytest.raises(RaydistillError, match=message):
        check_address(f"127.0.0.1:{port}")
    assert time.monotonic() - started < 5


def test_command_with_a_wrong_address_ends_with_its_line(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    done = raydistill("sweep", "sweep.yaml", "--address", "nonsense", cwd=tmp_path, check=2)
    assert done.stderr.splitlines()[-1].startswith('raydistill: --address: "nonsense" is not an address')
    assert "Traceback" not in done.stderr


def test_address_of_another_server_is_refused_within_seconds():
    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started = time.monotonic()
    message = "something listens there, but it is not Ray"
    with pytest.raises(RaydistillError, match=message):
        check_address(f"127.0.0.1:{server.server_port}")
    assert time.monotonic() - started < 15
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "RAY_AUTH_MODE is not set; set it to `token`"),
        ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled; set it to `token`"),
        ({"RAY_AUTH_MODE": "token"}, "the cluster does not accept the token of this machine, or it has none"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}, "the cluster does not accept the token"),
    ],
)
def test_cluster_that_asks_for_another_token_is_refused_in_one_line_at_once(local_ray, tmp_path, environment, problem):
    address = local_ray.get_runtime_context().gcs_address
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
    started = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "doctor", "--address", address],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=variables | {"HOME": str(tmp_path)} | environment,
    )
    assert done.returncode == 2 and time.monotonic() - started < 20
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"raydistill: --address {address}: ") and problem in line


def test_cluster_that_listens_on_loopback_alone_is_not_waited_for(local_ray, tmp_path):
    """Ray takes the machine's own address for 127.0.0.1, at which nothing listens, and would try for 13 minutes."""
    port = local_ray.get_runtime_context().gcs_address.rpartition(":")[2]
    code = (
        "from raydistill.cluster import connection; connection.JOIN_S = 3.0; "
        f"from raydistill.cli import main; main(['doctor', '--address', '127.0.0.1:{port}'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2
    assert f"raydistill: --address 127.0.0.1:{port}: the cluster has not answered for 3 s; is its head" in done.stderr

"""Checks of a cluster's address before Ray tries it, because Ray would warn for a minute before it gives up."""

import os
import socket
from urllib.parse import urlsplit

from raydistill.errors import RaydistillError

_WAIT_S = 5.0
"""For an answer from the address."""
_FORM = "an address is HOST:PORT, such as 10.0.0.1:6379, or `auto` on a node of the cluster"


def check_address(address: str) -> None:
    """Check that an address is one, and that something listens there; `auto` is found by Ray.

    Raises:
        RaydistillError: it is not an address, or nothing listens there.
    """
    if address == "auto":
        return
    host, port = _host_and_port(address)
    if problem := _problem(host, port):
        raise RaydistillError(
            f"--address {address}: no Ray cluster can be reached there ({problem}); start one with `ray start --head`, "
            "or leave out --address for a local Ray"
        )


def _problem(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=_WAIT_S).close()
    except OSError as err:
        return err.strerror or str(err)
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return ""
    import grpc  # which Ray speaks; any other server does not answer its greeting

    channel = grpc.insecure_channel(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    try:
        grpc.channel_ready_future(channel).result(timeout=_WAIT_S)
    except grpc.FutureTimeoutError:
        return "something listens there, but it is not Ray"
    finally:
        channel.close()
    return ""


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise RaydistillError(f'--address: "{address}" is not an address; {_FORM}')
    return host, port

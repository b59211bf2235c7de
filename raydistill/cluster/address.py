"""Checks of a cluster's address before Ray tries it, because Ray would warn for a minute before it gives up."""

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
    try:
        socket.create_connection((host, port), timeout=_WAIT_S).close()
    except OSError as err:
        raise RaydistillError(
            f"--address {address}: no Ray cluster can be reached there ({err.strerror or err}); start one with `ray "
            "start --head`, or leave out --address for a local Ray"
        ) from None


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise RaydistillError(f'--address: "{address}" is not an address; {_FORM}')
    return host, port

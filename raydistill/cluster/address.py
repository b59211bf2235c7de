"""Checks of a cluster's address before Ray tries it, because Ray would warn for a minute before it gives up."""

import os
import socket
from urllib.parse import urlsplit

from raydistill.errors import RaydistillError

_WAIT_S = 5.0
"""For an answer from the address."""
_FORM = "an address is HOST:PORT, such as 10.0.0.1:6379, or `auto` on a node of the cluster"
_TOKEN = "put the token of the cluster's head into ~/.ray/auth_token or RAY_AUTH_TOKEN"


def check_address(address: str) -> None:
    """Check that an address is one, that Ray listens there, and that it accepts the token of this process.

    Raises:
        RaydistillError: it is not an address, no Ray can be reached there, or it asks for another token.
    """
    host, port = _host_and_port(_found() if address == "auto" else address)
    try:
        socket.create_connection((host, port), timeout=_WAIT_S).close()
    except OSError as err:
        raise _no_cluster(address, err.strerror or str(err)) from None
    match _answer(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
        case "OK":
            return
        case "UNAUTHENTICATED":
            raise RaydistillError(f"--address {address}: {_token_problem()}")
        case _:
            raise _no_cluster(address, "something listens there, but it is not Ray")


def _found() -> str:
    """The address that Ray takes for `auto`."""
    from ray._private import services

    try:
        return services.canonicalize_bootstrap_address_or_die("auto")
    except (ConnectionError, ValueError):
        raise _no_cluster("auto", "no Ray runs on this machine") from None


def _no_cluster(address: str, problem: str) -> RaydistillError:
    return RaydistillError(
        f"--address {address}: no Ray cluster can be reached there ({problem}); start one with `ray start --head`, or "
        "leave out --address for a local Ray"
    )


def _answer(target: str) -> str:
    """Name of the gRPC status with which Ray's head answers, to which this process sends its token if it has one."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
    from ray.exceptions import AuthenticationError

    channel = init_grpc_channel(target)
    try:
        request = gcs_service_pb2.GetClusterIdRequest()  # type: ignore[attr-defined]  # it is made when imported
        head = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        head.GetClusterId(request, timeout=_WAIT_S, wait_for_ready=True)
    except grpc.RpcError as err:
        return err.code().name  # type: ignore[attr-defined]  # the error is also the call
    except AuthenticationError:  # there is no token to send
        return "UNAUTHENTICATED"
    finally:
        channel.close()
    return "OK"


def _token_problem() -> str:
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if mode.lower() == "token":
        return f"the cluster does not accept the token of this machine, or it has none; {_TOKEN}"
    return f"the cluster asks for a token, but RAY_AUTH_MODE is {mode or 'not set'}; set it to `token`, and {_TOKEN}"


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise RaydistillError(f'--address: "{address}" is not an address; {_FORM}')
    return host, port

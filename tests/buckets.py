"""An object store on this machine: moto's S3 server, behind a proxy that can refuse, or hang up."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from tests.tracking.servers import free_port

REFUSALS = {
    "denied": (403, "AccessDenied", "Access Denied"),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "unknown key": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
}


class Bucket:
    """A bucket named `lab`, at `uri(path)`."""

    def __init__(self, moto: int):
        self._moto, self._fault, self._open = moto, "", set()
        self.port = 0
        self.only_key = ""
        """The one key with which requests must be signed; "": with any, or none."""

    def uri(self, path: str, bucket: str = "lab") -> str:
        """The address of a folder in it, as a user gives it."""
        return f"s3://{bucket}/{path}?scheme=http&endpoint_override=127.0.0.1:{self.port}&region=us-east-1"

    @property
    def fault(self) -> str:
        """A key of REFUSALS, "drops" to hang up on every request, or ""."""
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        self._fault = fault
        for connection in list(self._open):  # requests of a connection that is kept open would pass
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """Pass a connection on to moto, or refuse it."""
        if self._fault:
            if connection.recv(1 << 16) and self._fault in REFUSALS:
                connection.sendall(_refusal(*REFUSALS[self._fault]))
            return
        if self.only_key and f"Credential={self.only_key}/".encode() not in connection.recv(1 << 16, socket.MSG_PEEK):
            connection.sendall(_refusal(*REFUSALS["denied"]))
            return
        with socket.create_connection(("127.0.0.1", self._moto)) as moto:
            self._open |= {connection, moto}
            back = threading.Thread(target=_copy, args=(moto, connection), daemon=True)
            back.start()
            _copy(connection, moto)
            back.join()
            self._open -= {connection, moto}


def _refusal(status: int, code: str, message: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}"
    return f"{head}\r\nConnection: close\r\n\r\n{body}".encode()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


@contextlib.contextmanager
def s3_service() -> Iterator[int]:
    """The port of an empty S3 service on loopback."""
    from moto.moto_api._internal import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto_api_backend.reset()  # moto keeps its buckets per process, whatever became of the server that made them
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@contextlib.contextmanager
def serving() -> Iterator[Bucket]:
    """The bucket; it takes all credentials that the environment has."""
    from pyarrow.fs import S3FileSystem

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            bucket.serve(self.request)

    with s3_service() as port, _Server(("127.0.0.1", 0), Handler) as proxy:
        bucket = Bucket(port)
        bucket.port = proxy.server_address[1]
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        S3FileSystem(
            access_key="key",
            secret_key="secret",
            scheme="http",
            endpoint_override=f"127.0.0.1:{bucket.port}",
            region="us-east-1",
            allow_bucket_creation=True,
        ).create_dir("lab")
        try:
            yield bucket
        finally:
            proxy.shutdown()

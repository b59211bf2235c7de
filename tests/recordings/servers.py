"""A web server on this machine that gives parts of files, and that can fail in every way that matters."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file on a server, and what became of it."""

    content: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    """What the server states in addition to the length."""
    ranges: bool = True
    """Whether parts are given."""
    length: int | None = None
    """The stated length, where it is wrong."""
    status: int = 200
    """Of every answer, if not 200."""
    drops: int = 0
    """So many further parts end in their middle."""
    breaks_after: int | None = None
    """After this many bytes, every part ends early."""
    uri: str = ""
    sent: int = 0
    """Bytes of all bodies so far."""

    def answer(self, wanted: tuple[int, int] | None) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of a request for all, or for bytes [start, stop)."""
        total = len(self.content) if self.length is None else self.length
        if wanted is None or not self.ranges:
            return 200, self.content, self.headers | {"Content-Length": str(total)}
        start, stop = wanted[0], min(wanted[1], total)
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{total}", "Content-Length": str(stop - start)}
        return 206, self.content[start:stop], self.headers | headers


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


@contextmanager
def serving(served: Served, path: str = "/blobs/day1") -> Iterator[Served]:
    """`served` at its `uri`; every other path of the server is a 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.respond(with_body=False)

        def do_GET(self):
            self.respond(with_body=True)

        def respond(self, with_body):
            known = self.path.partition("?")[0] == path
            if not known or served.status != 200:
                self.send_response(served.status if known else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            status, body, headers = served.answer((int(wanted[1]), int(wanted[2]) + 1) if wanted else None)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                broken = served.breaks_after is not None and served.sent >= served.breaks_after
                cut = wanted is not None and (broken or served.drops > 0)
                served.drops -= cut and not broken
                self.send(body[: len(body) // 2] if cut else body)
                self.close_connection = cut or len(body) < int(headers["Content-Length"])

        def send(self, body):
            for start in range(0, len(body), 1 << 16):
                try:
                    self.wfile.write(body[start : start + (1 << 16)])
                except ConnectionError:  # the client has seen enough
                    self.close_connection = True
                    return
                served.sent += len(body[start : start + (1 << 16)])

        def log_message(self, *args):
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        served.uri = f"http://127.0.0.1:{server.server_port}{path}"
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""HTTP servers on loopback for the files and repositories of a scenario.

Threads of this process: they end with it, also by SIGKILL. The kernel chooses a free port when a
server binds it, so no other process can take it in between.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.options.command import inv

#: Seconds without a byte after which a connection ends.
_IDLE = 30.0

#: Requests that are kept; a client that asks more often is stuck.
MOST_REQUESTS = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What is at a path."""

    data: bytes
    status: int = 200
    etag: str = ""  # as the header has it, in quotes; "" for none
    mtime: int | None = None  # seconds since 1970; None for no Last-Modified

    def same(self, headers: Mapping[str, str]) -> bool:
        """Return whether a client with these request headers has it already (RFC 9110, 13.2.2)."""
        headers = {name.lower(): value for name, value in headers.items()}
        if self.status != 200:  # noqa: PLR2004
            return False
        if (known := headers.get("if-none-match")) is not None:
            tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
            return known.strip() == "*" or (
                bool(self.etag) and self.etag.removeprefix("W/") in tags
            )
        try:
            since = parsedate_to_datetime(headers.get("if-modified-since", "")).timestamp()
        except (TypeError, ValueError, OverflowError):
            return False
        return self.mtime is not None and self.mtime <= since


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request that a server answered."""

    method: str
    path: str  # with the query
    status: int
    sent: int  # bytes of the body

    @property
    def name(self) -> str:
        """The path of the page."""
        return _name(self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status} {self.sent}"


def _name(path: str) -> str:
    return path.partition("?")[0].lstrip("/")


class Server:
    """The files of one server and the requests that it answered; safe to use from threads."""

    def __init__(self, host: str) -> None:
        self.host = host  # "127.0.0.1:8000"
        self._pages: dict[str, Page] = {}
        self._requests: dict[int, Request] = {}  # by their numbers
        self._asked = 0  # requests so far, also those that were taken
        self._lock = threading.Lock()

    def put(self, pages: Mapping[str, Page]) -> None:
        """Serve *pages*, by path without a leading slash; those that it has are replaced."""
        with self._lock:
            self._pages |= pages

    def page(self, path: str) -> Page:
        """Return what is at *path*, which may have a query; a page with status 404 if nothing."""
        with self._lock:
            found = self._pages.get(_name(path))
        return found or Page(data=b"not found\n", status=404)

    def note(self, request: Request) -> int:
        """Keep *request*; return its number for `cut`."""
        with self._lock:
            self._asked += 1
            if len(self._requests) < MOST_REQUESTS:
                self._requests[self._asked] = request
            return self._asked

    def cut(self, number: int) -> None:
        """Note that the client did not take the body of request *number*."""
        with self._lock:
            if number in self._requests:
                self._requests[number] = replace(self._requests[number], sent=0)

    def taken(self, path: str = "") -> list[Request]:
        """Return the requests, or those for *path*, since the last call, and forget these."""
        with self._lock:
            wanted = {n: r for n, r in self._requests.items() if not path or r.name == path}
            for number in wanted:
                del self._requests[number]
        return list(wanted.values())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    server: _Listener

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        files = self.server.files
        page = files.page(self.path)
        same = page.same(dict(self.headers.items()))
        data = b"" if same else page.data
        status = 304 if same else page.status
        sent = data if body else b""
        # Noted before the client can have the answer: a build that has ended is then complete.
        number = files.note(
            Request(method=self.command, path=self.path, status=status, sent=len(sent))
        )
        try:
            self.send_response(status)
            if page.etag:
                self.send_header("ETag", page.etag)
            if page.mtime is not None:
                self.send_header("Last-Modified", formatdate(page.mtime, usegmt=True))
            if not same:
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(sent)
        except OSError:
            files.cut(number)
            raise

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = Server(f"127.0.0.1:{self.server_port}")

    def handle_error(self, *_: object) -> None:
        """Print nothing: a client that goes away is no trouble of ours."""

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the base class, which may take seconds."""
        self.socket.bind(self.server_address)
        host, self.server_port = self.socket.getsockname()[:2]
        self.server_address = (host, self.server_port)
        self.server_name = host


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """Run a server on a free loopback port during the block. Raises `InfraFailed`."""
    try:
        listener = _Listener()
    except OSError as error:
        raise InfraFailed(
            f"no port on loopback for a server: {error.strerror or error}", hint=inv("doctor")
        ) from None
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield listener.files
    finally:
        listener.shutdown()
        with contextlib.suppress(OSError):
            listener.socket.shutdown(socket.SHUT_RDWR)
        listener.server_close()
        thread.join()

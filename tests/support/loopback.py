"""An HTTP server on loopback that fails first, and then serves files."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

#: Instead of a status: the connection is reset without a response.
RESET = 0


@dataclass(kw_only=True)
class Served:
    """The files, the failures that come first, and the requests so far."""

    port: int = 0
    files: dict[str, bytes | Path] = field(default_factory=dict)  # path with its leading slash
    redirects: dict[str, str] = field(default_factory=dict)
    troubles: list[int] = field(default_factory=list)  # statuses of the next requests
    kind: str = "application/octet-stream"
    length: str = ""  # a false Content-Length for all responses
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its URL without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    served: Served


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        served = cast("_Server", self.server).served
        path = self.path.partition("?")[0]
        served.asked.append(path)
        trouble = served.troubles.pop(0) if served.troubles else 200
        if trouble == RESET:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            os.close(self.connection.detach())
            return
        found = served.files.get(path)
        data = found.read_bytes() if isinstance(found, Path) else found
        status = trouble if trouble != 200 else 200 if data is not None else 404
        if path in served.redirects:
            status, data = 302, b""
        self.send_response(status)
        if status == 302:
            self.send_header("Location", served.redirects[path])
        body = data if status == 200 and data is not None else b""
        self.send_header("Content-Type", served.kind)
        self.send_header("Content-Length", served.length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing; `Served` has the requests."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # of a connection that was reset
            super().handle()


@contextlib.contextmanager
def serve(served: Served) -> Iterator[Served]:
    """Serve *served* on a free port for the duration of a block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.served = served
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)

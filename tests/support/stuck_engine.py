"""A proxy to a real Engine on which some requests get stuck: they never get a response."""

from __future__ import annotations

import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(kw_only=True)
class Stuck:
    """The URL, and how long clients waited for stuck requests: (request line, seconds)."""

    url: str
    waits: list[tuple[str, float]] = field(default_factory=list)


@contextmanager
def stuck(engine_url: str, requests: str) -> Iterator[Stuck]:
    """Forward all requests to an Engine's socket, except those that match the expression."""
    with tempfile.TemporaryDirectory(prefix="bkbe-") as folder:
        path = Path(folder) / "s"
        made = Stuck(url=f"unix://{path}")
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen(64)
        pattern = re.compile(requests.encode())

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=_forward, daemon=True,
                                     args=(client, engine_url, pattern, made)).start()  # fmt: skip

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown(socket.SHUT_RDWR)
            server.close()


def _forward(client: socket.socket, url: str, pattern: re.Pattern[bytes], made: Stuck) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine, suppress(OSError):
        engine.connect(url.removeprefix("unix://"))
        back = threading.Thread(target=_copy, args=(engine, client), daemon=True)
        back.start()
        # A connection carries several requests, each in its own packet.
        while data := client.recv(65536):
            line = data.partition(b"\r\n")[0]
            if pattern.match(line):
                began = time.monotonic()
                while client.recv(65536):
                    pass
                made.waits.append((line.decode(), time.monotonic() - began))
                break
            engine.sendall(data)
        with suppress(OSError):
            engine.shutdown(socket.SHUT_WR)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)

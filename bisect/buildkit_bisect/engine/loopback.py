"""Whether an Engine reaches this machine's loopback, which its address does not show.

``tcp://127.0.0.1`` and a Unix socket may be forwarded from another machine, Docker Desktop's
Engine runs in a VM, and ``ssh://`` may name this machine in many ways. So the Engine is asked for
an image from a registry on a local port, and either connects to that port or does not.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import docker.errors

from buildkit_bisect.engine.client import engine_errors
from buildkit_bisect.engine.connection import Engine

#: The Engine does not have this endpoint (Podman does not); its address has to do.
_UNKNOWN = (404, 405, 501)


def reaches(engine: Engine) -> bool:
    """Whether *engine*, and so a container on its network, does. Raises `InfraFailed`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connected = threading.Event()
        listener = threading.Thread(target=_listen, args=(server, connected), daemon=True)
        listener.start()
        image = f"127.0.0.1:{server.getsockname()[1]}/bkbisect/probe"
        try:
            with engine_errors("asking the Docker Engine for an image on this machine's loopback"):
                status = _ask(engine, image)
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            listener.join()
    return connected.is_set() or (status in _UNKNOWN and not engine.where.remote)


def _ask(engine: Engine, image: str) -> int:
    """The HTTP status of the Engine's response; no registry has that image."""
    try:
        engine.client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except docker.errors.APIError as error:
        return int(error.status_code or 0)
    return 0


def _listen(server: socket.socket, connected: threading.Event) -> None:
    while True:
        try:
            taken, _ = server.accept()
        except OSError:
            return
        with taken:
            connected.set()

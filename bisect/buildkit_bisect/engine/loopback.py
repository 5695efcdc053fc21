"""Whether an Engine reaches what listens on this machine's loopback; its address does not say.

``tcp://127.0.0.1`` and a Unix socket may be forwarded from another machine, and Docker Desktop's
Engine is in a virtual one; ``ssh://`` names of this machine are many. So it is asked for an
image of a registry that is a port of ours, and either it knocks there or it does not.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import docker.errors

from buildkit_bisect.engine.client import told
from buildkit_bisect.engine.session import Engine

#: The Engine does not know the question (Podman's does not); its address must do.
_UNKNOWN = (404, 405, 501)


def reaches(engine: Engine) -> bool:
    """Whether *engine*, and so a container in its network, does. Raises `InfraFailed`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        knocked = threading.Event()
        door = threading.Thread(target=_listen, args=(server, knocked), daemon=True)
        door.start()
        image = f"127.0.0.1:{server.getsockname()[1]}/bkbisect/probe"
        try:
            with told("asking the Docker Engine for an image on this machine's loopback"):
                status = _ask(engine, image)
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            door.join()
    return knocked.is_set() or (status in _UNKNOWN and not engine.where.remote)


def _ask(engine: Engine, image: str) -> int:
    """What the Engine answers, as an HTTP status; nobody has that image."""
    try:
        engine.client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except docker.errors.APIError as error:
        return int(error.status_code or 0)
    return 0


def _listen(server: socket.socket, knocked: threading.Event) -> None:
    while True:
        try:
            taken, _ = server.accept()
        except OSError:
            return
        with taken:
            knocked.set()

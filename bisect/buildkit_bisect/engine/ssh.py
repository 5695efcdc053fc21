"""An Engine behind ``ssh://``, as the docker command reaches it: `docker system dial-stdio` there.

Each connection is an ssh of its own. It ends when the connection does, and dies with us. Not by
docker-py: its ssh needs paramiko even where it calls the ssh command, and waits without end for
a host that does not answer.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests.adapters
import urllib3.connection
import urllib3.connectionpool

from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.system import process

SCHEME = "ssh"

#: Seconds until a host must have let us in.
_LET_IN = 30


def command(url: str) -> list[str]:
    """The command whose standard input and output are a connection to the Engine at *url*.

    It asks nobody for a password or about a host's key: there is nobody to ask. Raises `BadInput`
    for what is no ``ssh://[USER@]HOST[:PORT][/SOCKET]``.
    """
    bad = BadInput(
        "the address of an Engine behind ssh is ssh://[USER@]HOST[:PORT][/SOCKET], without a"
        " password",
        hint="DOCKER_HOST=ssh://me@host",
    )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise bad from None
    user = parts.username or ""
    wrong = host.startswith("-") or user.startswith("-") or parts.password or parts.query
    if parts.scheme != SCHEME or not host or wrong or parts.fragment:
        raise bad
    # urlsplit makes it lower case, and the user's own ssh configuration may not.
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}").strip("[]")
    there = ["docker"]
    if parts.path.strip("/"):
        there += ["--host", shlex.quote(f"unix://{parts.path}")]
    return [
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_LET_IN}"),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
        *("--", host, *there, "system", "dial-stdio"),
    ]


def check(url: str) -> None:
    """Connect once. Raises `Missing` with what ssh, or docker on that host, says of it."""
    done = process.run(command(url), timeout=_LET_IN + 15, check=False)
    if done.ok:
        return
    said = done.tail(1)[:300] or f"exited {done.exit}"
    if done.timed_out:
        said = f"no answer after {done.seconds:.0f} s"
    shown = urlsplit(url).netloc.rpartition("@")[2]
    raise Missing(
        f"ssh does not reach a Docker Engine on {shown}: {said}",
        hint="ssh HOST docker version, which must ask nothing",
    )


class Adapter(requests.adapters.HTTPAdapter):
    """Sends every request to the Engine at *url*; mounted on docker-py's session."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._pool = _Pool(command(url))

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,  # noqa: ARG002 - there is one host
        verify: bool | str | None,  # noqa: ARG002 - and its TLS is ssh's
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
        cert: object = None,  # noqa: ARG002
    ) -> urllib3.connectionpool.HTTPConnectionPool:
        """See `requests.adapters.HTTPAdapter`."""
        return self._pool

    def get_connection(
        self,
        url: str | bytes,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> urllib3.connectionpool.HTTPConnectionPool:
        """See `requests.adapters.HTTPAdapter`; what requests before 2.32 calls."""
        return self._pool

    def request_url(
        self,
        request: requests.PreparedRequest,
        proxies: Mapping[str, str] | None,  # noqa: ARG002 - none speaks ssh
    ) -> str:
        """See `requests.adapters.HTTPAdapter`."""
        return request.path_url

    def close(self) -> None:
        """Close every connection; each ssh ends by that."""
        self._pool.close()
        super().close()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, argv: list[str]) -> None:
        super().__init__("localhost", maxsize=4)
        self._argv = argv
        self._started: list[process.Child] = []

    def _new_conn(self) -> _Connection:
        # Those that have ended are waited for here, so that none stays as a zombie for long.
        self._started = [c for c in self._started if c.poll() is None]
        return _Connection(self._argv, self._started)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, argv: list[str], started: list[process.Child]) -> None:
        super().__init__("localhost")
        self._argv, self._started = argv, started

    def connect(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.settimeout(None if self.timeout is None else float(self.timeout))
            self._started.append(
                process.start(
                    self._argv,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            )
        self.sock = ours

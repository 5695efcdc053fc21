"""An Engine behind ``ssh://``, reached as the docker command does: `docker system dial-stdio`.

Each connection is its own ssh process, which ends with the connection and dies with us. docker-py
is not used for this: it needs paramiko even if it calls the ssh command, and waits forever for a
host that does not respond.
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

#: Seconds for a host to accept the connection.
_CONNECT = 30


def command(url: str) -> list[str]:
    """The command whose standard input and output are a connection to the Engine at *url*.

    It never prompts for a password or a host key: there is no one to answer. Raises `BadInput`
    unless *url* is ``ssh://[USER@]HOST[:PORT][/SOCKET]``.
    """
    bad = BadInput(
        "an ssh address of an Engine must be ssh://[USER@]HOST[:PORT][/SOCKET], without a password",
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
    # urlsplit lowercases the host, and the user's ssh configuration may not.
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{port}").strip("[]")
    there = ["docker"]
    if parts.path.strip("/"):
        there += ["--host", shlex.quote(f"unix://{parts.path}")]
    return [
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT}"),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
        *("--", host, *there, "system", "dial-stdio"),
    ]


def check(url: str) -> None:
    """Connect once. Raises `Missing` with the error of ssh, or of docker on that host."""
    done = process.run(command(url), timeout=_CONNECT + 15, check=False)
    if done.ok:
        return
    reason = done.tail(1)[:300] or f"exited {done.exit}"
    if done.timed_out:
        reason = f"no answer after {done.seconds:.0f} s"
    shown = urlsplit(url).netloc.rpartition("@")[2]
    raise Missing(
        f"cannot reach a Docker Engine on {shown} over ssh: {reason}",
        hint="ssh HOST docker version, which must not prompt",
    )


class Adapter(requests.adapters.HTTPAdapter):
    """Sends every request to the Engine at *url*; mounted on docker-py's session."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._pool = _Pool(command(url))

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,  # noqa: ARG002 - there is one host
        verify: bool | str | None,  # noqa: ARG002 - and ssh encrypts
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
        """See `requests.adapters.HTTPAdapter`; requests before 2.32 calls it."""
        return self._pool

    def request_url(
        self,
        request: requests.PreparedRequest,
        proxies: Mapping[str, str] | None,  # noqa: ARG002 - they do not apply to ssh
    ) -> str:
        """See `requests.adapters.HTTPAdapter`."""
        return request.path_url

    def close(self) -> None:
        """Close every connection, which ends each ssh process."""
        self._pool.close()
        super().close()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, argv: list[str]) -> None:
        super().__init__("localhost", maxsize=4)
        self._argv = argv
        self._started: list[process.Child] = []

    def _new_conn(self) -> _Connection:
        # Reap the processes that have ended, so that none stays a zombie for long.
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

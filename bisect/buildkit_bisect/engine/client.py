"""The one door to a Docker Engine; its failures as ours."""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
import requests.utils
import urllib3
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import TLSParameterError
from docker.tls import TLSConfig

from buildkit_bisect.engine import ssh
from buildkit_bisect.engine.contexts import Endpoint, endpoint
from buildkit_bisect.errors import InfraFailed, Missing

#: Seconds for one answer of the Engine; committing an image is the slowest thing we ask for.
TIMEOUT = 120

#: Seconds for its first one: whoever takes a connection and says nothing is no Engine.
_ANSWER = 30

#: Seconds that an answer may take whatever deadline is near.
_LEAST = 0.5

_CERTS = "DOCKER_TLS_VERIFY=1, its ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or a context"
_INSTALL = "apt-get install -y docker.io and start it, set DOCKER_HOST, or use --runtime host"


def connect(where: Endpoint | None = None, *, timeout: int = TIMEOUT) -> docker.DockerClient:
    """A client of the Engine that the user means, or of *where*, that has answered once.

    Raises `Missing` where no Engine answers or we may not speak to it, with the reason.
    """
    where = where or endpoint(os.environ)
    if where.url.startswith(f"{ssh.SCHEME}://"):
        ssh.check(where.url)
    try:
        # Which version it speaks must be asked before a client of that version can be made.
        first = _client(where, MINIMUM_DOCKER_API_VERSION, timeout=_ANSWER)
        with closing(first):
            spoken = str(first.api.version(api_version=False)["ApiVersion"])
        client = _client(where, spoken, timeout=timeout)
        client.ping()
    except Exception as error:
        # docker-py raises what its transports raise: ssh and TLS have errors of their own.
        raise _refusal(where, error) from error
    return client


def _client(where: Endpoint, version: str, *, timeout: int) -> docker.DockerClient:
    behind_ssh = where.url.startswith(f"{ssh.SCHEME}://")
    client = docker.DockerClient(
        # docker-py needs an address that it knows; this one is never spoken to.
        base_url="unix:///behind-ssh" if behind_ssh else where.url,
        tls=_tls(where) or False,
        timeout=timeout,
        version=version,
    )
    session: requests.Session = client.api
    if behind_ssh:
        session.mount("http+docker://", ssh.Adapter(where.url))
    # Else REQUESTS_CA_BUNDLE is believed rather than the Engine's own ca.pem.
    session.trust_env = False
    if where.remote:
        session.proxies.update(requests.utils.get_environ_proxies(_https(where.url)))
    return client


def _https(url: str) -> str:
    return f"https://{url.partition('://')[2]}"


def _tls(where: Endpoint) -> TLSConfig | None:
    if not where.tls:
        return None
    certs = Path(where.tls)
    client_cert = (str(certs / "cert.pem"), str(certs / "key.pem"))
    return TLSConfig(
        client_cert=client_cert if Path(client_cert[0]).is_file() else None,
        ca_cert=str(certs / "ca.pem") if where.verify else None,
        verify=where.verify,
    )


def _refusal(where: Endpoint, error: Exception) -> Missing:
    reason = _innermost(error)
    if isinstance(reason, PermissionError):
        return Missing(
            f"no permission to speak to the Docker Engine at {where.shown}",
            hint="sudo ./inv ..., or add yourself to the group docker",
        )
    if isinstance(reason, OSError) and reason.errno in (errno.ENOENT, errno.ECONNREFUSED):
        return Missing(f"no Docker Engine answers at {where.shown}", hint=_INSTALL)
    explanation = getattr(error, "explanation", None) or reason
    said = " ".join(str(explanation).split())[:300] or type(reason).__name__
    of_tls = isinstance(reason, ssl.SSLError) or isinstance(error, TLSParameterError)
    if of_tls or "HTTPS server" in said:
        return Missing(f"no TLS with the Docker Engine at {where.shown}: {said}", hint=_CERTS)
    return Missing(f"no Docker Engine answers at {where.shown}: {said}", hint=_INSTALL)


def _innermost(error: BaseException) -> BaseException:
    """The first cause: docker-py and urllib3 wrap a PermissionError three times."""
    for _ in range(10):
        inner = error.__cause__ or error.__context__
        if inner is None:
            inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        if inner is None:
            break
        error = inner
    return error


@contextmanager
def within(client: docker.DockerClient, seconds: float) -> Iterator[None]:
    """Inside the block no answer of the Engine is waited for longer than that."""
    before = client.api.timeout
    client.api.timeout = max(_LEAST, seconds)  # type: ignore[assignment]  # it takes both
    try:
        yield
    finally:
        client.api.timeout = before


def transferred(progress: Generator[Any, None, None], seconds: float) -> dict[str, Any]:
    """Follow a transfer to its end; the facts that the Engine gave with it (a push: its digest).

    Raises `InfraFailed` with what failed, or where it is not over after that many seconds.

    The time is looked at with each word of it; `within` bounds the wait for one. An Engine
    that nobody listens to gives a transfer up.
    """
    until = time.monotonic() + seconds
    facts: dict[str, Any] = {}
    with closing(progress):
        for line in progress:
            if "error" in line:
                raise InfraFailed(f"the Engine says: {line['error']}", hint="docker info")
            if time.monotonic() > until:
                raise InfraFailed(
                    f"the transfer was not over after {seconds:.0f} s", hint="docker info"
                )
            facts.update(line.get("aux") or {})
    return facts


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn the Engine's failures inside the block into `InfraFailed` that says what we did."""
    try:
        yield
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        explanation = getattr(error, "explanation", None) or _innermost(error)
        said = " ".join(str(explanation).split())[:500] or type(error).__name__
        raise InfraFailed(f"{doing}: {said}", hint="docker info") from error

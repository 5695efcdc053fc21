"""Connects to a Docker Engine and turns its failures into our errors."""

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
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign

#: Seconds for one response of the Engine; committing an image is the slowest request.
TIMEOUT = 120

#: Seconds for the first response: a server that accepts and stays silent is not an Engine.
_ANSWER = 30

#: The least number of seconds that a response may take, however near the deadline.
_LEAST = 0.5

_CERTS = (
    "DOCKER_TLS_VERIFY=1, ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH, or a Docker context"
)
_INSTALL = (
    "apt-get install -y docker.io and start it, set DOCKER_HOST,"
    f" or use {words(Campaign, runtime='host')}"
)


def connect(where: Endpoint | None = None, *, timeout: int = TIMEOUT) -> docker.DockerClient:
    """A client of *where*, or of the Engine that the user means; it has responded once.

    Raises `Missing` with the reason if the Engine does not respond or denies access.
    """
    where = where or endpoint(os.environ)
    if where.url.startswith(f"{ssh.SCHEME}://"):
        ssh.check(where.url)
    try:
        # A client is bound to an API version, so ask for the Engine's version first.
        first = _client(where, MINIMUM_DOCKER_API_VERSION, timeout=_ANSWER)
        with closing(first):
            spoken = str(first.api.version(api_version=False)["ApiVersion"])
        client = _client(where, spoken, timeout=timeout)
        client.ping()
    except Exception as error:
        # docker-py does not wrap the errors of its transports, such as ssh and TLS.
        raise _refusal(where, error) from error
    return client


def _client(where: Endpoint, version: str, *, timeout: int) -> docker.DockerClient:
    behind_ssh = where.url.startswith(f"{ssh.SCHEME}://")
    client = docker.DockerClient(
        # docker-py only accepts schemes that it knows; nothing connects to this address.
        base_url="unix:///behind-ssh" if behind_ssh else where.url,
        tls=_tls(where) or False,
        timeout=timeout,
        version=version,
    )
    session: requests.Session = client.api
    if behind_ssh:
        session.mount("http+docker://", ssh.Adapter(where.url))
    # Otherwise REQUESTS_CA_BUNDLE takes precedence over the Engine's own ca.pem.
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
            f"cannot connect to the Docker Engine at {where.shown}: permission denied",
            hint="sudo ./inv ..., or add your user to the docker group",
        )
    if isinstance(reason, OSError) and reason.errno in (errno.ENOENT, errno.ECONNREFUSED):
        return Missing(f"cannot connect to the Docker Engine at {where.shown}", hint=_INSTALL)
    explanation = getattr(error, "explanation", None) or reason
    shown = " ".join(str(explanation).split())[:300] or type(reason).__name__
    of_tls = isinstance(reason, ssl.SSLError) or isinstance(error, TLSParameterError)
    if of_tls or "HTTPS server" in shown:
        return Missing(f"TLS with the Docker Engine at {where.shown} failed: {shown}", hint=_CERTS)
    return Missing(f"cannot connect to the Docker Engine at {where.shown}: {shown}", hint=_INSTALL)


def _innermost(error: BaseException) -> BaseException:
    """The root cause: docker-py and urllib3 wrap a PermissionError three times."""
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
    """Limit the wait for each response of the Engine to *seconds* inside the block."""
    before = client.api.timeout
    client.api.timeout = max(_LEAST, seconds)  # type: ignore[assignment]  # it accepts both
    try:
        yield
    finally:
        client.api.timeout = before


def transferred(progress: Generator[Any, None, None], seconds: float) -> dict[str, Any]:
    """Follow a transfer to its end; return the facts that came with it (of a push: its digest).

    Raises `InfraFailed` if the transfer fails or takes longer than *seconds*.

    The deadline is checked at each message; `within` bounds the wait for one. The Engine
    cancels a transfer whose stream is closed.
    """
    until = time.monotonic() + seconds
    facts: dict[str, Any] = {}
    with closing(progress):
        for line in progress:
            if "error" in line:
                raise InfraFailed(f"the Engine reports: {line['error']}", hint="docker info")
            if time.monotonic() > until:
                raise InfraFailed(
                    f"the transfer did not finish within {seconds:.0f} s", hint="docker info"
                )
            facts.update(line.get("aux") or {})
    return facts


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Raise the Engine's failures inside the block as `InfraFailed`: *doing* and the reason."""
    try:
        yield
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    ) as error:
        explanation = getattr(error, "explanation", None) or _innermost(error)
        reason = " ".join(str(explanation).split())[:500] or type(error).__name__
        raise InfraFailed(f"{doing}: {reason}", hint="docker info") from error

"""Which Engine the user means, as the docker command finds it: DOCKER_HOST, then contexts.

Read here rather than by docker-py, which finds no context where there is no config.json.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from buildkit_bisect.errors import BadInput

DEFAULT_URL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An Engine's address, and where it was named."""

    url: str
    context: str = ""  # the Docker context that names it, "" for DOCKER_HOST and the default
    tls: str = ""  # directory with ca.pem, cert.pem, key.pem; "" without TLS
    verify: bool = True  # the server's certificate

    @property
    def remote(self) -> bool:
        """Whether it is another machine, which cannot reach a registry on our loopback."""
        parts = urlsplit(self.url)
        if parts.scheme in ("unix", "npipe"):
            return False
        host = parts.hostname or "localhost"
        if host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(host).is_loopback
        except ValueError:
            return True

    @property
    def shown(self) -> str:
        """The address without a user's name, for people and results."""
        parts = urlsplit(self.url)
        bare = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=bare).geturl() if parts.netloc else self.url
        return f"{url} (context {self.context})" if self.context else url

    def environment(self) -> dict[str, str]:
        """What makes the docker command and buildx speak to the same Engine."""
        if self.context:
            return {"DOCKER_CONTEXT": self.context, "DOCKER_HOST": ""}
        return {"DOCKER_HOST": self.url, "DOCKER_CONTEXT": ""}


def endpoint(env: Mapping[str, str]) -> Endpoint:
    """The Engine that the user means. Raises `BadInput` for a context that is not there."""
    home = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/root") / ".docker")
    if env.get("DOCKER_HOST"):
        verify = bool(env.get("DOCKER_TLS_VERIFY"))
        wanted = verify or bool(env.get("DOCKER_TLS"))
        certs = env.get("DOCKER_CERT_PATH") or str(home)
        tls = certs if wanted else ""
        return Endpoint(url=env["DOCKER_HOST"], tls=tls, verify=verify or not wanted)
    name = env.get("DOCKER_CONTEXT") or _current(home)
    if name in ("", "default"):
        return Endpoint(url=DEFAULT_URL)
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = home / "contexts" / "meta" / folder / "meta.json"
    try:
        docker = json.loads(meta.read_text())["Endpoints"]["docker"]
        url = str(docker.get("Host") or DEFAULT_URL)
        verify = not docker.get("SkipTLSVerify", False)
    except OSError:
        raise BadInput(f"there is no Docker context {name!r}", hint="docker context ls") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadInput(
            f"the Docker context {name!r} cannot be read: {meta}",
            hint="docker context ls, or DOCKER_HOST=unix:///var/run/docker.sock",
        ) from error
    certs = str(home / "contexts" / "tls" / folder / "docker")
    return Endpoint(url=url, context=name, tls=certs if Path(certs).is_dir() else "", verify=verify)


def _current(home: Path) -> str:
    try:
        return str(json.loads((home / "config.json").read_text()).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""

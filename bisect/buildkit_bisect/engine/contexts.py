"""Which Engine the user means, as the docker command finds it: DOCKER_HOST, then contexts.

docker-py is not used for this: it finds no context if there is no config.json.
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

#: The name of the context that `written` creates.
_OURS = "bkbisect"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """An Engine's address, and where it comes from."""

    url: str
    context: str = ""  # the Docker context that names it, "" for DOCKER_HOST and the default
    tls: str = ""  # directory with ca.pem, cert.pem, key.pem; "" without TLS
    verify: bool = True  # the server's certificate

    @property
    def remote(self) -> bool:
        """Whether the address is another machine's; `loopback.reaches` asks the Engine itself."""
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
        """The address without the user name, for messages and results."""
        parts = urlsplit(self.url)
        bare = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=bare).geturl() if parts.netloc else self.url
        return f"{url} (context {self.context})" if self.context else url

    def environment(self) -> dict[str, str]:
        """The environment that points the docker command and buildx to this Engine."""
        if self.context:
            return {"DOCKER_CONTEXT": self.context, "DOCKER_HOST": ""}
        return {"DOCKER_HOST": self.url, "DOCKER_CONTEXT": ""}


def written(where: Endpoint, home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Like `Endpoint.environment`, with TLS settings written as a context below *home*.

    buildx creates no builder with "TLS data loaded from environment". The rest of the user's
    docker configuration, such as credentials, is still read.
    """
    if where.context or not where.tls:
        return where.environment()
    config = home / "docker"
    meta = config / "contexts" / "meta" / _folder(_OURS)
    certs = config / "contexts" / "tls" / _folder(_OURS) / "docker"
    for folder in (meta, certs):
        folder.mkdir(parents=True)
    users = _home(env)
    for entry in users.iterdir() if users.is_dir() else ():
        if entry.name != "contexts":
            (config / entry.name).symlink_to(entry.absolute())
    for name in ("ca.pem", "cert.pem", "key.pem"):
        if (Path(where.tls) / name).is_file():
            (certs / name).symlink_to((Path(where.tls) / name).absolute())
    docker = {"Host": where.url, "SkipTLSVerify": not where.verify}
    context = {"Name": _OURS, "Metadata": {}, "Endpoints": {"docker": docker}}
    (meta / "meta.json").write_text(json.dumps(context))
    off = dict.fromkeys(("DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"), "")
    return {**off, "DOCKER_CONFIG": str(config), "DOCKER_CONTEXT": _OURS}


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/root") / ".docker")


def _folder(context: str) -> str:
    return hashlib.sha256(context.encode()).hexdigest()


def endpoint(env: Mapping[str, str]) -> Endpoint:
    """The Engine that the user means.

    Raises `BadInput` if the context is not found or the address is invalid.
    """
    found = _named(env)
    try:
        urlsplit(found.url)
    except ValueError as error:
        named = f"Docker context {found.context!r}" if found.context else "DOCKER_HOST"
        raise BadInput(
            f"invalid Engine address in {named}: {error}",
            hint="DOCKER_HOST=unix:///var/run/docker.sock, or tcp://HOST:PORT",
        ) from None
    return found


def _named(env: Mapping[str, str]) -> Endpoint:
    home = _home(env)
    if env.get("DOCKER_HOST"):
        verify = bool(env.get("DOCKER_TLS_VERIFY"))
        wanted = verify or bool(env.get("DOCKER_TLS"))
        certs = env.get("DOCKER_CERT_PATH") or str(home)
        tls = certs if wanted else ""
        return Endpoint(url=env["DOCKER_HOST"], tls=tls, verify=verify or not wanted)
    name = env.get("DOCKER_CONTEXT") or _current(home)
    if name in ("", "default"):
        return Endpoint(url=DEFAULT_URL)
    folder = _folder(name)
    meta = home / "contexts" / "meta" / folder / "meta.json"
    try:
        docker = json.loads(meta.read_text())["Endpoints"]["docker"]
        url = str(docker.get("Host") or DEFAULT_URL)
        verify = not docker.get("SkipTLSVerify", False)
    except OSError:
        raise BadInput(f"Docker context {name!r} not found", hint="docker context ls") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadInput(
            f"cannot read Docker context {name!r}: {meta} is invalid",
            hint="docker context ls, or DOCKER_HOST=unix:///var/run/docker.sock",
        ) from error
    certs = str(home / "contexts" / "tls" / folder / "docker")
    return Endpoint(url=url, context=name, tls=certs if Path(certs).is_dir() else "", verify=verify)


def _current(home: Path) -> str:
    try:
        return str(json.loads((home / "config.json").read_text()).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""

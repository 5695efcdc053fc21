"""A registry on loopback: Debian's docker-registry, or one that the user names."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.system import paths, pipes, process, web

#: Seconds for a registry to start.
START = 20.0

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry; *address* is the host part of image names, such as ``127.0.0.1:5000``."""

    address: str

    @property
    def config(self) -> str:
        """The part of buildkitd.toml that allows plain HTTP for it."""
        return f'[registry."{self.address}"]\n  http = true\n'

    def alive(self) -> bool:
        """Return whether it responds."""
        return _get(f"http://{self.address}/v2/") is not None

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest of ``name:tag``, or None if the registry does not have it."""
        return _get(f"http://{self.address}/v2/{name}/manifests/{tag}")

    def has(self, ref: str) -> bool:
        """Return whether it has ``ADDRESS/NAME:TAG``; true for an image of another registry."""
        host, _, rest = ref.partition("/")
        name, _, tag = rest.rpartition(":")
        return host != self.address or self.digest(name, tag) is not None

    def open_manifest(self, name: str, tag: str) -> IO[bytes]:
        """Open the manifest of ``name:tag``, or of the digest *tag*.

        Raises `OSError` or `ValueError`.
        """
        return _opened(f"http://{self.address}/v2/{name}/manifests/{tag}")

    def open_blob(self, name: str, digest: str) -> IO[bytes]:
        """Open a blob of repository *name*. Raises `OSError` or `ValueError`."""
        return _opened(f"http://{self.address}/v2/{name}/blobs/{digest}")


def on_disk(storage: Path, name: str, tag: str) -> str | None:
    """Return the digest of ``name:tag`` in the files of a registry that does not run, or None."""
    tags = storage / "docker/registry/v2/repositories" / name / "_manifests/tags"
    try:
        return (tags / tag / "current/link").read_text().strip() or None
    except OSError:
        return None


def _get(url: str) -> str | None:
    """Return the digest header of the response to *url*, "" without one; None on failure."""
    try:
        with _open(url) as answer:
            return answer.headers.get("Docker-Content-Digest") or ""
    except (web.NotServed, OSError, ValueError):
        return None


def _opened(url: str) -> HTTPResponse:
    try:
        return _open(url)
    except web.NotServed as error:
        raise OSError(error.message) from None


def _open(url: str) -> HTTPResponse:
    return web.open_url(url, timeout=5, headers={"Accept": ", ".join(_ACCEPT)})


def external(address: str) -> Registry:
    """Return the user's own registry on loopback. Raises `InfraFailed` if it does not respond."""
    registry = Registry(address=address)
    if not registry.alive():
        raise InfraFailed(
            f"the registry at {address} does not respond",
            hint=f"start it, or leave out {words(Campaign, registry=True)}",
        )
    return registry


@contextlib.contextmanager
def serve(storage: Path, *, read_only: bool = False) -> Iterator[Registry]:
    """Run a registry over *storage* on a free loopback port for the duration of a block.

    It asks nobody who they are: what build steps may reach is *read_only* if others rely on it.
    Raises `InfraFailed` if it does not start.
    """
    with paths.scratch("registry") as home:
        log = home / "log"
        for _ in range(5):
            port = _free_port()
            config = home / "config.yml"
            # JSON is valid YAML and quotes every path.
            config.write_text(json.dumps(_config(storage, port, read_only=read_only)))
            with process.running(["docker-registry", "serve", str(config)], log=log) as child:
                registry = Registry(address=f"127.0.0.1:{port}")
                deadline = time.monotonic() + START
                while child.poll() is None and time.monotonic() < deadline:
                    if registry.alive():
                        yield registry
                        return
                    time.sleep(0.05)
            # Another process took the port between our check and its bind.
        tail = pipes.excerpt(log, 1000)[-500:]
        raise InfraFailed(f"the local registry did not start: {tail}", hint=inv("doctor"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _config(storage: Path, port: int, *, read_only: bool) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "delete": {"enabled": not read_only},
            "maintenance": {"readonly": {"enabled": read_only}},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }

"""Engines behind TLS and ssh, by DOCKER_HOST and by contexts: real trials, clear errors."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import engine as engines
import sshd
from certificates import Authority
from engine import TestEngine
from sshd import Sshd
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200), pytest.mark.alone]

REV = ("--rev", "v0.25.0", "--source", "module")
CELL = (
    *(*REV, "--scenario", "cross-stage-lazy", "--axis", "bases=different"),
    *("--axis", "snapshotter=overlayfs", "--trials", "1", "--fresh", "--json"),
)

#: Most seconds until an error is reported, including the start of the command.
PROMPTLY = 25.0


@dataclass(frozen=True, kw_only=True)
class Remote:
    """An Engine that listens on a TLS port, and its certificates and those of its clients."""

    engine: TestEngine
    port: int
    ours: Authority
    certs: Path  # ca.pem, cert.pem, key.pem of an accepted client

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def tls(self, certs: Path | None = None) -> dict[str, str]:
        """Return a client's environment; the CA bundle for other servers must not be used."""
        return {
            **self.engine.environment,
            "DOCKER_HOST": self.url,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(certs or self.certs),
            "REQUESTS_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt",
        }


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("tls")
    ours = Authority(folder / "ca")
    server, client = ours.sign(folder / "server"), ours.sign(folder / "client")
    port = free_port()
    flags = (
        *("--host", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", str(ours.pem)),
        *("--tlscert", str(server / "cert.pem"), "--tlskey", str(server / "key.pem")),
    )
    with engines.running(flags=flags) as engine:
        yield Remote(engine=engine, port=port, ours=ours, certs=client)


@pytest.fixture(scope="module")
def shell(remote: Remote) -> Iterator[Sshd]:
    with sshd.running(DOCKER_HOST=remote.engine.url) as made:
        yield made


@pytest.fixture
def ssh(remote: Remote, shell: Sshd) -> dict[str, str]:
    return {**remote.engine.environment, **shell.client(), "DOCKER_HOST": shell.url}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def context(engine: TestEngine, name: str, url: str, certs: Path | None = None) -> dict[str, str]:
    """Write a context as `docker context create` does; return the environment that selects it."""
    home = Path(engine.environment["DOCKER_CONFIG"]) / "contexts"
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = home / "meta" / folder / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoints = {"docker": {"Host": url, "SkipTLSVerify": False}}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    if certs:
        target = home / "tls" / folder / "docker"
        target.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (target / file).write_bytes((certs / file).read_bytes())
    return {**engine.environment, "DOCKER_HOST": "", "DOCKER_CONTEXT": name}


def trial(env: dict[str, str], out: Path, runtime: str) -> TaskOutput:
    return inv("run", *CELL, "--runtime", runtime, "--out", str(out), env=env, timeout=600)


def is_cached(done: TaskOutput, endpoint: str, engine: TestEngine) -> None:
    assert done.code == 0, done.stderr
    outcomes = [cell["outcome"] for cell in done.document["cells"]]
    assert set(outcomes) == {"cached"}, done.stderr
    assert f" at {endpoint} (" in done.document["host"]["docker"]
    assert engine.left(patience=5) == []
    assert left_behind() == []


def test_trials_through_tls(remote: Remote, tmp_path: Path) -> None:
    is_cached(trial(remote.tls(), tmp_path, "docker,buildx"), remote.url, remote.engine)


def test_a_trial_through_a_context_with_tls(remote: Remote, tmp_path: Path) -> None:
    env = context(remote.engine, "lab", remote.url, remote.certs)
    done = trial(env, tmp_path, "docker")
    is_cached(done, f"{remote.url} (context lab)", remote.engine)


def refused(env: dict[str, str], *needles: str) -> str:
    """Request an image of an existing build; check that the only error is one line."""
    started = time.monotonic()
    done = inv("build", *REV, "--image", env=env, timeout=120)
    assert time.monotonic() - started < PROMPTLY
    assert done.code == 3, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    for needle in needles:
        assert needle in line
    return line


def test_an_engine_of_another_authority_is_refused(remote: Remote, tmp_path: Path) -> None:
    theirs = Authority(tmp_path / "ca").sign(tmp_path / "client")
    refused(remote.tls(theirs), f"TLS with the Docker Engine at {remote.url}", "certificate")


def test_an_engine_that_refuses_our_certificate(remote: Remote, tmp_path: Path) -> None:
    theirs = Authority(tmp_path / "ca").sign(tmp_path / "client")
    (theirs / "ca.pem").write_bytes(remote.ours.pem.read_bytes())
    refused(remote.tls(theirs), f"TLS with the Docker Engine at {remote.url}", "certificate")


def test_our_certificate_has_expired(remote: Remote, tmp_path: Path) -> None:
    old = remote.ours.sign(tmp_path / "client", expired=True)
    refused(remote.tls(old), f"TLS with the Docker Engine at {remote.url}", "certificate")


def test_the_engines_certificate_has_expired(remote: Remote, tmp_path: Path) -> None:
    old = remote.ours.sign(tmp_path / "server", expired=True)
    with serving(old) as port:
        env = {**remote.tls(), "DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
        refused(env, f"TLS with the Docker Engine at tcp://127.0.0.1:{port}", "expired")


def test_missing_certificates(remote: Remote, tmp_path: Path) -> None:
    refused(remote.tls(tmp_path), "TLS with the Docker Engine", "DOCKER_CERT_PATH")


def test_plain_http_to_a_tls_port(remote: Remote) -> None:
    env = {**remote.tls(), "DOCKER_TLS_VERIFY": ""}
    refused(env, f"TLS with the Docker Engine at {remote.url}", "HTTPS", "DOCKER_TLS_VERIFY")


def test_tls_to_a_plain_port(remote: Remote) -> None:
    with serving(None) as port:
        env = {**remote.tls(), "DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
        refused(env, f"TLS with the Docker Engine at tcp://127.0.0.1:{port}")


@contextmanager
def serving(certs: Path | None) -> Iterator[int]:
    """Yield a port that uses TLS with that certificate, or plain text."""
    server = socket.create_server(("127.0.0.1", 0))
    tls = None
    if certs:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certs / "cert.pem", certs / "key.pem")
    over = threading.Event()

    def greet() -> None:
        while not over.is_set():
            try:
                taken, _ = server.accept()
            except OSError:
                return
            with taken:
                try:
                    if tls:
                        tls.wrap_socket(taken, server_side=True).close()
                    else:
                        taken.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                except OSError:
                    pass

    thread = threading.Thread(target=greet)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def test_trials_through_ssh(
    remote: Remote, shell: Sshd, ssh: dict[str, str], tmp_path: Path
) -> None:
    done = trial(ssh, tmp_path, "docker,buildx")
    is_cached(done, f"ssh://127.0.0.1:{shell.port}", remote.engine)
    assert gone(shell) == []


def test_a_trial_through_a_context_with_ssh(
    remote: Remote, shell: Sshd, ssh: dict[str, str], tmp_path: Path
) -> None:
    chosen = context(remote.engine, "far", shell.url)
    done = trial({**ssh, **chosen}, tmp_path, "docker")
    is_cached(done, f"ssh://127.0.0.1:{shell.port} (context far)", remote.engine)
    assert gone(shell) == []


@pytest.fixture(scope="module")
def far() -> Iterator[TestEngine]:
    with engines.running(elsewhere=True) as made:
        yield made


def test_an_engine_elsewhere_runs_trials_without_a_registry(
    far: TestEngine, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\n"$BKBISECT_BUILDCTL" debug workers\n')
    script.chmod(0o755)
    words = ("--script", str(script), "--runtime", "docker", "--trials", "1", "--fresh", "--json")
    done = inv("run", *REV, *words, "--out", str(tmp_path / "out"), env=far.environment)
    assert done.code == 0, done.stderr
    assert [cell["verdict"] for cell in done.document["cells"]] == ["good"]
    assert far.left() == []


def test_an_engine_elsewhere_cannot_use_our_registry(far: TestEngine, tmp_path: Path) -> None:
    done = trial(far.environment, tmp_path, "docker")
    assert far.left() == []
    assert done.code == 3, done.stderr
    assert "cannot reach the registry on this machine's loopback" in done.stderr
    assert "--images public" in done.stderr
    assert list(tmp_path.rglob("*.progress.jsonl")) == []  # no trial ran


def gone(shell: Sshd) -> list[str]:
    """Return the ssh processes that still run shortly after a task."""
    deadline = time.monotonic() + 5
    while (left := shell.clients()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_an_unknown_host_key(shell: Sshd, ssh: dict[str, str]) -> None:
    line = refused({**ssh, **shell.client(hosts="none")}, "Host key verification failed")
    assert f"on 127.0.0.1:{shell.port}" in line
    assert "root@" not in line
    assert gone(shell) == []


def test_a_key_that_the_host_refuses(shell: Sshd, ssh: dict[str, str]) -> None:
    refused({**ssh, **shell.client(key="stranger")}, "Permission denied")
    assert gone(shell) == []


def test_no_sshd(ssh: dict[str, str]) -> None:
    env = {**ssh, "DOCKER_HOST": f"ssh://127.0.0.1:{free_port()}"}
    refused(env, "Connection refused")


def test_a_host_without_an_engine(remote: Remote, tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    with sshd.running(DOCKER_HOST=f"unix://{nowhere}") as other:
        env = {**remote.engine.environment, **other.client(), "DOCKER_HOST": other.url}
        refused(env, "cannot reach a Docker Engine", str(nowhere))
        assert gone(other) == []


@pytest.mark.parametrize(
    "url",
    ["ssh://-oProxyCommand=touch${IFS}owned", "ssh://-l@host", "ssh://", "ssh://me:secret@host"],
)
def test_invalid_ssh_urls(url: str, ssh: dict[str, str], tmp_path: Path) -> None:
    done = inv("build", *REV, "--image", env={**ssh, "DOCKER_HOST": url})
    assert done.code == 2, done.stderr
    assert "ssh://[USER@]HOST" in done.stderr
    assert "secret" not in done.stderr
    assert not Path("owned").exists()

"""Engines: which one is meant, whose objects are whose, what containers are granted."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests

from buildkit_bisect.engine import client, grant, labels, memory, rootfs, ssh
from buildkit_bisect.engine.contexts import DEFAULT_URL, Endpoint, endpoint, written
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.runtime.container import ended_by, last_words
from buildkit_bisect.system import owner, process


def context(home: Path, name: str, url: str, *, tls: bool = False, skip: bool = False) -> None:
    folder = hashlib.sha256(name.encode()).hexdigest()
    meta = home / "contexts" / "meta" / folder
    meta.mkdir(parents=True)
    docker_endpoint = {"Host": url, "SkipTLSVerify": skip}
    content = {"Name": name, "Metadata": {}, "Endpoints": {"docker": docker_endpoint}}
    (meta / "meta.json").write_text(json.dumps(content))
    if tls:
        (home / "contexts" / "tls" / folder / "docker").mkdir(parents=True)


def test_docker_host_takes_precedence_over_a_context(tmp_path: Path) -> None:
    context(tmp_path, "far", "ssh://me@far")
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far", "DOCKER_HOST": "unix:///x"}
    assert endpoint(env) == Endpoint(url="unix:///x")


def test_a_context_needs_no_config_file(tmp_path: Path) -> None:
    context(tmp_path, "far", "ssh://me@far")
    found = endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})
    assert (found.url, found.context, found.tls) == ("ssh://me@far", "far", "")
    assert found.environment() == {"DOCKER_CONTEXT": "far", "DOCKER_HOST": ""}


def test_the_current_context_is_used(tmp_path: Path) -> None:
    context(tmp_path, "lab", "tcp://lab:2376", tls=True, skip=True)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "lab"}))
    found = endpoint({"DOCKER_CONFIG": str(tmp_path)})
    assert found.url == "tcp://lab:2376"
    assert found.tls.endswith("/docker")
    assert not found.verify


def test_the_default_context_is_the_local_socket(tmp_path: Path) -> None:
    assert endpoint({"DOCKER_CONFIG": str(tmp_path)}) == Endpoint(url=DEFAULT_URL)
    assert endpoint({"HOME": str(tmp_path), "DOCKER_CONTEXT": "default"}).url == DEFAULT_URL


def test_tls_by_environment(tmp_path: Path) -> None:
    env = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}
    assert endpoint(env) == Endpoint(url="tcp://h:2376", tls="/certs", verify=True)


def test_tls_by_environment_becomes_a_context(tmp_path: Path) -> None:
    home, certs = tmp_path / "docker-config", tmp_path / "certs"
    home.mkdir()
    certs.mkdir()
    (home / "config.json").write_text('{"auths": {}, "currentContext": "other"}')
    context(home, "other", "unix:///elsewhere")
    (certs / "ca.pem").write_text("a CA")
    env = {
        "DOCKER_HOST": "tcp://h:2376",
        "DOCKER_TLS": "1",
        "DOCKER_CERT_PATH": str(certs),
        "DOCKER_CONFIG": str(home),
    }
    made = written(endpoint(env), tmp_path, env)
    assert made["DOCKER_TLS"] == made["DOCKER_HOST"] == ""
    found = endpoint(made)
    assert (found.url, found.verify) == ("tcp://h:2376", False)
    assert (Path(found.tls) / "ca.pem").read_text() == "a CA"
    assert "auths" in (Path(made["DOCKER_CONFIG"]) / "config.json").read_text()


def test_an_engine_without_tls_or_with_a_context_needs_none_written(tmp_path: Path) -> None:
    for where in (Endpoint(url="unix:///x"), Endpoint(url="tcp://h:1", context="c", tls="/certs")):
        assert written(where, tmp_path, {}) == where.environment()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["not json", "[]", '{"Endpoints": {}}'])
def test_a_broken_context_is_named(tmp_path: Path, text: str) -> None:
    context(tmp_path, "odd", "unix:///x")
    next(tmp_path.rglob("meta.json")).write_text(text)
    with pytest.raises(BadInput, match="cannot read Docker context 'odd'"):
        endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


def test_a_missing_context_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Docker context 'gone' not found"):
        endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("unix:///var/run/docker.sock", False),
        ("tcp://127.0.0.1:2376", False),
        ("tcp://[::1]:2376", False),
        ("ssh://me@localhost", False),
        ("tcp://192.0.2.7:2376", True),
        ("ssh://build.example", True),
    ],
)
def test_remote_engines_are_recognized_by_address(url: str, remote: bool) -> None:
    assert Endpoint(url=url).remote is remote


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("ssh://far", "ConnectTimeout=30 -- far docker system dial-stdio"),
        ("ssh://Me@Far:2222", "-l Me -p 2222 -- Far docker system dial-stdio"),
        ("ssh://me@[::1]:22", "-l me -p 22 -- ::1 docker system dial-stdio"),
        ("ssh://far/run/d k", "-- far docker --host 'unix:///run/d k' system dial-stdio"),
    ],
)
def test_an_engine_behind_ssh_is_reached_by_dial_stdio(url: str, end: str) -> None:
    argv = ssh.command(url)
    assert " ".join(argv).endswith(end)
    assert "BatchMode=yes" in argv


@pytest.mark.parametrize(
    "url",
    [
        *("ssh://", "ssh://-x", "ssh://-x@far", "ssh://a:b@far", "ssh://far:x", "ssh://far?x=1"),
        *("ssh://[x", "ssh://me@[::1"),
    ],
)
def test_an_invalid_ssh_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="without a password"):
        ssh.command(url)


@pytest.mark.parametrize("url", ["tcp://[::1", "ssh://[x", "unix://[/x"])
def test_an_invalid_engine_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match="invalid Engine address in DOCKER_HOST"):
        endpoint({"DOCKER_HOST": url, "HOME": str(tmp_path)})
    context(tmp_path, "odd", url)
    with pytest.raises(BadInput, match="invalid Engine address in Docker context 'odd'"):
        endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


def test_the_user_name_is_not_shown() -> None:
    shown = Endpoint(url="ssh://secret@build.example:22", context="b").shown
    assert shown == "ssh://build.example:22 (context b)"


def test_objects_of_a_running_process_are_not_left_behind() -> None:
    assert not labels.left_behind(labels.of("trial", "c"), time.time() + 10 * labels.STALE)


def test_objects_of_a_dead_process_are_left_behind() -> None:
    mine = labels.of("trial", "c")
    machine, pid, started = mine[labels.OWNER].split(":")
    dead = {**mine, labels.OWNER: f"{machine}:{pid}:{int(started) + 1}"}
    assert labels.left_behind(dead, time.time())


def test_objects_of_another_machine_are_left_behind_after_a_day() -> None:
    theirs = {**labels.of("trial"), labels.OWNER: "elsewhere:1:1"}
    now = int(theirs[labels.CREATED])
    assert not labels.left_behind(theirs, now + labels.STALE - 1)
    assert labels.left_behind(theirs, now + labels.STALE + 1)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"com.example": "1"},
        {labels.OWNER: "elsewhere:1:1", labels.CREATED: "0"},  # not ours
        {labels.OURS: "image", labels.OWNER: "", labels.CREATED: ""},  # labels of an image
        {labels.OURS: "trial", labels.OWNER: "elsewhere:1:1", labels.CREATED: "?"},
        {labels.OURS: "trial", labels.OWNER: "elsewhere:1:1", labels.CREATED: "²"},
        {labels.OURS: "trial", labels.OWNER: "elsewhere:1:1", labels.CREATED: "1" * 5000},
        {labels.OURS: "trial", labels.OWNER: f"{owner.machine()}:²:1", labels.CREATED: "?"},
    ],
)
def test_other_objects_are_never_swept(other: dict[str, str]) -> None:
    assert not labels.left_behind(other, 1e12)


def test_missing_capabilities_are_found_in_the_bounding_set() -> None:
    everything = (1 << len(grant.CAPABILITIES)) - 1
    assert grant.not_in(everything) == []
    assert grant.not_in(everything & ~(1 << 24)) == ["SYS_RESOURCE"]
    assert grant.CAPABILITIES[21] == "SYS_ADMIN"


def test_the_explicit_grant_drops_missing_capabilities() -> None:
    granted = grant.host_config(grant.EXPLICIT, ["SYS_RESOURCE"])
    assert granted["CapAdd"] == ["ALL"]
    assert granted["CapDrop"] == ["SYS_RESOURCE"]
    assert "Privileged" not in granted
    assert grant.host_config(grant.PRIVILEGED, ["SYS_RESOURCE"]) == {"Privileged": True}


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("OCI runtime create failed: unable to apply caps: operation not permitted", True),
        ("privileged mode is incompatible with user namespaces", True),
        ("no space left on device", False),
    ],
)
def test_only_a_refused_grant_is_retried_with_the_other_one(message: str, refused: bool) -> None:
    assert grant.refused(message) is refused


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ({"Running": False, "OOMKilled": True, "ExitCode": 137}, "out of memory"),
        ({"Running": True, "OOMKilled": True, "ExitCode": 0}, "out of memory"),
        ({"Running": False, "OOMKilled": False, "ExitCode": 137}, "SIGKILL"),
    ],
)
def test_a_killed_daemon_did_not_fail_by_itself(state: dict[str, object], part: str) -> None:
    assert part in ended_by(state)


def test_a_panic_is_the_daemons_own_failure() -> None:
    assert ended_by({"Running": False, "OOMKilled": False, "ExitCode": 2}) == ""
    assert ended_by({"Running": True, "OOMKilled": False, "ExitCode": 0}) == ""
    log = "level=info msg=start\npanic: footer\ngoroutine 1 [running]:"
    assert last_words(log) == "panic: footer"
    assert last_words("") == "it printed nothing"


def test_libraries_are_read_from_ldd_output() -> None:
    output = (
        "\tlinux-vdso.so.1 (0x00007f5029e01000)\n"
        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f5029bed000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f5029e03000)\n"
    )
    found = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
    assert rootfs.libraries(output) == found
    assert rootfs.libraries("\tnot a dynamic executable\n") == []


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        (PermissionError(errno.EACCES, "denied"), "permission denied"),
        (
            FileNotFoundError(errno.ENOENT, "none"),
            "cannot connect to the Docker Engine at unix:///x",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            "cannot connect to the Docker Engine at unix:///x",
        ),
        (ValueError("odd certificate"), "odd certificate"),
    ],
)
def test_why_an_engine_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, reason: Exception, part: str
) -> None:
    def refuse(**_: object) -> None:
        raise docker.errors.DockerException("wrapped") from requests.ConnectionError(reason)

    monkeypatch.setattr(docker, "DockerClient", refuse)
    with pytest.raises(Missing, match=part) as refused:
        client.connect(Endpoint(url="unix:///x"))
    assert refused.value.hint


def test_later_engine_errors_are_infrastructure_failures() -> None:
    with pytest.raises(InfraFailed, match="making tea: kettle"), client.engine_errors("making tea"):
        raise docker.errors.APIError("500", explanation="kettle is cold")


def test_facts_about_an_engine_are_remembered() -> None:
    memory.remember("one", grant="capabilities")
    memory.remember("one", base="bkbisect/base")
    assert memory.recall("one")["grant"] == "capabilities"
    assert memory.recall("two") == {}


def test_facts_about_an_unused_engine_are_removed() -> None:
    memory.remember("old", grant="privileged")
    (path,) = Path(os.environ["BKBISECT_CACHE_DIR"]).rglob("old.json")
    os.utime(path, (0, 0))
    memory.remember("new", grant="privileged")
    assert not path.exists()


def progress(*lines: Any, closed: list[bool]) -> Generator[Any, None, None]:
    try:
        yield from lines
        while True:  # a registry that sends a byte now and then
            yield {"status": "Downloading"}
    finally:
        closed.append(True)


def test_a_transfer_that_drips_is_cancelled() -> None:
    closed: list[bool] = []
    with pytest.raises(InfraFailed, match="did not finish within 0 s"):
        client.transferred(progress(closed=closed), 0.01)
    assert closed == [True], "the stream is closed, so that the Engine cancels the transfer"


def test_a_failed_transfer_reports_the_reason() -> None:
    closed: list[bool] = []
    with pytest.raises(InfraFailed, match="denied"):
        client.transferred(progress({"status": "x"}, {"error": "denied"}, closed=closed), 60)
    assert closed == [True]


def test_a_transfer_returns_its_facts() -> None:
    lines = ({"status": "x"}, {"aux": {"Digest": "sha256:1"}})
    assert client.transferred((line for line in lines), 60) == {"Digest": "sha256:1"}


def test_a_base_of_local_packages_has_git_with_what_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, a daemon in a container has no git sources; and it is not required."""
    for name in ("runc", "fusermount3", "busybox", "git", "core/git-remote-http", "libcurl.so"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def run(argv: list[str], **_: object) -> process.Completed:
        fetches = argv == ["ldd", f"{tmp_path}/core/git-remote-http"]
        printed = f"\tlibcurl.so => {tmp_path}/libcurl.so (0x1)\n" if fetches else ""
        printed = f"{tmp_path}/core\n" if argv == ["git", "--exec-path"] else printed
        return process.Completed(argv=(), exit=0, stdout=printed, stderr="", seconds=0.0)

    def which(name: str) -> str | None:
        return str(tmp_path / name) if (tmp_path / name).exists() else None

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(shutil, "which", which)
    made = rootfs.assemble()
    inside = str(tmp_path).lstrip("/")
    assert made.files["usr/bin/git"] == tmp_path / "git"
    assert made.files[f"{inside}/core/git-remote-http"] == tmp_path / "core/git-remote-http"
    assert made.files[f"{inside}/libcurl.so"] == tmp_path / "libcurl.so"
    (tmp_path / "git").unlink()
    assert not any("git" in name for name in rootfs.assemble().files)

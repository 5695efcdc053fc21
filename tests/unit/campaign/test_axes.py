"""Snapshotters that scenarios do not list: added, rejected, mounted into a container."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign import axes
from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import docker, snapshotters
from small_scenario import loaded, written


def test_snapshotters_are_added_only_if_requested() -> None:
    loaded = scenarios.load("cross-stage-lazy")
    requested = Campaign(axis={"snapshotter": ("fuse-overlayfs", "stargz-proxy", "nonsense")})
    axis = axes.extend(loaded, requested).axes["snapshotter"]
    assert axis.values == (*loaded.axes["snapshotter"].values, "fuse-overlayfs", "stargz-proxy")
    assert axis.labels["stargz"] == "lazy snapshotter (stargz)", "labels are kept"
    assert "fuse-overlayfs" in axis.controls
    assert "stargz-proxy" not in axis.controls
    assert axes.extend(loaded, Campaign()) == loaded


@pytest.mark.parametrize(
    ("runtime", "value"),
    [
        (RuntimeKind.BUILDX, "stargz-proxy"),
        (RuntimeKind.BUILDX, "given"),
        (RuntimeKind.DOCKER, "mine"),
    ],
)
def test_a_snapshotter_that_a_runtime_does_not_support_is_rejected(
    runtime: RuntimeKind, value: str
) -> None:
    served = Served(socket="/s", root="/root" if value == "given" else "")
    sockets = {} if value == "stargz-proxy" else {value: served}
    wanted = Campaign(
        runtime=(runtime,), axis={"snapshotter": (value,)}, snapshotter_socket=sockets
    )
    with pytest.raises(BadInput, match=value):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)


def test_a_socket_without_a_root_is_rejected_for_containers_even_if_no_axis_uses_it() -> None:
    served = {"mine": Served(socket="/s")}
    wanted = Campaign(runtime=(RuntimeKind.HOST, RuntimeKind.DOCKER), snapshotter_socket=served)
    with pytest.raises(BadInput, match="a container also needs the directory"):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)


def test_a_container_gets_the_socket_and_the_root_with_its_mounts() -> None:
    entry = Served(socket="/run/mine/s.sock", root="/var/lib/mine")
    bound, root = docker.own_mounts(entry)
    assert (bound["Source"], bound["Target"]) == ("/run/mine/s.sock", docker.PROXY_SOCKET)
    assert root["Source"] == root["Target"] == "/var/lib/mine"
    assert root["BindOptions"] == {"Propagation": "rslave"}


@pytest.mark.parametrize(
    "root",
    [
        *("/var", "/var/lib", "/var/lib/buildkit", "/etc", "/etc/buildkit", "/run", "/usr", "/bin"),
        *("/proc", "/proc/1/root", "/sys/fs", "/dev/shm", "/tmp"),  # noqa: S108
    ],
)
def test_a_root_that_hides_directories_of_the_container_is_rejected(root: str) -> None:
    served = {"mine": Served(socket="/s", root=root)}
    wanted = Campaign(runtime=(RuntimeKind.DOCKER,), snapshotter_socket=served)
    with pytest.raises(BadInput, match=f"mounting {root} would hide or change"):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)
    harmless = {"mine": Served(socket="/s", root="/var/lib/overlaybd")}
    axes.extend(scenarios.load("cross-stage-lazy"), replace(wanted, snapshotter_socket=harmless))


def test_a_restarted_snapshotter_has_another_version(tmp_path: Path) -> None:
    served = {"mine": Served(socket=str(tmp_path / "s"))}

    def found() -> snapshotters.Proxy:
        with socket.socket(socket.AF_UNIX) as serving:
            serving.bind(served["mine"].socket)
            first = snapshotters.find(["mine"], served)["mine"]
            assert snapshotters.find(["mine"], served)["mine"] == first
        Path(served["mine"].socket).unlink()
        return first

    assert found() != found()


def test_another_root_gives_another_version(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as serving:
        serving.bind(str(path))
        wrong, right = (
            snapshotters.find(["mine"], {"mine": Served(socket=str(path), root=root)})["mine"]
            for root in ("/var", "/var/lib")
        )
    assert wrong.version != right.version


def test_fuse_overlayfs_needs_its_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    snapshotters.check_installed(["overlayfs", "stargz"])
    with pytest.raises(Missing, match="fuse-overlayfs is not installed"):
        snapshotters.check_installed(["overlayfs", "fuse-overlayfs"])
    program = tmp_path / "fuse-overlayfs"
    program.touch(0o755)
    snapshotters.check_installed(["fuse-overlayfs"])


def test_a_step_that_runs_buildctl_needs_docker_with_buildx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = loaded(written(tmp_path, '[[steps]]\nid = "space"\naction = "du"\n'))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    axes.extend(made, Campaign(runtime=(RuntimeKind.HOST,)))
    wanted = Campaign(runtime=(RuntimeKind.HOST, RuntimeKind.BUILDX))
    axes.extend(scenarios.load("cross-stage-lazy"), wanted)
    with pytest.raises(Missing, match="not installed; step space needs it with --runtime buildx"):
        axes.extend(made, wanted)


def test_a_git_server_needs_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = loaded(written(tmp_path, '[servers.repo]\nkind = "git"\n'))
    axes.extend(made, Campaign())
    monkeypatch.setattr(shutil, "which", lambda _: None)
    axes.extend(scenarios.load("cross-stage-lazy"), Campaign())
    with pytest.raises(Missing, match="git is not installed; the server repo of small needs it"):
        axes.extend(made, Campaign())

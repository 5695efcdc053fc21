"""Snapshotters that scenarios do not list: what is asked for, refused, and given to a container."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import scenario as scenarios
from buildkit_bisect.campaign import axes
from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import RuntimeKind, Served
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import docker, snapshotters


def test_snapshotters_are_added_only_when_asked_for() -> None:
    loaded = scenarios.load("cross-stage-lazy")
    asked = Campaign(axis={"snapshotter": ("fuse-overlayfs", "stargz-proxy", "nonsense")})
    axis = axes.extend(loaded, asked).axes["snapshotter"]
    assert axis.values == (*loaded.axes["snapshotter"].values, "fuse-overlayfs", "stargz-proxy")
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
def test_a_snapshotter_that_a_runtime_cannot_have_is_refused(
    runtime: RuntimeKind, value: str
) -> None:
    served = Served(socket="/s", root="/root" if value == "given" else "")
    sockets = {} if value == "stargz-proxy" else {value: served}
    wanted = Campaign(
        runtime=(runtime,), axis={"snapshotter": (value,)}, snapshotter_socket=sockets
    )
    with pytest.raises(BadInput, match=value):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)


def test_a_socket_that_no_axis_asks_for_is_not_ignored_in_a_container() -> None:
    served = {"mine": Served(socket="/s")}
    wanted = Campaign(runtime=(RuntimeKind.HOST, RuntimeKind.DOCKER), snapshotter_socket=served)
    with pytest.raises(BadInput, match="a container also needs the directory"):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)


def test_a_container_is_given_the_socket_and_what_is_mounted_below_its_root() -> None:
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
def test_a_root_that_hides_the_containers_own_is_refused(root: str) -> None:
    served = {"mine": Served(socket="/s", root=root)}
    wanted = Campaign(runtime=(RuntimeKind.DOCKER,), snapshotter_socket=served)
    with pytest.raises(BadInput, match=f"mounting {root} would hide or change"):
        axes.extend(scenarios.load("cross-stage-lazy"), wanted)
    fine = {"mine": Served(socket="/s", root="/var/lib/overlaybd")}
    axes.extend(scenarios.load("cross-stage-lazy"), replace(wanted, snapshotter_socket=fine))


def test_a_snapshotter_that_was_started_anew_is_another_one(tmp_path: Path) -> None:
    served = {"mine": Served(socket=str(tmp_path / "s"))}

    def found() -> snapshotters.Proxy:
        with socket.socket(socket.AF_UNIX) as serving:
            serving.bind(served["mine"].socket)
            first = snapshotters.find(["mine"], served)["mine"]
            assert snapshotters.find(["mine"], served)["mine"] == first
        Path(served["mine"].socket).unlink()
        return first

    assert found() != found()


def test_one_with_another_root_is_another_one(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as serving:
        serving.bind(str(place))
        wrong, right = (
            snapshotters.find(["mine"], {"mine": Served(socket=str(place), root=root)})["mine"]
            for root in ("/var", "/var/lib")
        )
    assert wrong.version != right.version

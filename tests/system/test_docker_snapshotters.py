"""Snapshotters that scenarios do not list: built in, as a proxy, and a user's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine as engines
from buildkit_bisect.golang import gotool
from buildkit_bisect.runtime import snapshotters
from buildkit_bisect.system import process
from engine import TestEngine
from tool import TaskOutput, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

ALL = "overlayfs,native,fuse-overlayfs,stargz,stargz-proxy"
ONE = ("--rev", "v0.25.0", "--source", "module", "--scenario", "cross-stage-lazy")
FAILING = {"stargz", "stargz-proxy"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shared mount, as under systemd: other namespaces see mounts in it."""
    place = tmp_path_factory.mktemp("shared")
    process.run(["mount", "--bind", str(place), str(place)], timeout=60)
    try:
        process.run(["mount", "--make-shared", str(place)], timeout=60)
        yield place
    finally:
        process.run(["umount", "--recursive", "--lazy", str(place)], timeout=60)


@pytest.fixture(scope="module")
def engine(shared: Path) -> Iterator[TestEngine]:
    with engines.running(propagation="slave") as made:
        yield made


@pytest.fixture(scope="module")
def done(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    return inv(
        *("run", *ONE, "--axis", f"snapshotter={ALL}", "--axis", "bases=different"),
        *("--runtime", "host,docker", "--trials", "1", "--json"),
        *("--out", str(tmp_path_factory.mktemp("results"))),
        env=engine.environment,
        timeout=1700,
    )


@pytest.mark.parametrize("runtime", ["host", "docker"])
def test_outcomes_are_those_of_eager_and_lazy_snapshotters(done: TaskOutput, runtime: str) -> None:
    assert done.code == 0, done.stderr
    found = {
        cell["axes"]["snapshotter"]: cell["outcome"]
        for cell in done.document["cells"]
        if cell["axes"]["runtime"] == runtime
    }
    expected = {n: "export-failed" if n in FAILING else "cached" for n in ALL.split(",")}
    assert found == expected, done.stderr


def test_fuse_overlayfs_is_a_control(done: TaskOutput) -> None:
    controls = {c["axes"]["snapshotter"] for c in done.document["cells"] if c["control"]}
    assert controls == {"overlayfs", "native", "fuse-overlayfs"}


def test_nothing_is_left(done: TaskOutput, engine: TestEngine) -> None:
    assert engine.left(patience=5) == []
    assert left_behind() == []


@pytest.mark.parametrize("runtime", ["host", "docker"])
def test_a_users_own_snapshotter(
    runtime: str, tmp_path: Path, shared: Path, engine: TestEngine
) -> None:
    program = gotool.ensure(snapshotters.TOOL)
    socket = tmp_path / "s"
    root = shared / runtime
    root.mkdir()
    serve = [str(program), str(root), str(socket), "sleep", "600"]
    given = f"stargz={socket}" if runtime == "host" else f"stargz={socket}:{root}"
    with process.running(serve, log=tmp_path / "log"):
        deadline = time.monotonic() + 20
        while not socket.is_socket():
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        done = inv(
            *("run", *ONE, "--axis", "snapshotter=stargz", "--axis", "bases=different"),
            *("--snapshotter-socket", given, "--runtime", runtime),
            *("--trials", "1", "--json", "--fresh", "--out", str(tmp_path)),
            env=engine.environment,
        )
        # This snapshotter was used, and it mounted the layers of the base images.
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        assert [m for m in mounted if m.startswith(f"{root}/")], done.stderr
    assert done.code == 0, done.stderr
    (cell,) = done.document["cells"]
    assert cell["outcome"] == "export-failed", cell["reason"]
    assert engine.left(patience=5) == []


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (("--snapshotter-socket", "mine=relative"), "NAME=/PATH/OF/SOCKET"),
        (
            ("--snapshotter-socket", "mine=/nowhere", "--axis", "snapshotter=mine"),
            "is not a socket",
        ),
        (("--axis", "snapshotter=mine"), "has no value 'mine'"),
        (("--axis", "snapshotter=stargz-proxy", "--runtime", "buildx"), "cannot run stargz-proxy"),
        (("--snapshotter-socket", "mine=/s", "--runtime", "docker"), "also needs the directory"),
        (("--snapshotter-socket", "mine=/s:/r", "--runtime", "host,buildx"), "buildx cannot mount"),
    ],
)
def test_unsupported_combinations_are_refused(
    words: tuple[str, ...], needle: str, tmp_path: Path
) -> None:
    done = inv("run", *ONE, *words, "--out", str(tmp_path))
    assert done.code == 2, done.stderr
    assert needle in done.stderr
    assert "Traceback" not in done.stderr

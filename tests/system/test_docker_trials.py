"""Scenarios in containers on a real Docker Engine: same outcomes, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

import engine as engines
from buildkit_bisect.engine import open_engine
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.runtime.container import archive
from buildkit_bisect.runtime.docker import docker_runtime
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from engine import TestEngine
from runc_within_limits import NAMES, held
from stuck_engine import stuck
from tool import TaskOutput, argv, environment, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(2400), pytest.mark.alone]

RUNTIMES = ("host", "docker", "buildx")
#: A control alone, so that only one cell has trials that fail three times.
EAGER = (
    *("--rev", "v0.25.0", "--source", "module", "--scenario", "cross-stage-lazy"),
    *("--axis", "snapshotter=overlayfs", "--axis", "bases=different"),
)
STARGZ = ("--scenario", "cross-stage-lazy", "--axis", "snapshotter=stargz")
Cell = tuple[str, ...]
ONE: Cell = ("--rev", "v0.25.0", "--source", "module", *STARGZ, "--axis", "bases=different")


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with engines.running() as made:
        yield made


@pytest.fixture(scope="module")
def side_by_side(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> TaskOutput:
    return inv(
        *("matrix", "--revs", "v0.25.0,v0.26.3", "--source", "module"),
        *("--scenario", "cross-stage-lazy", "--axis", "bases=different"),
        *("--runtime", ",".join(RUNTIMES), "--trials", "1", "--fresh", "--json"),
        *("--out", str(tmp_path_factory.mktemp("results"))),
        env=engine.environment,
        timeout=2300,
    )


def outcomes(done: TaskOutput, runtime: str) -> dict[tuple[str, str], str]:
    return {
        (cell["ref"], cell["axes"]["snapshotter"]): cell["outcome"]
        for cell in done.document["cells"]
        if cell["axes"]["runtime"] == runtime
    }


def test_every_runtime_gives_the_same_outcomes(side_by_side: TaskOutput) -> None:
    assert side_by_side.code == 0, side_by_side.stderr
    expected = outcomes(side_by_side, "host")
    assert expected["v0.25.0", "stargz"] == "export-failed"
    assert expected["v0.26.3", "stargz"] == "layers-dropped"
    assert {expected[ref, "overlayfs"] for ref in ("v0.25.0", "v0.26.3")} == {"cached"}
    assert outcomes(side_by_side, "docker") == expected
    assert outcomes(side_by_side, "buildx") == expected


def test_nothing_is_left(side_by_side: TaskOutput, engine: TestEngine) -> None:
    assert engine.left(patience=5) == []
    assert left_behind() == []


def test_the_daemons_log_and_the_progress_are_stored(side_by_side: TaskOutput) -> None:
    folder = Path(side_by_side.stderr.rpartition("Results: ")[2].strip())
    for cell in side_by_side.document["cells"]:
        for trial in cell["trials"]:
            kept = folder / trial["evidence"]
            assert "running server on" in (kept / "buildkitd.log").read_text()
            assert (kept / "export.progress.jsonl").stat().st_size > 1000


def test_trials_count_for_one_runtime_alone_too(
    side_by_side: TaskOutput, engine: TestEngine, tmp_path: Path
) -> None:
    words = ("run", *ONE, "--trials", "1", "--json", "--out", str(tmp_path))
    again = inv(*words, "--runtime", "docker", env=engine.environment)
    assert again.code == 0, again.stderr
    (cell,) = again.document["cells"]
    assert [t["reused"] for t in cell["trials"]] == [True]


@pytest.mark.parametrize("runtime", ["docker", "buildx"])
def test_only_what_a_killed_run_left_is_removed(
    engine: TestEngine, tmp_path: Path, runtime: str
) -> None:
    with closing(engine.client()) as client:
        client.volumes.create("theirs")
    running = _start(engine, tmp_path, runtime)
    try:
        name = _container(engine)
        beside = inv("clean", env=engine.environment)
        assert name not in beside.stdout, "the running campaign's container was taken away"
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(30)
    assert any(name in left for left in engine.left())
    swept = inv("clean", env=engine.environment)
    assert swept.code == 0, swept.stderr
    assert f"removed container {name}" in swept.stdout
    assert engine.left() == ["volume theirs"]
    assert left_behind() == []
    with closing(engine.client()) as client:
        client.volumes.get("theirs").remove()


@pytest.mark.parametrize("runtime", ["docker", "buildx"])
def test_ctrl_c_removes_everything(engine: TestEngine, tmp_path: Path, runtime: str) -> None:
    running = _start(engine, tmp_path, runtime)
    _container(engine)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(60) == 130
    assert engine.left(patience=5) == []
    assert left_behind() == []


@pytest.mark.parametrize("runtime", ["docker", "buildx"])
def test_a_daemon_killed_during_a_trial_is_infrastructure(
    engine: TestEngine, tmp_path: Path, runtime: str
) -> None:
    with _repeatedly(engine, lambda c: c.kill()):
        done = _run(engine, tmp_path, runtime, cell=EAGER)
    _is_infra(done, engine)
    assert "SIGKILL" in done.document["cells"][0]["reason"]


def test_a_container_that_runs_out_of_memory_is_infrastructure(
    engine: TestEngine, tmp_path: Path
) -> None:
    with _repeatedly(engine, _as_small_as_can_be, every=0.05):
        done = _run(engine, tmp_path, "docker", cell=EAGER)
    _is_infra(done, engine)


def _as_small_as_can_be(container: Any) -> None:
    """Limit a container's memory to what it uses: the kernel kills it when it needs more.

    cgroup v1 refuses a limit below the memory that cannot be reclaimed, so try increasing ones.
    """
    for limit in range(8, 200, 4):
        with suppress(APIError):
            container.update(mem_limit=f"{limit}m", memswap_limit=f"{limit}m")
            return


def test_a_registry_that_ends_during_a_trial_is_infrastructure(
    engine: TestEngine, tmp_path: Path
) -> None:
    # It uses the storage of the tool's own registry, which has the base images.
    with ExitStack() as registry:
        where = registry.enter_context(serve(paths.cache("registry")))
        with _repeatedly(engine, lambda _: registry.close(), every=0.02):
            words = ("--fresh", "--registry", where.address)
            done = _run(engine, tmp_path, "docker", *words, cell=EAGER)
    _is_infra(done, engine)
    reason = done.document["cells"][0]["reason"]
    assert f"the registry at {where.address} no longer responds" in reason
    assert left_behind() == []


def test_a_container_removed_during_a_trial_is_infrastructure(
    engine: TestEngine, tmp_path: Path
) -> None:
    with _repeatedly(engine, lambda c: c.remove(force=True)):
        done = _run(engine, tmp_path, "buildx", cell=EAGER)
    _is_infra(done, engine)


def test_an_image_removed_meanwhile_is_made_again(engine: TestEngine, tmp_path: Path) -> None:
    first = _run(engine, tmp_path, "docker", "--fresh")
    with closing(engine.client()) as client:
        for image in client.images.list(filters={"label": "bkbisect=image"}):
            client.images.remove(str(image.id), force=True)
    second = _run(engine, tmp_path, "docker", "--fresh")
    assert first.code == second.code == 0, second.stderr
    assert second.document["cells"][0]["outcome"] == "export-failed"


def test_concurrent_campaigns_share_an_engine(engine: TestEngine, tmp_path: Path) -> None:
    both = [_start(engine, tmp_path / runtime, runtime) for runtime in ("docker", "buildx")]
    codes = [one.wait(300) for one in both]
    assert codes == [0, 0], [(tmp_path / r / "stderr").read_text() for r in ("docker", "buildx")]
    assert engine.left(patience=5) == []


def test_an_engine_that_stops_is_infrastructure(tmp_path: Path) -> None:
    with engines.running() as short_lived:
        running = _start(short_lived, tmp_path, "docker")
        _container(short_lived)
        short_lived.kill()
        code = running.wait(120)
    stderr = (tmp_path / "stderr").read_text()
    assert code == 5, stderr
    assert "Traceback" not in stderr
    assert left_behind() == []


@pytest.mark.parametrize("runtime", ["docker", "buildx"])
def test_a_container_that_is_not_removed_in_time_is_infrastructure(
    engine: TestEngine, tmp_path: Path, runtime: str
) -> None:
    ready = _run(engine, tmp_path, runtime, cell=EAGER)  # and its image is there
    assert ready.code == 0, ready.stderr
    with stuck(engine.url, r"DELETE /v[\d.]+/containers/") as way:
        env = {**engine.environment, "DOCKER_HOST": way.url}
        words = ("run", *EAGER, "--runtime", runtime, "--trials", "1", "--fresh", "--json",
                 "--deadline", "teardown=3", "--out", str(tmp_path))  # fmt: skip
        done = inv(*words, env=env, timeout=600)
    print(way.waits)
    print(done.stderr)
    _is_infra(done)
    assert "removing the" in done.document["cells"][0]["reason"]
    assert way.waits
    assert all(seconds < 3 + 10 for _, seconds in way.waits)
    assert any("container bkbisect-" in left or "buildx" in left for left in engine.left())
    swept = inv("clean", env=engine.environment)
    assert swept.code == 0, swept.stderr
    assert engine.left(patience=5) == []


def test_a_container_that_never_responds_is_infrastructure(
    engine: TestEngine, tmp_path: Path
) -> None:
    """docker-py waits forever for an exec in a container."""
    ready = _run(engine, tmp_path, "docker", cell=EAGER)  # and its image is there
    assert ready.code == 0, ready.stderr
    build = ready.document["cells"][0]["build"]
    with closing(engine.client()) as client, pytest.MonkeyPatch.context() as patch:
        for name, value in engine.environment.items():
            patch.setenv(name, value)
        silent = client.containers.create("bkbisect/buildkit:v0.25.0", entrypoint=["-"], command=[])
        silent.put_archive(
            "/usr/bin", archive("buildctl", b"#!/bin/busybox sh\nexec sleep 4321\n", 0o755)
        )
        image = silent.commit("silent", "1")
        silent.remove()
        started = time.monotonic()
        with (
            pytest.raises(InfraFailed, match="buildkitd was not ready after 3 s"),
            docker_runtime(
                engine=open_engine(),
                image=str(image.id),
                binaries=paths.cache("builds") / build["key"],
                home=tmp_path,
                snapshotter="overlayfs",
                host_network=True,
                deadlines=Deadlines(daemon=3, teardown=5),
            ),
        ):
            pass
        assert time.monotonic() - started < 3 + 5 + 10
        client.images.remove("silent:1")
    assert engine.left(patience=5) == []


def test_an_error_reports_missing_permission_for_the_socket(
    engine: TestEngine, tmp_path: Path
) -> None:
    code = (
        "from buildkit_bisect.engine import connect\n"
        "from buildkit_bisect.errors import Missing\n"
        "import os\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: connect()\n"
        "except Missing as error: print(error)\n"
    )
    engine.folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), **engine.environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"Docker Engine at {engine.url}: permission denied" in done.stdout


def test_an_engine_without_privileged_containers_runs_docker_trials(tmp_path: Path) -> None:
    if len(held()) == len(NAMES):
        pytest.skip("this machine holds every capability, so privileged containers always start")
    with engines.running(plain=True) as plain:
        done = _run(plain, tmp_path, "docker", "--fresh")
        assert done.code == 0, done.stderr
        assert done.document["cells"][0]["outcome"] == "export-failed"
        refused = _run(plain, tmp_path, "buildx", "--fresh")
        assert refused.code == 5
        assert "--runtime docker" in refused.stderr + refused.stdout
        assert plain.left() == []


def _run(engine: TestEngine, out: Path, runtime: str, *more: str, cell: Cell = ONE) -> TaskOutput:
    words = ("run", *cell, "--runtime", runtime, "--trials", "1", "--json", "--out", str(out))
    return inv(*words, *(more or ("--fresh",)), env=engine.environment, timeout=600)


def _start(engine: TestEngine, out: Path, runtime: str) -> subprocess.Popen[bytes]:
    out.mkdir(exist_ok=True)
    words = ("run", *ONE, "--runtime", runtime, "--trials", "2", "--fresh", "--out", str(out))
    with (out / "stderr").open("wb") as sink:
        return subprocess.Popen(
            argv(*words),
            env=environment(engine.environment),
            stdout=subprocess.DEVNULL,
            stderr=sink,
            start_new_session=True,
        )


def _container(engine: TestEngine, within: float = 240) -> str:
    """Return the name of the trial's container once its daemon runs."""
    deadline = time.monotonic() + within
    with closing(engine.client()) as client:
        while time.monotonic() < deadline:
            for container in client.containers.list():
                if "bkbisect-" in str(container.name):
                    return str(container.name)
            time.sleep(0.1)
    raise AssertionError("no container came up")


def _is_infra(done: TaskOutput, engine: TestEngine | None = None) -> None:
    assert done.code == 5, done.stderr
    assert {c["verdict"] for c in done.document["cells"]} == {"infra"}
    assert "Traceback" not in done.stderr
    assert engine is None or engine.left(patience=5) == []


class _repeatedly:  # noqa: N801 - reads as the statement it begins
    """Apply a function to each running trial container, until the end of the block."""

    def __init__(
        self, engine: TestEngine, act: Callable[[Any], object], *, every: float = 0.3
    ) -> None:
        self._engine, self._act, self._every = engine, act, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _work(self) -> None:
        with closing(self._engine.client()) as client:
            while not self._over.wait(self._every):
                for container in client.containers.list(ignore_removed=True):
                    with suppress(Exception):  # it ended by itself
                        self._act(container)

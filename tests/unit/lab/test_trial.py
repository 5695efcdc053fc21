"""The key of a trial, which must not change for stored trials, and trials that are skipped."""

from __future__ import annotations

import pickle
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from buildkit_bisect.buildctl import BuildRequest
from buildkit_bisect.engine.base import Base
from buildkit_bisect.engine.buildx_plugin import Buildx
from buildkit_bisect.lab import trial
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Axes, Build, Revision, RuntimeKind, Variant, Verdict
from buildkit_bisect.runtime import Built, Runtime, UnsupportedClient
from buildkit_bisect.runtime.backend import Backend, Order, Place
from buildkit_bisect.runtime.buildx import BuildxBackend
from buildkit_bisect.runtime.containers import Containers
from buildkit_bisect.runtime.docker import DockerBackend
from buildkit_bisect.runtime.host import HostBackend
from buildkit_bisect.runtime.snapshotters import Proxy
from buildkit_bisect.scenario import Action, Condition, Rule, Scenario, Step, outcome
from buildkit_bisect.scenario.definition import DaemonIs, DaemonSpec
from buildkit_bisect.system import machine

BUILDING = Step(id="go", action=Action.BUILD, dockerfile="Dockerfile")
STARGZ_PROXY = {"stargz-proxy": Proxy(name="stargz", version="v0.18.2", program="/p")}


def backend(kind: RuntimeKind, *, base: str = "k" * 16, version: str = "27.5.1") -> Backend:
    shared = Containers(
        base=Base(id="sha256:i", ref="bkbisect/base:k", key=base),
        engine=(
            ("cgroups", "2"),
            ("endpoint", "unix:///run/docker.sock"),
            ("storage", "overlay2"),
            ("version", version),
        ),
    )
    match kind:
        case RuntimeKind.HOST:
            return HostBackend()
        case RuntimeKind.DOCKER:
            return DockerBackend(containers=shared)
        case RuntimeKind.BUILDX:
            return BuildxBackend(containers=shared, program=Buildx(path="/x", version="v0.36.1"))


def job(where: Backend, *, snapshotter: str = "stargz", axis: bool = True) -> TrialJob:
    axes: Axes = (("bases", "same"), ("snapshotter", snapshotter))
    return TrialJob(
        build=Build(
            key="b" * 16,
            go="1.25.5",
            source="git",
            directory="/b",
            buildkitd_sha256="d" * 64,
            buildctl_sha256="c" * 64,
            seconds=1.0,
        ),
        scenario=Scenario(
            name="s",
            title="t",
            issue="https://example.org/1",
            steps=(),
            outcomes=(),
            run_digest="r" * 64,
        ),
        axes=tuple(sorted((*axes, ("runtime", str(where.kind))))) if axis else axes,
        images={"build": "127.0.0.1:1/build:1"},
        image_digests={"build": "sha256:1"},
        registry="127.0.0.1:1",
        of=Variant(revision=Revision(ref="master", sha="a" * 40)),
        backend=where,
        proxies=STARGZ_PROXY,
    )


@pytest.mark.parametrize(
    ("kind", "snapshotter", "key"),
    [
        (RuntimeKind.HOST, "stargz",
         "7b5eacf0c03b0a6e2760c2f4175e4eea5d582c098f740d0cde69001d715c6643"),
        (RuntimeKind.HOST, "stargz-proxy",
         "85d26c96761ec9614257a4f9598c89a294677372a796996b0528d850255765a8"),
        (RuntimeKind.DOCKER, "stargz",
         "b3d9efadf7fc1d5f6f6c7ad2adcbb38b7716e62552cc80419acee764961e4be4"),
        (RuntimeKind.DOCKER, "stargz-proxy",
         "1d16e85255288a88955b57d01b4c520cddce99ddaca6914e92ba4ce11c0e4645"),
        (RuntimeKind.BUILDX, "stargz",
         "6c66f0118662deb27e10d891b08f45aa8ddff0dde97c208091fc63216800f05a"),
    ],
)  # fmt: skip
def test_the_keys_of_stored_trials_do_not_change(
    kind: RuntimeKind, snapshotter: str, key: str
) -> None:
    """If these change, no stored trial is reused; only a new `trial.FORMAT` may do that."""
    assert job(backend(kind), snapshotter=snapshotter).key == key


def test_a_program_that_mounts_layers_on_the_host_is_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial without it, or with another version, may have another outcome."""
    keys: dict[tuple[RuntimeKind, str], set[str]] = {}
    for version in (
        "not installed",
        "fuse-overlayfs: version 1.10",
        "fuse-overlayfs: version 1.13",
    ):
        monkeypatch.setattr(machine, "version", lambda _, found=version: found)
        for kind in (RuntimeKind.HOST, RuntimeKind.DOCKER):
            for snapshotter in ("overlayfs", "fuse-overlayfs"):
                key = job(backend(kind), snapshotter=snapshotter).key
                keys.setdefault((kind, snapshotter), set()).add(key)
    assert {where: len(found) for where, found in keys.items()} == {
        (RuntimeKind.HOST, "overlayfs"): 1,
        (RuntimeKind.HOST, "fuse-overlayfs"): 3,
        (RuntimeKind.DOCKER, "overlayfs"): 1,  # the image has its own
        (RuntimeKind.DOCKER, "fuse-overlayfs"): 1,
    }


def test_a_scenario_may_name_that_snapshotter_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made = job(HostBackend())
    daemon = DaemonSpec(snapshotter="fuse-overlayfs")
    own = replace(made, scenario=replace(made.scenario, daemon=daemon))
    before = own.key
    monkeypatch.setattr(machine, "version", lambda _: "fuse-overlayfs: version 9")
    assert own.key != before


def test_trials_that_build_count_again_if_their_progress_is_read_in_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = job(HostBackend())
    building = replace(script, scenario=replace(script.scenario, steps=(BUILDING,)))
    before = script.key, building.key
    monkeypatch.setattr(trial, "PROGRESS_FORMAT", trial.PROGRESS_FORMAT + 1)
    assert (script.key == before[0], building.key == before[1]) == (True, False)


class OldClient(HostBackend):
    """A backend whose client has no --opt."""

    def place(self, _build: Build, _variant: Variant, _campaign: str, /) -> Place:
        return lambda _order: nullcontext(cast(Runtime, self))

    def build(self, _request: BuildRequest) -> Built:
        raise UnsupportedClient("this buildctl build has no --opt")

    def trouble(self) -> str:
        return ""

    def alive(self) -> bool:
        return True


def test_trials_with_outputs_or_rules_about_the_daemon_have_keys_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Earlier trials did not record these."""
    plain = job(HostBackend())
    died = Rule(name="x", verdict=Verdict.BAD, means="x", all=(Condition(daemon=DaemonIs.DIED),))
    nested = replace(died, all=(Condition(not_=died.all[0]),))
    written = replace(BUILDING, outputs=({"type": "local", "dest": "out"},))
    hidden = replace(BUILDING, outputs=({"type": "image", "name": "${registry}/x:1"},))

    def keys(*steps: Step, rules: tuple[Rule, ...] = ()) -> str:
        made = replace(plain.scenario, steps=steps, outcomes=rules)
        return replace(plain, scenario=made).key

    assert keys(BUILDING) == keys(hidden), "that one cannot be read"
    assert len({keys(BUILDING), keys(written), keys(BUILDING, rules=(died,))}) == 3
    assert keys(BUILDING, rules=(died,)) == keys(BUILDING, rules=(nested,))
    logged = replace(died, all=(Condition(daemon_log="panic"),))
    asked = Step(id="asked", action=Action.REQUESTS, server="web")
    found = [keys(BUILDING), keys(BUILDING, rules=(logged,)), keys(BUILDING, asked)]
    for name in ("DAEMON_LOG_FORMAT", "REQUESTS_FORMAT"):
        monkeypatch.setattr(trial, name, 9)
    now = [keys(BUILDING), keys(BUILDING, rules=(logged,)), keys(BUILDING, asked)]
    assert [a == b for a, b in zip(found, now, strict=True)] == [True, False, False]
    before = keys(BUILDING), keys(written)
    monkeypatch.setattr(trial, "OUTPUTS_FORMAT", trial.OUTPUTS_FORMAT + 1)
    assert (keys(BUILDING) == before[0], keys(written) == before[1]) == (True, False)


@pytest.mark.parametrize(
    ("alive", "log", "state"),
    [
        ([True, True], "", "running"),
        ([True, False], "", "died"),
        ([False, True], "", "died"),  # a restart in between does not undo it
        ([True, True], "panic: index out of range\n\ngoroutine 1 [running]:\n", "died"),
        ([True, True], 'level=info msg="panic: x"\n', "running"),
    ],
)
def test_a_daemon_that_dies_is_recorded(
    tmp_path: Path, alive: list[bool], log: str, state: str
) -> None:
    """Also one that buildx started again at once: its log has the panic."""
    steps = tuple(Step(id=f"s{n}", action=Action.WRITE, path="x") for n in range(2))
    left = iter(alive)

    class Dying(OldClient):
        def place(self, _build: Build, _variant: Variant, _campaign: str, /) -> Place:
            def opened(order: Order) -> AbstractContextManager[Runtime]:
                (order.home / "buildkitd.log").write_text(log)
                return nullcontext(cast(Runtime, self))

            return opened

        def alive(self) -> bool:
            return next(left)

    made = job(Dying())
    scenario = replace(made.scenario, steps=steps, folders=(tmp_path,))
    assert trial.run_trial(replace(made, registry="", scenario=scenario)).daemon == state


def test_a_trial_with_a_client_that_is_not_supported_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Step(id="first", action=Action.WRITE, path="x", content="y")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    made = job(OldClient())
    scenario = replace(made.scenario, steps=(first, BUILDING), folders=(tmp_path,))
    old = replace(made, registry="", scenario=scenario)
    seen = trial.run_trial(old)
    assert (seen.unsupported, seen.infra) == ("this buildctl build has no --opt", "")
    assert [step.id for step in seen.steps] == ["first"]
    assert outcome.judge(old.scenario, seen, None).name == "unsupported"
    monkeypatch.setattr(trial, "disk_full", lambda: True)
    assert trial.run_trial(old).infra == "no space left on the disk"


def test_a_trial_counts_with_and_without_the_runtime_axis() -> None:
    assert job(backend(RuntimeKind.DOCKER)).key == job(backend(RuntimeKind.DOCKER), axis=False).key


def test_the_engine_is_part_of_the_key_except_on_the_host() -> None:
    for kind in (RuntimeKind.DOCKER, RuntimeKind.BUILDX):
        keys = {
            job(backend(kind)).key,
            job(backend(kind, base="other")).key,
            job(backend(kind, version="2")).key,
        }
        assert len(keys) == 3
    assert "engine" not in HostBackend().fingerprint()


@pytest.mark.parametrize("kind", RuntimeKind)
def test_a_job_can_be_sent_to_another_process(kind: RuntimeKind) -> None:
    sent = job(backend(kind))
    assert pickle.loads(pickle.dumps(sent)) == sent  # noqa: S301 - our own

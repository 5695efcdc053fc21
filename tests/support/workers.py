"""Workers as a scheduler has them registered, orders for them, and a link to nowhere."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any

from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.lab.machine_kind import MachineKind
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Build, Revision, Variant
from buildkit_bisect.scenario import Action, Scenario, Step
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.workers.dispatch import Lost
from buildkit_bisect.workers.facts import Facts
from buildkit_bisect.workers.orders import Answer, Order

_numbers = itertools.count()


def kind(kernel: str = "6.1", **more: str) -> MachineKind:
    return MachineKind(
        fingerprint=f"linux|{kernel}|x86_64|runc 1.1", **{"busybox": "b", "mounting": "m", **more}
    )


def facts(name: str = "a", kernel: str = "6.1", **more: Any) -> Facts:
    host = {"kernel": kernel, "runc": "runc 1.1", "arch": "x86_64", "cpus": "4"}
    usual: dict[str, Any] = {
        "tool": "0.1.0 (abc)",
        "python": "3.11",
        "dask": "2026.8.0",
        "arch": "x86_64",
        "root": True,
        "kind": kind(kernel),
        "host": host,
    }
    return Facts(name=name, **usual | more)


def variant(ref: str = "v0.26.0") -> Variant:
    return Variant(revision=Revision(ref=ref, sha="ab" * 20, describe=ref))


def build(key: str = "k1", **more: Any) -> Build:
    usual: dict[str, Any] = {
        "go": "1.25.5",
        "source": "git",
        "directory": "/on/a/worker",
        "buildkitd_sha256": f"d-{key}",
        "buildctl_sha256": f"c-{key}",
        "seconds": 30.0,
    }
    return Build(key=key, **usual | more)


def job(key: str = "k1") -> TrialJob:
    scenario = Scenario(
        name="script",
        title="t",
        issue="",
        steps=(Step(id="script", action=Action.SCRIPT, path="/x"),),
        outcomes=(),
        run_digest="r",
    )
    return TrialJob(
        build=build(key),
        scenario=scenario,
        axes=(),
        images={},
        image_digests={},
        registry="",
        of=variant(),
        machine=kind(),
    )


def order(trial_of: str = "") -> Order:
    """An order for a build, or for a trial of the build with that key."""
    return Order(
        id=f"order-{next(_numbers)}",
        variant=variant(),
        source="git",
        repo="https://example.org/buildkit.git",
        recipe=Recipe(goarch="amd64"),
        patches=(),
        deadlines=Deadlines(),
        job=job(trial_of) if trial_of else None,
        key=job(trial_of).key if trial_of else "",
    )


class FakeLink:
    """Workers that do nothing until a test says so."""

    def __init__(self, *names: str, **more: Any) -> None:
        self.known: dict[str, Facts] = {f"tcp://{n}": facts(n, **more) for n in names}
        self.given: list[tuple[Order, tuple[str, ...], Future[Answer]]] = []
        self.down = False
        self.comes_back = True
        self.again_asked = 0

    def workers(self) -> Mapping[str, Facts]:
        if self.down:
            raise Lost
        return dict(self.known)

    def submit(self, order: Order, among: Collection[str], /) -> Future[Answer]:
        if self.down:
            raise Lost
        future: Future[Answer] = Future()
        self.given.append((order, tuple(sorted(among)), future))
        return future

    def again(self) -> bool:
        self.again_asked += 1
        self.down = not self.comes_back
        return self.comes_back

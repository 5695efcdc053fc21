from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect.builds import Builder, store
from buildkit_bisect.builds import history as build_history
from buildkit_bisect.builds.job import Progress
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.lab import coverage
from buildkit_bisect.lab.trial import TrialJob
from buildkit_bisect.model import Build, NoBuild, Observation, Revision, Stage, Variant
from buildkit_bisect.runtime.host import HostBackend, HostRuntime
from buildkit_bisect.scenario import from_script
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system.deadlines import Deadlines

REPORT = """\
github.com/moby/buildkit/cache/manager.go:120:\tNewManager\t\t\t95.2%
github.com/moby/buildkit/solver/jobs.go:31:\t(*Solver).NewJob\t\t100.0%
github.com/moby/buildkit/solver/jobs.go:99:\tstate.idle\t\t0.0%
github.com/moby/buildkit/cmd/buildkitd/main.go:90:\tmain.func1\t\t50.0%
total\t(statements)\t\t\t\t33.3%
"""

VARIANT = Variant(revision=Revision(ref="v0.26.0", sha="", describe="v0.26.0"))
BUILD = Build(
    key="k",
    go="1.25.5",
    source="module",
    directory="/x",
    buildkitd_sha256="d",
    buildctl_sha256="c",
    seconds=100.0,
    reused=True,
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "test.sh"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_functions_of_a_report() -> None:
    assert coverage.parse(REPORT) == {
        "cache.NewManager",
        "solver.Solver.NewJob",
        "cmd/buildkitd.main.func1",
    }


class Counting:
    """Replaces the build, the trial and the reading of counters; remembers the jobs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        self.jobs: list[TrialJob] = []
        self.recipes: list[Recipe] = []
        self.made: Build | NoBuild = BUILD
        self.seen = Observation(steps=(), seconds=1.0)
        self._scenario = from_script(script, timeout=60)
        monkeypatch.setattr(Builder, "build", self._build)
        monkeypatch.setattr(coverage, "run_trial", self._trial)
        monkeypatch.setattr(coverage, "_read", lambda *_: coverage.parse(REPORT))

    def _build(self, variant: Variant, _: Progress) -> Build | NoBuild:
        assert variant is VARIANT
        return self.made

    def _trial(self, job: TrialJob) -> Observation:
        self.jobs.append(job)
        return self.seen

    def __call__(self) -> coverage.Covered:
        builder = Builder(source=ModuleSource())
        job = TrialJob(
            build=BUILD,
            scenario=self._scenario,
            axes=(),
            images={},
            image_digests={},
            registry="",
            of=VARIANT,
        )
        return coverage.covered(
            builder, VARIANT, lambda build: replace(job, build=build), lambda: None
        )


def test_a_run_is_made_once(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    covered = Counting(monkeypatch, script)
    first = covered()
    assert first.functions == coverage.parse(REPORT)
    assert not first.reused
    assert first.seconds >= BUILD.seconds
    assert isinstance(covered.jobs[0].backend, HostBackend)
    assert covered.jobs[0].backend.counters
    again = covered()
    assert again == replace(first, reused=True, seconds=again.seconds)
    assert again.seconds == pytest.approx(first.seconds, abs=0.1)
    assert len(covered.jobs) == 1
    covered.made = replace(BUILD, key="other")
    assert not covered().reused
    # One with that key was pulled, and what is compiled here later has other bytes.
    covered.made = replace(BUILD, buildkitd_sha256="other")
    assert not covered().reused
    # What another machine took is not what the list took here.
    covered.made = replace(BUILD, key="pulled", pulled_from="oci://x/y", seconds=86_400)
    assert covered().seconds < BUILD.seconds


def test_what_fails_is_said_and_not_stored(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    covered = Counting(monkeypatch, script)
    covered.made = NoBuild(stage=Stage.BUILD, reason="undefined: x")
    assert covered().trouble == "undefined: x"
    covered.made = BUILD
    for seen in (
        Observation(steps=(), seconds=1.0, infra="the disk is full"),
        Observation(steps=(), seconds=1.0, no_daemon="panic"),
        Observation(steps=(), seconds=1.0, unsupported="has no --opt"),
    ):
        covered.seen = seen
        failed = covered()
        assert failed.trouble == (seen.infra or seen.no_daemon or seen.unsupported)
        assert not failed.functions

    def broken(*_: object) -> Any:
        raise InfraFailed("no network", hint="")

    monkeypatch.setattr(Builder, "build", broken)
    assert covered().trouble == "no network"


def test_an_instrumented_build_has_its_own_key_and_no_part_in_predictions(tmp_path: Path) -> None:
    recipe = Recipe(goarch="amd64")
    counting = replace(recipe, cover=True)
    assert "-cover" not in recipe.arguments()
    assert counting.arguments()[-2:] == ["-cover", "-coverpkg=github.com/moby/buildkit/..."]
    for key, instrumented in (("a", False), ("b", True)):
        made = tmp_path / key
        made.mkdir()
        (made / "buildkitd").touch()
        if instrumented:
            store.mark_instrumented(made)
        meta = {n: getattr(BUILD, n) for n in ("go", "source", "buildkitd_sha256", "seconds")}
        store.save(made, {**meta, "key": key, "buildctl_sha256": "", "packages": 0})
    assert [b.key for b in build_history()] == ["a"]
    assert store.load("b")


@pytest.mark.parametrize("counters", [None, Path("/counters")])
def test_only_a_counting_daemon_has_a_place_for_counters(
    tmp_path: Path, counters: Path | None
) -> None:
    daemon = HostRuntime(
        binaries=tmp_path,
        home=tmp_path,
        snapshotter="native",
        config="",
        socket=tmp_path / "s",
        proxy=None,
        deadlines=Deadlines(),
        counters=counters,
    )
    assert daemon.environment().get("GOCOVERDIR") == (str(counters) if counters else None)

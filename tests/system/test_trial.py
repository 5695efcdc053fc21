"""One trial on real BuildKit: it leaves nothing, and failures are attributed correctly."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.builds import Builder
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.trial import TrialJob, run_trial
from buildkit_bisect.model import Build, Observation, Outcome, Revision, Variant, Verdict
from buildkit_bisect.runtime.registry import serve
from buildkit_bisect.scenario import Condition, DaemonSpec, Rule, Scenario, outcome
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system import paths
from tool import argv, environment, inv, left_behind

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800), pytest.mark.alone]

LAZY = (("bases", "different"), ("snapshotter", "stargz"))


@pytest.fixture(scope="module")
def build() -> Build:
    source = ModuleSource()
    made = Builder(source=source).build(Variant(revision=source.resolve(base_images.REFERENCE)))
    assert isinstance(made, Build)
    return made


@pytest.fixture(scope="module")
def job(build: Build) -> Iterator[TrialJob]:
    loaded = scenario.load("cross-stage-lazy")
    with serve(paths.cache("registry")) as registry:
        refs = base_images.ensure(loaded, registry, lambda: build)
        yield TrialJob(
            build=build,
            scenario=loaded,
            axes=LAZY,
            images={name: ref.ref for name, ref in refs.items()},
            image_digests={name: ref.digest for name, ref in refs.items()},
            registry=registry.address,
            of=Variant(revision=Revision(ref=base_images.REFERENCE, sha="")),
        )


def with_daemon(job: TrialJob, **spec: Any) -> TrialJob:
    return replace(job, scenario=replace(job.scenario, daemon=DaemonSpec(**spec)))


def judged(job: TrialJob, seen: Observation) -> Outcome:
    return outcome.judge(job.scenario, seen, None)


def cgroups() -> set[str]:
    return {str(p) for p in Path("/sys/fs/cgroup").glob(f"**/bkbisect-bkb-{os.getpid()}-*")}


def test_a_trial_shows_the_failure_and_leaves_nothing(job: TrialJob) -> None:
    seen = run_trial(job)
    assert judged(job, seen).name == "export-failed"
    assert "missing descriptor handlers" in seen.daemon_log
    assert (Path(seen.evidence) / "buildkitd.log").is_file()
    assert left_behind() == []
    assert cgroups() == set()


def test_only_equal_jobs_have_equal_keys(job: TrialJob) -> None:
    assert job.key == replace(job, registry="127.0.0.1:1", images={}).key
    assert job.key != replace(job, axes=(("bases", "same"), LAZY[1])).key
    assert job.key != replace(job, build=replace(job.build, buildkitd_sha256="0")).key
    assert job.key != replace(job, image_digests={"build": "sha256:0"}).key


def test_a_daemon_that_cannot_start_is_skipped_with_the_reason(job: TrialJob) -> None:
    seen = run_trial(with_daemon(job, snapshotter="overlayfs", config="nonsense = [\n"))
    judgement = judged(job, seen)
    assert (judgement.name, judgement.verdict) == ("no-daemon", Verdict.SKIP)
    assert "buildkitd exited" in judgement.reason
    assert left_behind() == []


def test_a_registry_that_is_gone_is_infra(job: TrialJob) -> None:
    gone = replace(job, registry="127.0.0.1:9", images=dict.fromkeys(job.images, "127.0.0.1:9/x:y"))
    judgement = judged(gone, run_trial(gone))
    assert judgement.verdict is Verdict.INFRA
    assert "no longer responds" in judgement.reason


def test_a_step_that_hangs_is_ended_and_is_not_bad(job: TrialJob, tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\nsetsid sleep 61003 &\nsleep 61003\n")
    script.chmod(0o755)
    hanging: Scenario = scenario.from_script(str(script), timeout=2)
    started = time.monotonic()
    seen = run_trial(replace(job, scenario=hanging, axes=()))
    assert time.monotonic() - started < 2 + 10
    assert seen.steps[0].timed_out
    assert outcome.judge(hanging, seen, None).verdict is Verdict.WEAK
    assert processes("sleep\0" + "61003") == []


def test_a_build_step_that_forks_and_sleeps_is_ended_completely(
    job: TrialJob, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        'ARG BASE\nFROM ${BASE}\nRUN setsid sleep 61007 & trap "" TERM; sleep 61007\n'
    )
    step = replace(
        next(s for s in job.scenario.steps if s.action == "build"),
        id="forks", dockerfile="Dockerfile", target="", args={"BASE": "${image.build}"},
        exports=(), imports=(), timeout=5,
    )  # fmt: skip
    late = Condition(step="forks", exit="late")
    forking = replace(
        job.scenario, folders=(tmp_path,), steps=(step,),
        outcomes=(Rule(name="hung", verdict=Verdict.BAD, means="it hung", all=(late,)),),
    )  # fmt: skip
    started = time.monotonic()
    seen = run_trial(replace(job, scenario=forking))
    assert time.monotonic() - started < 5 + 10
    assert judged(replace(job, scenario=forking), seen).name == "hung"
    assert any("sleep 61007" in v.name and v.started for v in seen.steps[0].vertices)
    assert processes("sleep\0" + "61007") == []
    assert cgroups() == set()


def processes(words: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_text(errors="replace").startswith(words):
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


@pytest.fixture
def child(job: TrialJob, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process in the middle of a trial; *job* has prepared what it needs."""
    with subprocess.Popen(
        argv("run", "--rev", base_images.REFERENCE, "--source", "module", "--trials", "20",
             "--fresh", "--out", str(tmp_path)),
        env=environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as started:  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while not list(paths.cache("tmp").glob(f"trial-{started.pid}-*/state/runc-*")):
                assert time.monotonic() < deadline, "no trial began"
                time.sleep(0.02)
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(
    child: subprocess.Popen[bytes], tmp_path: Path, sign: int
) -> None:
    os.kill(child.pid, sign)
    assert child.wait(30) == 130
    assert left_behind() == []
    (folder,) = tmp_path.iterdir()
    assert "interrupted" in inv("status", "--out", str(tmp_path)).stdout
    assert not (folder / "result.json").exists()


def test_a_killed_run_leaves_no_process_and_no_mount(
    child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    child.kill()
    child.wait()
    deadline = time.monotonic() + 60
    while any("process" in x or "mount" in x for x in left_behind()):
        assert time.monotonic() < deadline, left_behind()
        time.sleep(0.1)
    assert left_behind(), "the scratch directory stays"
    assert inv("clean").code == 0
    assert left_behind() == []
    assert "killed" in inv("status", "--out", str(tmp_path)).stdout

"""bash parses every script that reproduces a cell, and shellcheck, if installed, accepts it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.scenario import Action, Condition, Scenario, Step, image_context
from buildkit_bisect.scenario.definition import DaemonIs
from buildkit_bisect.scenario.reproduction import script

pytestmark = pytest.mark.local


def check(folder: Path, scripts: list[str]) -> None:
    """Write the scripts to *folder*; fail if bash cannot parse one, or shellcheck warns."""
    paths = [folder / f"{n}.sh" for n in range(len(scripts))]
    for path, text in zip(paths, scripts, strict=True):
        path.write_text(text)
        done = subprocess.run(
            ["/bin/bash", "-n", str(path)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
    if program := shutil.which("shellcheck"):
        argv = [program, "--severity=warning", *map(str, paths)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.stdout == ""


@pytest.mark.parametrize("name", [*scenario.names(), *scenario.library()])
def test_every_shipped_scenario(name: str, tmp_path: Path) -> None:
    loaded = scenario.load(name)
    check(tmp_path, [script(loaded, axes) for axes in loaded.cells()])


def odd() -> Scenario:
    """Return a scenario with every action, and text that would be code if it were not quoted."""
    evil = "x'; touch evil; '$(touch evil)`touch evil`\ntouch evil\nEOF\ntouch evil\n"
    loaded = scenario.load("cross-stage-lazy")
    build = Step(
        id="a", action=Action.BUILD, dockerfile="Dockerfile", args={"X": evil},
        outputs=({"type": "local", "dest": evil}, {"type": "oci", "dest": f"{evil}.tar"}),
    )  # fmt: skip
    steps = (
        Step(id="text", action=Action.WRITE, path=f"{evil[:20]}/x", content=evil),
        Step(id="again", action=Action.DAEMON, start="fresh"),
        Step(id="lost", action=Action.DELETE_BLOB, cache="the cache", layer=1),
        replace(build, parallel="p"),
        replace(build, id="b", parallel="p", target=evil),
    )
    rules = tuple(replace(rule, means=evil) for rule in loaded.outcomes)
    asked = (
        Condition(step="a", vertex=evil, log=evil, before=evil),
        Condition(step="a", output=evil, file=evil, content=evil),
        Condition(not_=Condition(step="a", output=f"{evil}.tar", file=evil, same_as="b")),
        Condition(any=(Condition(step="a", image=f'config."{evil}"', matches=evil),)),
        Condition(daemon=DaemonIs.DIED, daemon_log=evil),
        Condition(step="a", metric="seconds", over="2"),
        Condition(step="a", metric="bytes", under="2"),
    )
    rules += (replace(rules[0], all=asked),)
    return replace(loaded, title=evil, issue=evil, steps=steps, outcomes=rules)


def test_every_action_and_hostile_text(tmp_path: Path) -> None:
    axes = (("bases", "different"), ("snapshotter", "stargz"))
    made = script(odd(), axes, seen=["bad\ntouch evil"])
    check(tmp_path, [made])
    # With programs that do nothing, only text of the scenario could make the file.
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name in ("buildctl", "buildkitd", "unshare", "jq", "busybox", "pkill", "curl"):
        (stubs / name).write_text("#!/bin/sh\nexit 0\n")
        (stubs / name).chmod(0o755)
    run = subprocess.run(
        ["/bin/bash", str(tmp_path / "0.sh")],
        cwd=tmp_path,
        env={"PATH": f"{stubs}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "The first that holds:" in run.stdout, run.stderr
    assert list(tmp_path.rglob("evil")) == []


def test_the_script_makes_the_same_context(tmp_path: Path) -> None:
    """The script of a report makes in bash what base images are made of."""
    (tmp_path / "busybox").write_text("#!/bin/sh\nprintf '%s\\n' busybox sh '[' '[['\n")
    (tmp_path / "busybox").chmod(0o755)
    text = "\n".join(["set -eu", "umask 022", *image_context.commands("base", rootfs=True)])
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["/bin/bash", "-c", text], cwd=tmp_path, env=env, check=True)
    top = tmp_path / "base" / "rootfs"
    found = {str(path.relative_to(top)): path for path in top.rglob("*")}
    links = {name: str(path.readlink()) for name, path in found.items() if path.is_symlink()}
    assert links == dict.fromkeys(("bin/sh", "bin/[", "bin/[["), "/bin/busybox")
    modes = {name: path.stat().st_mode & 0o7777 for name, path in found.items() if path.is_dir()}
    assert modes == image_context.FOLDERS
    files = {n: p.read_text() for n, p in found.items() if p.is_file() and not p.is_symlink()}
    assert files == image_context.FILES
    assert list(image_context.commands("base", rootfs=False)) == text.splitlines()[2:3]

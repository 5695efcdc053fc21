"""Completion in real shells: what TAB makes of a line, and that it writes nothing."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildkit_bisect import scenario
from buildkit_bisect.patch import patches
from buildkit_bisect.system.checkout import PROJECT
from golang_repo import buildkit_like
from tool import environment, figure

pytestmark = pytest.mark.system

INV = str(PROJECT / "inv")

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
INSTALL = {
    "bash": f'eval "$({shlex.quote(INV)} completion bash)"',
    "zsh": f'eval "$({shlex.quote(INV)} completion zsh)"',
    "fish": f"{shlex.quote(INV)} completion fish | source",
}

#: CPU seconds for the candidates of one TAB. Those of an axis load scenarios.
QUICK = 1.0

#: A line up to the cursor, and the line after TAB.
COMPLETED = (
    ("./inv matr", "./inv matrix "),
    ("./inv val", "./inv validate "),
    ("./inv patch ch", "./inv patch check "),
    ("./inv matrix --rev", "./inv matrix --revs "),
    ("./inv matrix --scenario warm", "./inv matrix --scenario warm-reexport "),
    ("./inv run --axis snapsh", "./inv run --axis snapshotter="),
    ("./inv run --axis snapshotter=sta", "./inv run --axis snapshotter=stargz "),
    ("./inv validate --patches loaded", "./inv validate --patches loaded-cache-opts "),
    ("./inv run --runtime host,dock", "./inv run --runtime host,docker "),
    ("./inv run --runtime=dock", "./inv run --runtime=docker "),
    ("./inv report 202601", "./inv report 20260101-000000-matrix "),
    ("./inv run --repo REPO --rev v0.99", "./inv run --repo REPO --rev v0.99.0 "),
    ("./inv run --templates templ", "./inv run --templates templates/"),
    (f"{INV} matr", f"{INV} matrix "),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A folder with a repository and a campaign, and the environment of a shell there."""

    root: Path
    env: dict[str, str]

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of `COMPLETED` with the path of the repository."""
        for pair in COMPLETED:
            before, after = (text.replace("REPO", str(self.root / "repo")) for text in pair)
            yield before, after


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("shell")
    buildkit_like(root / "repo", broken=False).git("tag", "v0.99.0")
    campaign = root / "out" / "20260101-000000-matrix"
    campaign.mkdir(parents=True)
    (campaign / "campaign.json").touch()
    (root / "home").mkdir()
    own = {
        "BKBISECT_CACHE_DIR": str(root / "cache"),
        "BKBISECT_OUT": str(root / "out"),
        "HOME": str(root / "home"),
        "TERM": "xterm",
        "PS1": "$ ",
        "LC_ALL": "C.UTF-8",
    }
    return World(root=root, env=environment(own))


class Terminal:
    """A shell in a terminal."""

    def __init__(self, shell: str, env: dict[str, str]) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(PROJECT)
            os.execvpe(SHELLS[shell][0], SHELLS[shell], env)
        self.type(f"{INSTALL[shell]}; echo in''stalled\r")
        self.until("installed")

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, text: str, seconds: float = 60) -> str:
        """Return the output until *text*, and what follows at once; up to a timeout."""
        end, seen = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.5 if text in seen else 5)[0]:
                seen += os.read(self.fd, 65536).decode(errors="replace")
            elif text in seen:
                return seen
        raise AssertionError(f"{text!r} not in {seen!r}")

    def complete(self, line: str) -> str:
        """Return what TAB makes of *line*: the shell prints it between brackets."""
        self.type(f"{line}\t")
        self.until("", 10)
        self.type("]'\x01printf %s\\\\n '[\r")
        return self.until("[./", 60) if line.startswith("./") else self.until("[/", 60)

    def close(self) -> None:
        os.close(self.fd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_tab_completes_the_line(shell: str, world: World) -> None:
    terminal = Terminal(shell, world.env)
    try:
        for before, after in world.lines():
            seen = terminal.complete(before)
            assert f"[{after}]" in seen, (before, seen)
    finally:
        terminal.close()


def fish(line: str, env: dict[str, str]) -> list[str]:
    """Return what fish itself would offer for the last word of *line*."""
    done = subprocess.run(
        [
            "/usr/bin/env",
            "fish",
            "--no-config",
            "-c",
            f"{INSTALL['fish']}; complete -C {shlex.quote(line)}",
        ],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_fish_offers_the_words(world: World) -> None:
    for before, after in world.lines():
        assert after.split()[-1] in fish(before, world.env), before
    assert fish("./inv run --scenario ", world.env) == sorted([*scenario.names(), "library"])


def bash(line: str, env: dict[str, str], program: str = "./inv") -> list[str]:
    """Return what bash's function offers, as readline calls it."""
    script = f"""
        {INSTALL["bash"]}
        COMP_LINE={shlex.quote(line)} COMP_POINT=${{#COMP_LINE}} COMP_WORDBREAKS=$' \\t\\n"><=;|&(:'
        COMP_WORDS=({line} "") COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        complete -p inv >&2
        _bkbisect {shlex.quote(program)} "" ""
        compgen -W "${{COMPREPLY[*]}}"
    """
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-c", script],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "complete -F _bkbisect inv\n"
    return done.stdout.split()


def test_bash_offers_values(world: World) -> None:
    assert bash("./inv validate --patches ", world.env) == patches.names()
    assert bash("./inv matrix --scenario ", world.env) == [*scenario.names(), "library"]
    assert bash("./inv run --axis snapshotter=", world.env) == ["overlayfs", "native", "stargz"]


def test_another_program_of_the_same_name_is_not_started(world: World, tmp_path: Path) -> None:
    other = tmp_path / "inv"
    other.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    other.chmod(0o755)
    assert bash(f"{other} matr", world.env, program=str(other)) == []
    assert fish(f"{other} matr", world.env) == []
    assert not (tmp_path / "started").exists()


def test_it_is_quick_and_writes_nothing(world: World) -> None:
    root = world.root
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    repo = ("--repo", str(root / "repo"))
    axis = ("run", "--axis", "snapshotter=")
    for words in (("",), axis, ("run", *repo, "--rev", ""), ("report", "")):
        spent = []
        for _ in range(3):
            start = os.times()
            done = subprocess.run(
                [INV, "--complete", "words", *words], env=world.env, capture_output=True, check=True
            )
            end = os.times()
            assert done.stdout
            assert done.stderr == b""
            spent.append(sum(end[2:4]) - sum(start[2:4]))
        figure(
            f"candidates for `{' '.join(words).replace(str(root), '')}`",
            f"{min(spent):.2f} s of CPU",
        )
        assert min(spent) < QUICK
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_tab_installs_nothing(tmp_path: Path) -> None:
    launcher = shutil.copy(INV, tmp_path / "inv")
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        [launcher, "--complete", "words", ""],
        env=environment({"BKBISECT_VENV": str(tmp_path / "venv")}),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not (tmp_path / "venv").exists()

"""Programs that come as Go modules and as no package here: compiled once into the cache.

Through a small module of our own that requires theirs, so that a module with `replace` lines,
which `go install MODULE@VERSION` refuses, builds as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, fetch_env, network_settings
from buildkit_bisect.system import cache_limit, paths, process
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.machine_lock import machine_lock
from buildkit_bisect.system.retry import passing, retried


@dataclass(frozen=True, kw_only=True, slots=True)
class GoTool:
    """A program, and the module versions that it is built from."""

    name: str
    version: str
    requires: tuple[str, ...]  # "MODULE VERSION", as in go.mod
    go: GoWanted  # at least this one
    package: str = ""  # the command's import path, or
    main: str = ""  # the source of a command of our own

    @property
    def path(self) -> Path:
        """Where it is once it is compiled."""
        return paths.cache("tools") / f"{self.name}-{self.version}"


def ensure(
    tool: GoTool,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> Path:
    """The compiled program.

    Raises `Missing` where no Go is to be had, `InfraFailed` where it does not compile.
    """
    cache_limit.used(tool.path)
    if tool.path.is_file():
        return tool.path
    with FileLock(paths.cache("locks") / f"tool-{tool.name}.lock"):
        if tool.path.is_file():
            return tool.path
        within = deadlines or Deadlines()
        toolchain = Toolchains(say=say, deadlines=within).find(tool.go)
        say(f"compiling {tool.name} {tool.version} (once; some minutes)")
        with machine_lock(), paths.scratch("tool") as folder:
            (folder / "go.mod").write_text(gomod(tool))
            target = "."
            if tool.main:
                (folder / "main.go").write_text(tool.main)
            else:
                target = tool.package
            network_settings(toolchain)
            argv = [toolchain.go, "build", "-trimpath", "-o", str(folder / "made"), target]
            env = fetch_env(GOROOT=toolchain.goroot, CGO_ENABLED="0")
            done = retried(
                lambda left: process.run(argv, timeout=left, cwd=folder, env=env, check=False),
                within=within.compile,
                trouble=lambda done: "" if done.ok else passing(done.stderr),
                say=say,
            )
            if not done.ok:
                raise InfraFailed(
                    f"{tool.name} {tool.version} does not compile: {done.tail(4)[-600:]}",
                    hint="./inv doctor",
                )
            (folder / "made").rename(tool.path)
    return tool.path


def gomod(tool: GoTool) -> str:
    """The go.mod that requires what *tool* is made of."""
    lines = "".join(f"\t{r}\n" for r in tool.requires)
    major, minor = tool.go.minor
    go = f"{major}.{minor}.{tool.go.patch}"
    return f"module bkbisect.invalid/tool\n\ngo {go}\n\nrequire (\n{lines})\n"


def version_in(said: str) -> str:
    """The first ``v1.2.3`` in what a program says of itself; "" without one."""
    found = re.search(r"\bv\d+\.\d+\.\d+[\w.+-]*", said)
    return found[0] if found else ""

"""Programs that are Go modules and not packaged for this machine: compiled once into the cache.

They are built from a small module of ours that requires theirs, because
`go install MODULE@VERSION` refuses modules with `replace` lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.provision import Toolchains
from buildkit_bisect.golang.toolchain import GoWanted, fetch_env, network_settings
from buildkit_bisect.options.command import inv
from buildkit_bisect.system import cache_limit, paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.locks import locked
from buildkit_bisect.system.machine_lock import machine_lock
from buildkit_bisect.system.retry import passing, retried


@dataclass(frozen=True, kw_only=True, slots=True)
class GoTool:
    """A program and the module versions that it is built from."""

    name: str
    version: str
    requires: tuple[str, ...]  # "MODULE VERSION", as in go.mod
    go: GoWanted  # at least this version
    package: str = ""  # the command's import path, or
    main: str = ""  # the source of our own command

    @property
    def path(self) -> Path:
        """Path of the compiled program."""
        return paths.cache("tools") / f"{self.name}-{self.version}"


def ensure(
    tool: GoTool,
    say: Callable[[str], None] = lambda _: None,
    deadlines: Deadlines | None = None,
) -> Path:
    """Return the compiled program; compile it if it is not in the cache.

    Raises `Missing` if no suitable Go is available, `InfraFailed` if it does not compile.
    """
    cache_limit.used(tool.path)
    if tool.path.is_file():
        return tool.path
    with locked(f"tool-{tool.name}.lock", f"compiles {tool.name}"):
        if tool.path.is_file():
            return tool.path
        within = deadlines or Deadlines()
        toolchain = Toolchains(say=say, deadlines=within).find(tool.go)
        with (
            announce(f"compiling {tool.name} {tool.version} (once)"),
            machine_lock(),
            paths.scratch("tool") as folder,
        ):
            (folder / "go.mod").write_text(gomod(tool))
            target = "."
            if tool.main:
                (folder / "main.go").write_text(tool.main)
            else:
                target = tool.package
            argv = [toolchain.go, "build", "-trimpath", "-o", str(folder / "made"), target]
            network = network_settings(toolchain)
            env = fetch_env(**network, GOROOT=toolchain.goroot, CGO_ENABLED="0")
            done = retried(
                lambda left: process.run(
                    argv, timeout=left, cwd=folder, env=env, inherit=False, check=False
                ),
                within=within.compile,
                trouble=lambda done: "" if done.ok else passing(done.stderr),
                say=say,
            )
            if not done.ok:
                raise InfraFailed(
                    f"{tool.name} {tool.version} does not compile: {done.tail(4)[-600:]}",
                    hint=inv("doctor"),
                )
            (folder / "made").rename(tool.path)
    return tool.path


def gomod(tool: GoTool) -> str:
    """Return a go.mod that requires the modules of *tool*."""
    lines = "".join(f"\t{r}\n" for r in tool.requires)
    major, minor = tool.go.minor
    go = f"{major}.{minor}.{tool.go.patch}"
    return f"module bkbisect.invalid/tool\n\ngo {go}\n\nrequire (\n{lines})\n"


def version_in(output: str) -> str:
    """Return the first ``v1.2.3`` in a program's *output*; "" if there is none."""
    found = re.search(r"\bv\d+\.\d+\.\d+[\w.+-]*", output)
    return found[0] if found else ""

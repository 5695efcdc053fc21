"""Runs `go build` and interprets its output."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.builds import complaint
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.toolchain import Toolchain, fetch_env, network_settings
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.retry import passing, retried

_PACKAGE_LINE = re.compile(r"^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~+-]+)*$")

#: A failed download: ``go: MODULE@v1.2.3: Get "https://...": dial tcp ...``.
_DOWNLOAD = re.compile(r"^.*\b(?:Get|reading) \"?(?:https?|file)://.*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """An ended `go build`: the binaries are in the output directory, or *error* is set."""

    seconds: float
    packages: int
    error: str = ""  # the complaint about the source, as one line
    late: bool = False  # past its deadline: says nothing about the source


def go_env(toolchain: Toolchain, recipe: Recipe, *, tmp: Path) -> dict[str, str]:
    """Return the whole environment of a compile; it has none of the user's settings of go."""
    return fetch_env(
        GOROOT=toolchain.goroot,
        GOFLAGS="",
        GOOS=recipe.goos,
        GOARCH=recipe.goarch,
        CGO_ENABLED="0",
        GOTMPDIR=str(tmp),
    )


def compile_tree(
    tree: Path,
    out: Path,
    *,
    toolchain: Toolchain,
    recipe: Recipe,
    vendored: bool,
    log: Path,
    timeout: float,
    on_package: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Compiled:
    """Compile *tree*'s programs into *out*; *on_package* gets the number of packages so far.

    *vendored* trees are built from ``vendor/``, without the network. A compile that fails, and
    not certainly because of the source, is tried again; *say* gets a line before that.
    Raises `InfraFailed` if it still fails.
    """
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        if _PACKAGE_LINE.match(line):
            seen += 1
            on_package(seen)

    with paths.scratch("gotmp") as tmp:
        env = go_env(toolchain, recipe, tmp=tmp)
        if not vendored:
            env |= network_settings(toolchain)
        argv = [
            *(toolchain.go, *recipe.arguments()),
            *(["-mod=vendor"] if vendored else ["-mod=readonly"]),
            *("-o", f"{out}/", *recipe.packages()),
        ]

        def compiled(left: float) -> process.Completed:
            log.unlink(missing_ok=True)  # of an earlier try
            return process.run(
                argv,
                timeout=left,
                cwd=tree,
                env=env,
                inherit=False,
                check=False,
                log=log,
                on_line=count,
            )

        done = retried(compiled, within=timeout, trouble=_trouble, say=say)
    if done.timed_out:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        if last.startswith("go: downloading"):
            raise InfraFailed(
                f"go build was still downloading after {timeout:g} s: {last}",
                hint=words(Building, deadline="compile=SECONDS"),
            )
        error = f"go build was still running after {timeout:g} s"
        return Compiled(seconds=done.seconds, packages=seen, error=error, late=True)
    if done.ok:
        return Compiled(seconds=done.seconds, packages=seen)
    error = complaint.of_source(done.stderr, done.exit)
    if not error:
        how = _how(done)
        raise InfraFailed(
            f"go build failed, and this need not be the source's fault: {how}",
            hint="the same command again",
        )
    return Compiled(seconds=done.seconds, packages=seen, error=error)


def _trouble(done: process.Completed) -> str:
    """Return why a compile failed if another try may help; else ""."""
    if done.ok or done.timed_out or complaint.of_source(done.stderr, done.exit):
        return ""
    missed = _DOWNLOAD.search(done.stderr)
    return passing(missed[0]) if missed else _how(done)


def _how(done: process.Completed) -> str:
    """Return how a compile failed whose output is not a complaint about the source."""
    if done.exit < 0:
        return f"killed by signal {-done.exit}"
    return complaint.of_trouble(done.stderr) or f"it exited with {done.exit}"

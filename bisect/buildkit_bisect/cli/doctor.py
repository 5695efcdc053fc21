"""Checks what this machine has and lacks, and installs what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BisectError, Missing
from buildkit_bisect.golang.toolchain import cached, on_path
from buildkit_bisect.model import DEFAULT_REPO
from buildkit_bisect.options.command import inv, twin, words
from buildkit_bisect.options.requests import Campaign, Doctor
from buildkit_bisect.system import paths, process, web
from buildkit_bisect.system.announce import announce

#: GiB of free space below which no campaign is started, and below which doctor warns.
LEAST_FREE, GOOD_FREE = 3.0, 12.0

#: Seconds for one network request, for `apt-get update`, and for an installation.
ANSWER, UPDATE, INSTALL = 10.0, 300.0, 900.0


#: If it is 1, other tasks install nothing either.
_FORBIDDING = twin(Doctor, "no_install")


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A program that trials or builds run, and its Debian package."""

    name: str
    package: str
    purpose: str


PROGRAMS = (
    Program(name="git", package="git", purpose="sources"),
    Program(name="unshare", package="util-linux", purpose="running daemons in namespaces"),
    Program(name="setpriv", package="util-linux", purpose="killing children with the tool"),
    Program(name="runc", package="runc", purpose="running build steps"),
    Program(name="fusermount3", package="fuse3", purpose="the stargz snapshotter"),
    Program(name="docker-registry", package="docker-registry", purpose="a local registry"),
    Program(name="busybox", package="busybox-static", purpose="base images"),
)

#: What this project's tests need in addition.
FOR_TESTS = (
    Program(name="chromium", package="chromium", purpose="tests of the HTML report"),
    Program(name="dockerd", package="docker.io", purpose="tests of images and containers"),
    Program(name="fuse-overlayfs", package="fuse-overlayfs", purpose="tests of a snapshotter"),
    Program(name="rsvg-convert", package="librsvg2-bin", purpose="tests of PNG pictures"),
    Program(name="ip", package="iproute2", purpose="tests of a remote Engine"),
    Program(name="openssl", package="openssl", purpose="tests of an Engine behind TLS"),
    Program(name="ssh", package="openssh-client", purpose="tests of an Engine behind ssh"),
    Program(name="sshd", package="openssh-server", purpose="tests of an Engine behind ssh"),
    Program(name="zsh", package="zsh", purpose="tests of completion"),
    Program(name="fish", package="fish", purpose="tests of completion"),
)

#: The programs that builds need; the others are for trials.
TO_BUILD = ("git", "setpriv")


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line of doctor."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True  # False: optional


def checks(*, network: bool = True) -> list[Check]:
    """Return all checks, those of the network only if *network*. Changes nothing."""
    found = [_root(), *map(_program, PROGRAMS), _fuse_device(), _disk(), _go(), _docker(), _gh()]
    if network:
        found += [_git_remote(), _module_proxy()]
    return found


def ensure(
    say: Callable[[str], None],
    *,
    trials: bool,
    without: Iterable[str] = (),
    also: Iterable[Program] = (),
) -> None:
    """Install the programs that a task lacks, on Debian or Ubuntu as root.

    *trials*: the task runs daemons, not only builds. *without* are programs that this run does
    not need, *also* further ones. Raises `Missing`, with the exact command, if the task cannot run.
    """
    if trials and os.geteuid() != 0:
        raise Missing(
            f"not running as root, which trials need for buildkitd (Docker: {_docker().detail})",
            hint="sudo ./inv ...",
        )
    wanted = [p for p in PROGRAMS if (trials or p.name in TO_BUILD) and p.name not in set(without)]
    wanted += also
    missing = [p for p in wanted if shutil.which(p.name) is None]
    if missing:
        _install(missing, say)
    if trials and not Path("/dev/fuse").exists():
        raise Missing("/dev/fuse not found; stargz needs it", hint="modprobe fuse")
    disk = _disk()
    if not disk.ok:
        raise Missing(f"the disk of the cache is nearly full: {disk.detail}", hint=disk.fix)


def _install(missing: list[Program], say: Callable[[str], None]) -> None:
    packages = sorted({p.package for p in missing})
    names = ", ".join(p.name for p in missing)
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    may = os.geteuid() == 0 and _is_debian() and not _forbidden()
    if not may:
        raise Missing(f"not installed: {names}", hint=command)
    say(f"installing {' '.join(packages)} with apt-get ({_FORBIDDING}=1 forbids it)")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    with announce("updating the package lists of apt-get"):
        process.run(["apt-get", "update", "-qq"], timeout=UPDATE, env=env, check=False)
    with announce(f"installing {' '.join(packages)}"):
        done = process.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
            timeout=INSTALL,
            env=env,
            check=False,
        )
    still = [p.name for p in missing if shutil.which(p.name) is None]
    if still:
        raise Missing(f"apt-get did not install {', '.join(still)}: {done.tail(2)}", hint=command)


def _forbidden() -> bool:
    return os.environ.get(_FORBIDDING, "") not in ("", "0")


def _is_debian() -> bool:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return "debian" in f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".split()


def _root() -> Check:
    ok = os.geteuid() == 0
    return Check(name="root", ok=ok, detail="yes" if ok else "no", fix="sudo ./inv ...")


def _program(program: Program) -> Check:
    path = shutil.which(program.name)
    return Check(
        name=program.name,
        ok=path is not None,
        detail=f"{path or 'not installed'} ({program.purpose})",
        fix=f"apt-get install -y --no-install-recommends {program.package}",
    )


def _fuse_device() -> Check:
    ok = Path("/dev/fuse").exists()
    detail = "present" if ok else "not found (the stargz snapshotter)"
    return Check(name="/dev/fuse", ok=ok, detail=detail, fix="modprobe fuse")


def _disk() -> Check:
    root = paths.cache_root()
    free = shutil.disk_usage(root).free / 2**30
    return Check(
        name="disk",
        ok=free >= LEAST_FREE,
        detail=f"{free:.0f} GiB free for the cache"
        + ("" if free >= GOOD_FREE else f"; a full matrix needs {GOOD_FREE:.0f} GiB"),
        fix=f"{inv('clean', cache=True)}, or BKBISECT_CACHE_DIR=DIR",
    )


def _go() -> Check:
    here = [t.version for t in (*on_path(), *cached())]
    detail = ", ".join(dict.fromkeys(here)) or "none; downloaded from PyPI as commits require it"
    return Check(name="Go", ok=True, detail=detail)


def _docker() -> Check:
    # Imported late: Docker's client takes long to import, and every campaign checks the rest.
    from buildkit_bisect.engine import open_engine  # noqa: PLC0415

    try:
        engine = open_engine()
    except BisectError as error:
        return Check(
            name="Docker",
            ok=False,
            detail=error.message,
            fix="needed only for images and containers: apt-get install -y docker.io",
            needed=False,
        )
    known = engine.facts
    detail = f"engine {known['version']} at {known['endpoint']} ({known['storage']})"
    return Check(name="Docker", ok=True, detail=detail, needed=False)


def _gh() -> Check:
    path = shutil.which("gh")
    return Check(
        name="gh",
        ok=path is not None,
        detail=f"{path or 'not installed'} (posting reports)",
        fix=f"needed only for {inv('post', 'ID', issue='N')}: apt-get install -y gh; gh auth login",
        needed=False,
    )


def _git_remote() -> Check:
    done = (
        process.run(
            ["git", "ls-remote", "--heads", DEFAULT_REPO, "master"], timeout=ANSWER, check=False
        )
        if shutil.which("git")
        else None
    )
    ok = done is not None and done.ok
    reason = "git is not installed" if done is None else done.tail(1)[:120] or "no answer"
    return Check(
        name="git source",
        ok=ok,
        detail=DEFAULT_REPO if ok else f"cannot reach {DEFAULT_REPO}: {reason}",
        fix=f"{words(Campaign, repo='PATH')} of a clone;"
        " without git, Go modules are used, which have no history to bisect",
        needed=False,
    )


def _module_proxy() -> Check:
    proxy = os.environ.get("GOPROXY", "").split(",")[0].split("|")[0] or "https://proxy.golang.org"
    url = f"{proxy.rstrip('/')}/github.com/moby/buildkit/@v/list"
    if not url.startswith(("https://", "http://")):
        return Check(
            name="module source", ok=False, detail=f"GOPROXY={proxy}: not a URL", needed=False
        )
    try:
        with web.open_url(url, timeout=ANSWER) as answer:
            ok, reason = answer.status == 200, f"HTTP {answer.status}"  # noqa: PLR2004
    except web.NotServed as error:
        ok, reason = False, error.message[:120]
    return Check(
        name="module source",
        ok=ok,
        detail="the Go module proxy answers" if ok else f"cannot reach {proxy}: {reason}",
        needed=False,
    )

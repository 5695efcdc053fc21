"""A bare mirror of the user's repository in our cache; the repository is never modified."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import github
from buildkit_bisect.system import addresses, cache_limit, paths, process
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.gitcmd import git, hermetic_env, lines
from buildkit_bisect.system.process import Completed
from buildkit_bisect.system.retry import passing, retried

# refs/remotes: a contributor's clone has upstream's branches there.
_REFSPECS = (
    "+refs/heads/*:refs/heads/*",
    "+refs/tags/*:refs/tags/*",
    "+refs/remotes/*:refs/remotes/*",
)
_URL = re.compile(r"^(https?|ssh|git)://[^/-]|^[\w.-]+@[\w.-]+:[^-]")
# The repository's hooks and helpers may belong to another user; none of them runs.
_SAFE = (
    *("-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
)
# Reads a repository on this machine. For missing objects git would contact the remote in the
# repository's configuration, with a program that it names: so lazy fetches are disabled.
_PACK = (
    "GIT_ALLOW_PROTOCOL= GIT_NO_LAZY_FETCH=1 git -c 'safe.directory=*'"
    " -c core.hooksPath=/dev/null -c core.fsmonitor=false upload-pack"
)
_NO_REF = re.compile(r"couldn't find remote ref|not our ref|did not send all necessary objects")
_SLOW = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")


class Unreachable(InfraFailed):
    """The remote is unreachable; the Go module may be used instead."""


class NoSuchRef(Unreachable):
    """The remote answered that it does not have a ref or commit."""


class Silent(Unreachable):
    """The remote did not answer before the deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """The mirror of *repo*, and how to update it."""

    repo: str  # absolute path or URL
    path: Path
    deadlines: Deadlines = field(default_factory=Deadlines)

    @property
    def local(self) -> bool:
        """Whether the repository is a path on this machine, where a fetch is cheap."""
        return self.repo.startswith("/")

    def fetch(
        self, *refspecs: str, url: str = "", say: Callable[[str], None] = lambda _: None
    ) -> None:
        """Fetch every branch and tag, or just *refspecs*; *say* gets a warning before a retry.

        With *url*, refspecs are fetched from there. Raises `Unreachable` with git's reason, and
        `NoSuchRef` if the remote does not have one of *refspecs*.
        """
        where = url or self.repo
        with announce(f"fetching {where}"), FileLock(f"{self.path}.lock"):
            done = _git_remote(
                *("-C", str(self.path), "fetch", "--quiet", "--force", "--no-recurse-submodules"),
                *_pack(where),
                *("--no-write-fetch-head", "--no-tags"),
                *([] if refspecs else ["--prune"]),
                *("--", where, *(refspecs or _REFSPECS)),
                of=where,
                timeout=self.deadlines.fetch,
                say=say,
            )
            if not done.ok:
                if refspecs and _NO_REF.search(done.stderr):
                    raise NoSuchRef(_reason(done))
                raise _unreachable(f"cannot fetch from {where}", done)
            if not refspecs:
                self._stamp.touch()

    def commit(self, name: str) -> str:
        """Return the commit id of *name*; "" if there is no such commit."""
        options = ("--verify", "--quiet", "--end-of-options")
        return self.query("rev-parse", *options, f"{name}^{{commit}}")

    def commits(self, names: Sequence[str]) -> dict[str, str]:
        """Return the commit id of each of *names* that has one, with one git process.

        They must not contain blanks.
        """
        if not names:
            return {}
        with tempfile.TemporaryFile() as asked:
            asked.write("".join(f"{name}^{{commit}}\n" for name in names).encode())
            asked.seek(0)
            options = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
            answers = lines(git(self.path, *options, stdin=asked.fileno()).stdout)
        found = (answer.split(" ") for answer in answers)
        return {
            name: sha for name, (sha, kind) in zip(names, found, strict=True) if kind == "commit"
        }

    def query(self, *args: str) -> str:
        """Return git's output, "" if it prints none. Raises `InfraFailed` on a timeout."""
        done = git(self.path, *args, check=False)
        if done.timed_out:
            raise InfraFailed(
                f"git {args[0]} in {self.path} timed out after {done.seconds:.0f} s",
                hint=f"{inv('clean', cache=True)} (recreates the mirror)",
            )
        return done.stdout.strip()

    def age(self) -> float:
        """Return the seconds since the last complete fetch."""
        try:
            return max(0.0, time.time() - self._stamp.stat().st_mtime)
        except OSError:
            return float("inf")

    @property
    def _stamp(self) -> Path:
        return self.path / "bkbisect-fetched"


def open_mirror(
    repo: str, *, say: Callable[[str], None], deadlines: Deadlines | None = None
) -> Mirror:
    """Return the mirror of *repo*, a URL or a path; clone it if there is none.

    Raises `BadInput` if *repo* is not a repository, `Unreachable` if it does not answer,
    `InfraFailed` if the existing mirror is damaged.
    """
    where = _normal(repo)
    mirror = Mirror(
        repo=where,
        path=paths.cache("mirrors") / _slug(where),
        deadlines=deadlines or Deadlines(),
    )
    cache_limit.used(mirror.path)
    if mirror.path.is_dir():
        _check(mirror.path)
        return mirror
    with announce(f"cloning {mirror.repo} into the cache"), FileLock(f"{mirror.path}.lock"):
        if not mirror.path.is_dir():
            _clone(mirror, say)
    return mirror


def mirror_of(repo: str) -> Path:
    """Return where the mirror of the URL *repo* is; it may not exist. Creates nothing."""
    return paths.cache_place() / "mirrors" / _slug(repo.strip())


def _check(path: Path) -> None:
    """Raise `InfraFailed` unless git can read the configuration and refs of *path*."""
    # GIT_DIR, because git would search the parent directories if this is not a repository.
    done = git(path, "for-each-ref", "--count=1", check=False, GIT_DIR=str(path))
    if not done.ok:
        raise InfraFailed(
            f"the mirror {path} is damaged: {_reason(done)}",
            hint=f"rm -r {path} (it is cloned again)",
        )


def _normal(repo: str) -> str:
    repo = repo.strip()
    if not repo or repo.startswith("-") or any(not c.isprintable() for c in repo):
        raise BadInput(
            f"{repo[:60]!r} is not a repository", hint=words(Building, repo="PATH_OR_URL")
        )
    if addresses.is_cleartext(repo) and not addresses.is_local_cleartext(repo):
        raise BadInput(
            f"repository {repo!r}: cleartext protocols are allowed only on loopback",
            hint="the same URL with https://",
        )
    if named := _on_github(repo):
        return github.clone_url(named)
    if _URL.match(repo):
        return repo
    if repo.startswith("file:///"):
        repo = unquote(repo.removeprefix("file://"))
    try:
        path = Path(repo).expanduser()
        there = path.exists()
    except (OSError, RuntimeError):  # a name too long, an unknown user's home
        there = False
    if not there:
        looks = "unknown kind of URL" if "://" in repo or "::" in repo else "no such directory"
        raise BadInput(f"repository {repo!r}: {looks}", hint=words(Building, repo="PATH_OR_URL"))
    done = git(path, "rev-parse", "--path-format=absolute", "--git-common-dir", check=False)
    if not done.ok:
        raise BadInput(f"{repo} is not a git repository", hint=words(Building, repo="PATH_OR_URL"))
    return str(Path(done.stdout.strip()).resolve())


def _on_github(repo: str) -> str:
    """Return ``OWNER/NAME`` if *repo* is that, or an address of GitHub as copied; else "".

    With and without .git it is one repository, and one mirror. An existing path is a path.
    """
    if repo.startswith(("git@", "ssh://", "/", ".", "~")) or Path(repo).exists():
        return ""
    if github.is_repository(repo):
        return repo.removesuffix(".git")
    found = github.address(repo)
    return found.repo if found else ""


def _slug(repo: str) -> str:
    name = re.sub(r"[^\w.-]+", "-", repo.removesuffix(".git").removesuffix("/"))[-40:].strip("-.")
    return f"{name}-{hashlib.sha256(repo.encode()).hexdigest()[:12]}.git"


def _clone(mirror: Mirror, say: Callable[[str], None]) -> None:
    if not mirror.local:
        done = _git_remote(
            *("ls-remote", "--quiet", "--", mirror.repo, "HEAD"),
            of=mirror.repo,
            timeout=mirror.deadlines.connect,
            say=say,
        )
        if not done.ok:
            raise _unreachable(f"cannot reach {mirror.repo}", done)
    with paths.scratch("clone") as tmp:
        draft = tmp / "mirror.git"
        done = _git_remote(
            # Not by copying files: git then checks every object against its id, and does not
            # copy links and alternates of the repository.
            *("clone", "--quiet", "--bare", "--no-local", "--template="),
            *_pack(mirror.repo),
            *("--", mirror.repo, str(draft)),
            of=mirror.repo,
            timeout=mirror.deadlines.clone,
            say=say,
        )
        if not done.ok:
            raise _unreachable(f"cannot clone {mirror.repo}", done)
        if git(draft, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            say(f"{mirror.repo} is a shallow clone without older revisions")
        replace(mirror, path=draft).fetch(say=say)
        git(
            *(draft, "commit-graph", "write", "--reachable"),
            check=False,
            timeout=mirror.deadlines.fetch,
        )
        draft.rename(mirror.path)


def _pack(repo: str) -> tuple[str, ...]:
    # Only for a path does our own git serve the objects; a server may refuse any other program.
    return ("--upload-pack", _PACK) if repo.startswith("/") else ()


def _git_remote(*args: str, of: str, timeout: float, say: Callable[[str], None]) -> Completed:
    # The user's configuration is used: it has proxies, credentials and url.insteadOf. So git
    # itself gets the list of allowed protocols, whatever a URL is rewritten to.
    local = addresses.is_local_cleartext(of)
    protocols = ["file", "https", "ssh", *([of.partition(":")[0]] if local else [])]
    stay = ("-c", "http.followRedirects=false") if local else ()
    argv = ["git", *_SAFE, *_SLOW, *stay, *args]
    env = {"GIT_ALLOW_PROTOCOL": ":".join(protocols)}

    def trouble(done: Completed) -> str:
        # For a path on this machine a retry does not help.
        final = done.ok or done.timed_out or of.startswith("/")
        return "" if final else passing(done.stderr)

    return retried(
        lambda left: process.run(argv, timeout=left, env=env, check=False),
        within=timeout,
        trouble=trouble,
        say=say,
    )


def _unreachable(what: str, done: Completed) -> Unreachable:
    if done.timed_out:
        return Silent(
            f"{what}: no answer within {done.seconds:.0f} s",
            hint=f"{words(Building, deadline='connect=SECONDS')}, or"
            f" {words(Building, repo='PATH')} of a clone",
        )
    return Unreachable(
        f"{what}: {_reason(done)}",
        hint=f"{words(Building, repo='PATH')} of a clone, or {words(Building, source='module')}",
    )


def _reason(done: Completed) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (errors or lines or [f"git exited {done.exit}"])[0].removeprefix("fatal: ")


__all__ = [
    "Mirror",
    "NoSuchRef",
    "Silent",
    "Unreachable",
    "hermetic_env",
    "mirror_of",
    "open_mirror",
]

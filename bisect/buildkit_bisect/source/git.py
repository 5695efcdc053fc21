"""BuildKit's history and work trees, from our own mirror of the repository."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang.toolchain import asked_in_dockerfile
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source import names, upstream
from buildkit_bisect.source.closure import ROOTS
from buildkit_bisect.source.commits import SEPARATOR, History, branch_name
from buildkit_bisect.source.inputs import InputKeys
from buildkit_bisect.source.mirror import Unreachable, open_mirror
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.gitcmd import git, lines
from buildkit_bisect.system.process import ProcessError

#: How often a work tree is added: pruning in another process may get in between.
_TRIES = 5

#: A remote's branches may move; after this many seconds the mirror is fetched again.
STALE = 24 * 3600.0

#: Limits of a tree; BuildKit's has 8,000 files and 60 MB, most of them vendored.
MOST_FILES = 100_000
MOST_BYTES = 10 * 10**9

#: Git's words for a path that is not a file of a tree; a submodule's commit is no blob.
_NO_FILE = re.compile(r"does not exist in|exists on disk, but not in|bad file")

#: Seconds to list a tree; BuildKit's takes a tenth of one.
_LISTING = 30.0


@dataclass(kw_only=True)
class GitSource(History):
    """A mirror of one repository. Can be pickled; each process opens the repository itself."""

    say: Callable[[str], None] = lambda _: None
    kind: str = "git"
    _fresh: bool = field(default=False, repr=False)
    _warned: set[str] = field(default_factory=set, repr=False)  # branches

    @classmethod
    def open(
        cls,
        repo: str,
        *,
        say: Callable[[str], None] = lambda _: None,
        deadlines: Deadlines | None = None,
    ) -> GitSource:
        """Return the source for *repo*, a URL or a path; raises what `open_mirror` raises."""
        return cls(mirror=open_mirror(repo, say=say, deadlines=deadlines), say=say)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "mirror": self.mirror,
            "kind": self.kind,
            "_fresh": self._fresh,
            "_warned": self._warned,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, say=lambda _: None)

    @property
    def where(self) -> str:
        """The repository, for messages."""
        return self.mirror.repo

    @property
    def note(self) -> str:
        """Always "": it never replaces another source."""
        return ""

    def resolve(self, ref: str) -> Revision:
        """Return the commit of a tag, branch, id, ``master~3`` or date.

        The mirror is fetched if it does not have the ref, or if a branch may have moved.
        Raises `BadInput` with the nearest tags, or with the candidates of an ambiguous id.
        """
        ref = names.checked(ref)
        sha = self._on_day(ref) if names.is_date(ref) else self._commit(ref)
        self._warn_if_behind(ref)
        return self.revision(sha, ref=ref)

    def refresh(self, *, must: bool = True) -> None:
        """Fetch every branch and tag; raises `Unreachable`, or only warns unless *must*."""
        try:
            self.mirror.fetch(say=self.say)
            self._fresh = True
        except Unreachable as err:
            if must:
                raise
            self._fresh = True  # an immediate retry would fail too
            self.say(f"{err.message}; using the mirror as last fetched")

    def revision(self, sha: str, *, ref: str = "") -> Revision:
        """Return the revision of a commit in the mirror; *ref* is its name in reports."""
        found = self.revisions([sha])[0]
        described = git(
            self.mirror.path,
            *("describe", "--tags", "--always", "--abbrev=12", "--match=v[0-9]*", sha),
        ).stdout.strip()
        return replace(found, ref=ref or found.ref, describe=described)

    def releases(self) -> list[Revision]:
        """Return the final releases ``vX.Y.Z``, newest version first."""
        if self.mirror.local and not self._fresh:
            self.refresh(must=False)
        out = self._git(
            *("for-each-ref", "--format=%(refname:strip=2)%1f%(objectname)%1f%(*objectname)%1f"),
            "refs/tags/v*",
        )
        commits = {}
        for line in lines(out):
            tag, sha, peeled, _ = line.split(SEPARATOR)
            if names.is_release(tag):
                commits[tag] = peeled or sha
        order = names.newest_first(commits)
        found = self.revisions([commits[tag] for tag in order])
        return [replace(r, ref=tag, describe=tag) for tag, r in zip(order, found, strict=True)]

    def tags(self) -> list[str]:
        """Return every tag that is a version of BuildKit."""
        out = self._git("for-each-ref", "--format=%(refname:strip=2)", "refs/tags")
        return [tag for tag in lines(out) if names.version_key(tag)[0]]

    def release_branches(self) -> dict[tuple[int, int], str]:
        """Return minor version -> the name of upstream's release branch, oldest first."""
        out = self._git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
        found = upstream.release_branches(lines(out), upstream.remotes(self.mirror))
        return {minor: branch_name(ref) for minor, ref in found.items()}

    def default_branch(self) -> str:
        """Return the full name of upstream's main branch, on which dates are resolved."""
        # In the mirror a remote's HEAD is not symbolic: a fetch stores its commit.
        theirs = [
            f"refs/remotes/{remote}/{name}"
            for remote in self._remotes()
            for name in ("master", "main", "HEAD")
        ]
        head = self._query("rev-parse", "--symbolic-full-name", "HEAD")
        own = ("refs/heads/master", "refs/heads/main", head, "HEAD")
        there = [name for name in (*theirs, *own) if name and self._commit_of(name)]
        if not there:
            raise BadInput(f"{self.where} has no branch", hint=words(Building, repo="PATH_OR_URL"))
        # Not the clone's own branches: local work puts them ahead of upstream's.
        self._warn_if_stale(there[0], [name for name in there[1:] if name in theirs])
        return there[0]

    def _remotes(self) -> list[str]:
        """Return the remotes whose branches a ref without a remote's name may mean, in order."""
        return list(dict.fromkeys([*upstream.remotes(self.mirror), "origin"]))

    def _warn_if_stale(self, chosen: str, others: Iterable[str]) -> None:
        """Warn once if *chosen* is an ancestor of one of *others*: it was not fetched lately."""
        if not self.mirror.local or chosen in self._warned:
            return
        self._warned.add(chosen)
        for other in others:
            if (behind := self._behind(chosen, other)) and self.is_ancestor(chosen, other):
                name, newer = branch_name(chosen), branch_name(other)
                self.say(f"{name}, used as upstream's branch, is {_commits(behind)} behind {newer}")
                return

    def _warn_if_behind(self, ref: str) -> None:
        """Warn once for each of the clone's own branches that is behind its remote's.

        The user asked for the clone's own ``master``, which may be years behind upstream's.
        """
        name = (
            re.split(r"[~^]|@\{", ref, maxsplit=1)[0].removeprefix("refs/").removeprefix("heads/")
        )
        if not self.mirror.local or name in self._warned:
            return
        self._warned.add(name)
        own = self._commit_of(f"refs/heads/{name}")
        if not own or self._commit_of(name) != own:
            return
        for remote in self._remotes():
            theirs = f"refs/remotes/{remote}/{name}"
            if self._commit_of(theirs):
                if behind := self._behind(own, theirs):
                    what = f"{_commits(behind)} behind {remote}/{name}"
                    self.say(f"{name} is the clone's own branch and is {what}")
                return

    def _behind(self, one: str, other: str) -> int:
        """Return the number of commits in *other* that are not in *one*."""
        return int(self._git("rev-list", "--count", other, f"^{one}", "--"))

    def _commit(self, ref: str) -> str:
        if re.split("[~^]", ref, maxsplit=1)[0] == "HEAD":
            # The mirror's own HEAD is from the time of the clone.
            self._try_fetch(f"+HEAD:{_OURS}/HEAD")
            ref = ref.replace("HEAD", f"{_OURS}/HEAD", 1)
        found = self._parse(ref)
        if found and not self._may_have_moved(ref, found):
            return found
        if not self._fresh:
            self.refresh(must=False)
            found = self._parse(ref)
        if not found and self._fetch_special(ref):
            found = self._parse(_special_name(ref))
        if found:
            return found
        if names.is_pull(ref):
            raise names.unknown_pull(ref, where=self.where, local=self.mirror.local)
        raise names.unknown(ref, self.tags(), where=self.where)

    def _parse(self, ref: str) -> str:
        """Return the commit id or ""; raises `BadInput` if an abbreviated id is ambiguous."""
        if found := self._commit_of(ref):
            return found
        for remote in self._remotes():
            if found := self._commit_of(f"refs/remotes/{remote}/{ref}"):
                return found
        if names.is_hex(ref):
            some = self._query("rev-parse", f"--disambiguate={ref}").split()
            commits = [s for s in some if self._query("cat-file", "-t", s) == "commit"]
            if len(commits) > 1:
                raise BadInput(
                    f"{ref!r} is ambiguous: {len(commits)} commit ids start with it",
                    hint=f"one of {', '.join(c[:12] for c in commits[:5])}",
                )
        return ""

    def _commit_of(self, name: str) -> str:
        """Return the commit id of *name*; "" if there is no such commit."""
        options = ("--verify", "--quiet", "--end-of-options")
        return self._query("rev-parse", *options, f"{name}^{{commit}}")

    def _query(self, *args: str) -> str:
        """Return git's output, "" if it prints none. Raises `InfraFailed` on a timeout."""
        done = git(self.mirror.path, *args, check=False)
        if done.timed_out:
            raise InfraFailed(
                f"git {args[0]} in {self.mirror.path} timed out after {done.seconds:.0f} s",
                hint=f"{inv('clean', cache=True)} (recreates the mirror)",
            )
        return done.stdout.strip()

    def _may_have_moved(self, ref: str, sha: str) -> bool:
        if self._fresh or names.is_release(ref) or sha.startswith(ref):
            return False
        return self.mirror.local or self.mirror.age() > STALE

    def _fetch_special(self, ref: str) -> bool:
        """Fetch a single commit or pull request that no branch or tag contains."""
        if names.is_full_sha(ref):
            return self._try_fetch(f"+{ref}:{_special_name(ref)}")
        if ref.startswith("pull/"):
            wanted = _special_name(ref)
            return self._try_fetch(f"+{wanted}:{wanted}")
        return False

    def _try_fetch(self, refspec: str) -> bool:
        try:
            self.mirror.fetch(refspec, say=self.say)
        except Unreachable:
            return False
        return True

    def _on_day(self, day: str) -> str:
        if not self._fresh and (self.mirror.local or self.mirror.age() > STALE):
            self.refresh(must=False)
        branch = self.default_branch()
        sha = self._git(
            *("rev-list", "-1", "--first-parent", f"--before={day}T23:59:59Z", branch, "--")
        ).strip()
        if not sha:
            raise BadInput(
                f"{self.where} has no commit on or before {day}", hint="a later date, or a tag"
            )
        return sha

    def read(self, revision: Revision, path: str) -> str | None:
        """Return the text of a file in a revision; None if there is no such file.

        Raises `InfraFailed` if git fails for another reason.
        """
        name = f"{revision.sha}:{path}"
        done = git(self.mirror.path, "cat-file", "blob", name, check=False)
        if done.ok:
            return done.stdout
        if _NO_FILE.search(done.stderr):
            return None
        raise InfraFailed(
            f"git cat-file {name} failed: {done.tail(1) or f'exit {done.exit}'}",
            hint=f"{inv('doctor')}, then the same command again",
        )

    def inputs(self, revision: Revision, extra: tuple[str, ...] = ()) -> str:
        """Return a digest of all files that the binaries may be built from, and of the Go version.

        *extra* are import paths that patches add. Two commits with the same digest have the
        same binaries; the reverse is not guaranteed.
        """
        return self.input_keys([revision.sha], extra)[revision.sha]

    def input_keys(self, commits: Iterable[str], extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Return `inputs` of many commits; a whole range takes little longer than one commit."""
        folder = paths.cache("inputs")
        try:
            with self._repo() as repo, InputKeys(repo, folder) as keys:
                return keys.of(list(commits), extra)
        except sqlite3.Error as err:
            # All of it can be computed again, but other processes may be writing to it.
            broken = not isinstance(err, sqlite3.OperationalError)
            hint = f"rm -r {shlex.quote(str(folder))}" if broken else "df -h, fuser, then once more"
            raise InfraFailed(f"{folder}: {err}", hint=hint) from err

    def go_versions(self, commits: Sequence[str]) -> dict[str, str]:
        """Return the minor Go version in each commit's Dockerfile, ``1.25``, where there is one."""
        names = [f"{commit}:Dockerfile" for commit in commits]
        # Without a Dockerfile in one of them there is no answer: this only helps to predict times.
        done = git(self.mirror.path, "rev-parse", *names, check=False) if names else None
        if not done or not done.ok:
            return {}
        found = dict(zip(commits, lines(done.stdout), strict=True))
        asked: dict[str, str] = {}
        for blob in set(found.values()):
            text = git(self.mirror.path, "cat-file", "blob", blob, check=False)
            minor = asked_in_dockerfile(text.stdout) if text.ok else None
            asked[blob] = f"{minor[0]}.{minor[1]}" if minor else ""
        return {commit: asked[blob] for commit, blob in found.items()}

    def daemon_packages(self, sha: str) -> frozenset[str]:
        """Return the directories that a commit's buildkitd imports, on any operating system."""
        with self._repo() as repo, InputKeys(repo, paths.cache("inputs")) as keys:
            return keys.directories(sha, ROOTS[:1])

    @contextmanager
    def checkout(self, revision: Revision) -> Iterator[Path]:
        """Create a work tree of the mirror for the block and remove it afterwards.

        Raises `BadInput` for a tree that is too large, before anything is written.
        """
        self.prune()
        self._bounded(revision)
        with paths.scratch("worktree") as tmp:
            tree = tmp / tmp.name  # git gives the entry in the mirror the same name
            try:
                self._add(tree, revision)
            except ProcessError as err:
                raise InfraFailed(
                    f"cannot create a work tree of {revision.ref}: {err.message}",
                    hint=f"{inv('doctor')}, or another revision",
                ) from err
            try:
                yield tree
            finally:
                shutil.rmtree(tree, ignore_errors=True)
                self.prune()

    def _add(self, tree: Path, revision: Revision) -> None:
        add = ("worktree", "add", "--quiet", "--force", "--detach", str(tree), revision.sha)
        for _ in range(_TRIES - 1):
            try:
                git(self.mirror.path, *add, timeout=300)
            except ProcessError as err:
                # Another process's prune removed the empty `worktrees` just before git wrote there.
                if "could not create directory of 'worktrees" not in err.message:
                    raise
            else:
                return
        git(self.mirror.path, *add, timeout=300)

    def _bounded(self, revision: Revision) -> None:
        """Raise `BadInput` for a huge tree: a few objects can expand to one that fills any disk."""
        listed = git(
            self.mirror.path,
            *("ls-tree", "-r", "-l", revision.sha),
            timeout=_LISTING,
            check=False,
        )
        endless = listed.timed_out or listed.left_out
        whole = listed.ok and not endless  # if git fails here, the checkout fails with its reason
        sizes = [line.split(maxsplit=4)[3] for line in lines(listed.stdout)] if whole else []
        size = sum(int(s) for s in sizes if s.isdigit())  # "-" of a submodule
        if endless or len(sizes) > MOST_FILES or size > MOST_BYTES:
            raise BadInput(
                f"the tree of {revision.ref} has more than {MOST_FILES} files or"
                f" {MOST_BYTES // 10**9} GB: it is not BuildKit's",
                hint=f"{words(Building, repo='PATH')} of a clone of BuildKit",
            )

    def prune(self) -> None:
        """Remove the entries of work trees whose directories are gone, also of killed processes."""
        for lock in (self.mirror.path / "worktrees").glob("*/locked"):
            # Git locks an entry while it creates it; a git killed then leaves the lock forever.
            if not paths.owner_alive(lock.parent):
                lock.unlink(missing_ok=True)
        git(self.mirror.path, "worktree", "prune", "--expire=now", check=False)


_OURS = "refs/bkbisect"


def _commits(count: int) -> str:
    return f"{count} commit" if count == 1 else f"{count} commits"


def _special_name(ref: str) -> str:
    if ref.startswith("pull/"):
        return f"refs/{ref}" if ref.count("/") > 1 else f"refs/{ref}/head"
    return f"{_OURS}/{ref}"

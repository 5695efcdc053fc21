"""BuildKit's history, read from a mirror of our own, and trees of it to build."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.model import Revision
from buildkit_bisect.source import names, upstream
from buildkit_bisect.source.commits import SEPARATOR, History, branch_name
from buildkit_bisect.source.inputs import InputKeys
from buildkit_bisect.source.mirror import Unreachable, open_mirror
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.gitcmd import git, lines
from buildkit_bisect.system.process import ProcessError

#: A branch may have moved on a remote; after this many seconds it is asked again.
STALE = 24 * 3600.0

#: What a tree may have; BuildKit's has 8,000 files and 60 MB, most of them vendored.
MOST_FILES = 100_000
MOST_BYTES = 10 * 10**9

#: Seconds for its listing; BuildKit's takes a tenth of one.
_LISTING = 30.0


@dataclass(kw_only=True)
class GitSource(History):
    """A mirror of one repository. Pickles; each process opens the repository for itself."""

    say: Callable[[str], None] = lambda _: None
    kind: str = "git"
    _fresh: bool = field(default=False, repr=False)
    _said: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def open(
        cls,
        repo: str,
        *,
        say: Callable[[str], None] = lambda _: None,
        deadlines: Deadlines | None = None,
    ) -> GitSource:
        """The source for *repo*, a URL or a path; see `open_mirror` for what it raises."""
        return cls(mirror=open_mirror(repo, say=say, deadlines=deadlines), say=say)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "mirror": self.mirror,
            "kind": self.kind,
            "_fresh": self._fresh,
            "_said": self._said,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, say=lambda _: None)

    @property
    def where(self) -> str:
        """The repository, as messages name it."""
        return self.mirror.repo

    @property
    def note(self) -> str:
        """Always "": it never replaces another source."""
        return ""

    def resolve(self, ref: str) -> Revision:
        """The commit that a tag, branch, id, ``master~3`` or day stands for.

        The mirror is fetched where it lacks the ref, or where a branch may have moved.
        Raises `BadInput` naming the nearest tags, or the candidates of an ambiguous id.
        """
        ref = names.checked(ref)
        sha = self._on_day(ref) if names.is_date(ref) else self._commit(ref)
        self._say_if_behind(ref)
        return self.revision(sha, ref=ref)

    def refresh(self, *, must: bool = True) -> None:
        """Fetch every branch and tag; raises `Unreachable`, or just says so unless *must*."""
        try:
            self.mirror.fetch(say=self.say)
            self._fresh = True
        except Unreachable as err:
            if must:
                raise
            self._fresh = True  # it will not be there in a second either
            self.say(f"{err.message}; going on with what was fetched before")

    def revision(self, sha: str, *, ref: str = "") -> Revision:
        """What is known of a commit in the mirror; *ref* is the name to show for it."""
        found = self.revisions([sha])[0]
        described = git(
            self.mirror.path,
            *("describe", "--tags", "--always", "--abbrev=12", "--match=v[0-9]*", sha),
        ).stdout.strip()
        return Revision(
            ref=ref or found.ref,
            sha=found.sha,
            describe=described,
            date=found.date,
            subject=found.subject,
        )

    def releases(self) -> list[Revision]:
        """Final releases ``vX.Y.Z``, newest version first."""
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
        return [
            Revision(ref=tag, sha=r.sha, describe=tag, date=r.date, subject=r.subject)
            for tag, r in zip(order, found, strict=True)
        ]

    def tags(self) -> list[str]:
        """Every tag that names a version of BuildKit."""
        out = self._git("for-each-ref", "--format=%(refname:strip=2)", "refs/tags")
        return [tag for tag in lines(out) if names.version_key(tag)[0]]

    def release_branches(self) -> dict[tuple[int, int], str]:
        """Minor version -> the name of upstream's branch for it, oldest first."""
        out = self._git("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
        found = upstream.release_branches(lines(out), upstream.remotes(self.mirror))
        return {minor: branch_name(ref) for minor, ref in found.items()}

    def default_branch(self) -> str:
        """The full name of the ref that days count on: upstream's main line."""
        # A remote's HEAD is no name: fetching makes it a commit.
        theirs = [
            f"refs/remotes/{remote}/{name}"
            for remote in self._remotes()
            for name in ("master", "main", "HEAD")
        ]
        head = self._asked("rev-parse", "--symbolic-full-name", "HEAD")
        own = ("refs/heads/master", "refs/heads/main", head, "HEAD")
        there = [name for name in (*theirs, *own) if name and self._commit_of(name)]
        if not there:
            raise BadInput(f"{self.where} has no branch", hint="--repo PATH_OR_URL")
        # The clone's own go on where upstream's end when people work on them.
        self._say_if_stale(there[0], [name for name in there[1:] if name in theirs])
        return there[0]

    def _remotes(self) -> list[str]:
        """Remotes whose branches are meant where no name of a remote is said, in order."""
        return list(dict.fromkeys([*upstream.remotes(self.mirror), "origin"]))

    def _say_if_stale(self, chosen: str, others: Iterable[str]) -> None:
        """Say, once, that one of *others* goes on where *chosen* ends: not fetched for long."""
        if not self.mirror.local or chosen in self._said:
            return
        self._said.add(chosen)
        for other in others:
            if (lacks := self._lacks(chosen, other)) and self.is_ancestor(chosen, other):
                name, newer = branch_name(chosen), branch_name(other)
                self.say(f"{name} is taken for upstream's, and lacks {lacks} commits of {newer}")
                return

    def _say_if_behind(self, ref: str) -> None:
        """Say, once for each branch of the clone's own, what it lacks of its remote's.

        A clone's own ``master`` is what was asked for, and may be years behind upstream's.
        """
        name = (
            re.split(r"[~^]|@\{", ref, maxsplit=1)[0].removeprefix("refs/").removeprefix("heads/")
        )
        if not self.mirror.local or name in self._said:
            return
        self._said.add(name)
        own = self._commit_of(f"refs/heads/{name}")
        if not own or self._commit_of(name) != own:
            return
        for remote in self._remotes():
            theirs = f"refs/remotes/{remote}/{name}"
            if self._commit_of(theirs):
                if lacks := self._lacks(own, theirs):
                    what = f"{lacks} of the commits of {remote}/{name}"
                    self.say(f"{name} is the clone's own branch: it lacks {what}")
                return

    def _lacks(self, one: str, other: str) -> int:
        """How many commits *other* has that *one* has not."""
        return int(self._git("rev-list", "--count", other, f"^{one}", "--"))

    def _commit(self, ref: str) -> str:
        if re.split("[~^]", ref, maxsplit=1)[0] == "HEAD":
            # The mirror's own HEAD is the one at the time of cloning.
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
        """The commit id, or empty; raises `BadInput` where an abbreviated id is ambiguous."""
        if found := self._commit_of(ref):
            return found
        for remote in self._remotes():
            if found := self._commit_of(f"refs/remotes/{remote}/{ref}"):
                return found
        if names.is_hex(ref):
            some = self._asked("rev-parse", f"--disambiguate={ref}").split()
            commits = [s for s in some if self._asked("cat-file", "-t", s) == "commit"]
            if len(commits) > 1:
                raise BadInput(
                    f"{ref!r} is the beginning of {len(commits)} commit ids",
                    hint=f"one of {', '.join(c[:12] for c in commits[:5])}",
                )
        return ""

    def _commit_of(self, name: str) -> str:
        """The id of the commit that *name* leads to; "" where it leads to none."""
        options = ("--verify", "--quiet", "--end-of-options")
        return self._asked("rev-parse", *options, f"{name}^{{commit}}")

    def _asked(self, *args: str) -> str:
        """What git answers; "" where it has no answer. Raises `InfraFailed` past the deadline."""
        done = git(self.mirror.path, *args, check=False)
        if done.timed_out:
            raise InfraFailed(
                f"git {args[0]} in {self.mirror.path} timed out after {done.seconds:.0f} s",
                hint="./inv clean --cache makes the mirror anew",
            )
        return done.stdout.strip()

    def _may_have_moved(self, ref: str, sha: str) -> bool:
        if self._fresh or names.is_release(ref) or sha.startswith(ref):
            return False
        return self.mirror.local or self.mirror.age() > STALE

    def _fetch_special(self, ref: str) -> bool:
        """Commits and pull requests that no branch or tag leads to are fetched one by one."""
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
            raise BadInput(f"{self.where} has no commit by {day}", hint="a later day, or a tag")
        return sha

    def read(self, revision: Revision, path: str) -> str | None:
        """The text of one file of a revision; None where it has no such file."""
        name = f"{revision.sha}:{path}"
        done = git(self.mirror.path, "cat-file", "blob", name, check=False)
        return done.stdout if done.ok else None

    def inputs(self, revision: Revision, extra: tuple[str, ...] = ()) -> str:
        """A digest of every file that the binaries can be made from, and of the Go asked for.

        *extra* are import paths that patches add. Two commits with the same digest have the
        same binaries; the reverse is not promised.
        """
        return self.input_keys([revision.sha], extra)[revision.sha]

    def input_keys(self, commits: Iterable[str], extra: tuple[str, ...] = ()) -> dict[str, str]:
        """`inputs` of many commits at once; a whole range costs little more than one."""
        folder = paths.cache("inputs")
        try:
            with self._repo() as repo, InputKeys(repo, folder) as keys:
                return keys.of(list(commits), extra)
        except sqlite3.Error as err:
            # It holds nothing that is not computed again; but others may be writing there.
            broken = not isinstance(err, sqlite3.OperationalError)
            hint = f"rm -r {shlex.quote(str(folder))}" if broken else "df -h, fuser, then once more"
            raise InfraFailed(f"{folder}: {err}", hint=hint) from err

    @contextmanager
    def checkout(self, revision: Revision) -> Iterator[Path]:
        """A work tree of the mirror, made for the block and removed after it.

        Raises `BadInput` for one that nobody could want, before anything is written.
        """
        self.prune()
        self._bounded(revision)
        with paths.scratch("worktree") as tmp:
            tree = tmp / tmp.name  # git names the entry in the mirror after it
            try:
                git(
                    self.mirror.path,
                    *("worktree", "add", "--quiet", "--force", "--detach", str(tree), revision.sha),
                    timeout=300,
                )
            except ProcessError as err:
                raise InfraFailed(
                    f"no work tree of {revision.ref}: {err.message}",
                    hint="./inv doctor, or another revision",
                ) from err
            try:
                yield tree
            finally:
                shutil.rmtree(tree, ignore_errors=True)
                self.prune()

    def _bounded(self, revision: Revision) -> None:
        """A few objects can stand for a tree that fills any disk, one directory many times."""
        listed = git(
            self.mirror.path,
            *("ls-tree", "-r", "-l", revision.sha),
            timeout=_LISTING,
            check=False,
        )
        endless = listed.timed_out or listed.left_out
        whole = listed.ok and not endless  # where git fails, so does what comes next, and says why
        sizes = [line.split(maxsplit=4)[3] for line in lines(listed.stdout)] if whole else []
        size = sum(int(s) for s in sizes if s.isdigit())  # "-" of a submodule
        if endless or len(sizes) > MOST_FILES or size > MOST_BYTES:
            raise BadInput(
                f"the tree of {revision.ref} has more than {MOST_FILES} files or"
                f" {MOST_BYTES // 10**9} GB: that is not BuildKit's",
                hint="--repo PATH of a clone of BuildKit",
            )

    def prune(self) -> None:
        """Forget work trees whose directories are gone, ours or those of killed processes."""
        for lock in (self.mirror.path / "worktrees").glob("*/locked"):
            # Git locks one while it makes it; killed right then, it would keep it for ever.
            if not paths.owner_alive(lock.parent):
                lock.unlink(missing_ok=True)
        git(self.mirror.path, "worktree", "prune", "--expire=now", check=False)


_OURS = "refs/bkbisect"


def _special_name(ref: str) -> str:
    if ref.startswith("pull/"):
        return f"refs/{ref}" if ref.count("/") > 1 else f"refs/{ref}/head"
    return f"{_OURS}/{ref}"

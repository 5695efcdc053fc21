"""BuildKit's history and work trees, from our own mirror of the repository."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildkit_bisect.errors import BadInput, InfraFailed
from buildkit_bisect.golang.toolchain import asked_in_dockerfile
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.source.inputs import PROGRAMS, InputKeys
from buildkit_bisect.source.kept_trees import kept_tree
from buildkit_bisect.source.lookup import Lookup
from buildkit_bisect.source.mirror import open_mirror
from buildkit_bisect.source.trees import TreeReader
from buildkit_bisect.system import paths
from buildkit_bisect.system.deadlines import Deadlines
from buildkit_bisect.system.gitcmd import git, lines
from buildkit_bisect.system.process import ProcessError

#: How often a work tree is added: pruning in another process may get in between.
_TRIES = 5

#: Limits of a tree; BuildKit's has 8,000 files and 60 MB, most of them vendored.
MOST_FILES = 100_000
MOST_BYTES = 10 * 10**9

#: Git's words for a path that is not a file of a tree; a submodule's commit is no blob.
_NO_FILE = re.compile(r"does not exist in|exists on disk, but not in|bad file")

#: Files that are inputs of every program.
_EVERY_PROGRAM = {"go.mod", "go.sum", "vendor/modules.txt"}

#: Attributes of every file, which overrule those in a commit's own files.
_AS_STORED = "* -text !ident !filter !working-tree-encoding\n"

#: Seconds to list a tree; BuildKit's takes a tenth of one.
_LISTING = 30.0


@dataclass(kw_only=True)
class GitSource(Lookup):
    """A mirror of one repository. Can be pickled; each process opens the repository itself."""

    kind: str = "git"

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
            "_pulls": self._pulls,
            "_ids": self._ids,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, say=lambda _: None)

    @property
    def note(self) -> str:
        """Always "": it never replaces another source."""
        return ""

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

    def inputs(self, revision: Revision, extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Return, by program, a digest of all files that it may be built from.

        It includes the Go version. *extra* are import paths that patches add. Two commits with the
        same digest have the same program; the reverse is not guaranteed.
        """
        with self._keys() as keys:
            return keys.of([revision.sha], extra)[revision.sha]

    def input_keys(self, commits: Iterable[str], extra: tuple[str, ...] = ()) -> dict[str, str]:
        """Return what tells the builds of many commits apart: equal ones have equal programs.

        A whole range takes little longer than one commit.
        """
        found = self.all_inputs(commits, extra)
        return {commit: " ".join(digests.values()) for commit, digests in found.items()}

    def all_inputs(
        self, commits: Iterable[str], extra: tuple[str, ...] = ()
    ) -> dict[str, dict[str, str]]:
        """Return `inputs` of many commits."""
        with self._keys() as keys:
            return keys.of(list(commits), extra)

    def packages(self, commits: Iterable[str], extra: tuple[str, ...] = ()) -> dict[str, bytes]:
        """Return what Go compiles for each of many commits: a code of two bytes for each package.

        Commits with a code in common have that package in common, but for one in a hundred.
        """
        with self._keys() as keys:
            return keys.packages(list(commits), extra)

    def affected(
        self, revision: Revision, files: Iterable[str], extra: tuple[str, ...] = ()
    ) -> frozenset[str]:
        """Return the programs that may be others if *files* are changed, added or removed.

        *extra* are import paths that the changes add.
        """
        changed = set(files)
        # A folder with a go.mod of its own is another module's.
        if changed & _EVERY_PROGRAM or "go.mod" in map(posixpath.basename, changed):
            return frozenset(PROGRAMS)
        folders = {posixpath.dirname(name) for name in changed}
        with self._keys() as keys:
            read = {p: keys.closure(revision.sha, p, extra) for p in PROGRAMS}
        return frozenset(p for p, closure in read.items() if closure.touched(folders))

    def content(self, revision: Revision, files: Iterable[str] | None) -> str:
        """Return a digest of a revision's *files*, which need not exist; None: of all files."""
        return self.contents([revision.sha], files)[revision.sha]

    def contents(self, commits: Sequence[str], files: Iterable[str] | None) -> dict[str, str]:
        """Return what `content` returns of many commits."""
        with self._keys() as keys:
            return keys.content(commits, files)

    @contextmanager
    def _keys(self) -> Iterator[InputKeys]:
        folder = paths.cache("inputs")
        try:
            with (
                TreeReader(self.mirror.path, self._repo) as trees,
                InputKeys(trees, folder) as keys,
            ):
                yield keys
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
        with self._keys() as keys:
            return keys.closure(sha, PROGRAMS[0]).directories

    def write(self, revision: Revision, files: Iterable[str], folder: Path) -> None:
        """Write those of *files* that a revision has to *folder*, which is empty."""
        with paths.scratch("index") as tmp:

            def run(*arguments: str) -> str:
                return git(
                    folder,
                    *arguments,
                    GIT_DIR=str(self.mirror.path),
                    GIT_WORK_TREE=str(folder),
                    GIT_INDEX_FILE=str(tmp / "index"),
                ).stdout

            run("read-tree", revision.sha)
            here = [name for name in run("ls-files", "-z", "--", *files).split("\0") if name]
            if here:
                run("checkout-index", "--quiet", "--force", "--", *here)

    @contextmanager
    def checkout(self, revision: Revision) -> Iterator[Path]:
        """Create a work tree of the mirror for the block and remove it afterwards.

        Raises `BadInput` for a tree that is too large, before anything is written.
        """
        self.prune()
        self._bounded(revision)
        self._as_stored()
        with paths.scratch("worktree") as tmp:
            tree = tmp / tmp.name  # git gives the entry in the mirror the same name
            with _no_tree_of(revision):
                self._add(tree, revision)
            try:
                yield tree
            finally:
                shutil.rmtree(tree, ignore_errors=True)
                self.prune()

    @contextmanager
    def build_tree(self, revision: Revision) -> Iterator[Path]:
        """Provide a tree that stays in the cache, with the revision's files, during the block.

        For `go build` and patches: no program of the source may run in it. Raises what `checkout`
        raises.
        """
        self._bounded(revision)
        self._as_stored()
        with contextlib.ExitStack() as held:
            with _no_tree_of(revision):
                tree = held.enter_context(kept_tree(self.mirror.path, revision.sha))
            yield tree or held.enter_context(self.checkout(revision))

    def _as_stored(self) -> None:
        """Have files written as they are stored, whatever attributes a commit gives them.

        That is what `inputs` describes. Otherwise a file that two commits share could be written
        with other line ends for one of them.
        """
        attributes = self.mirror.path / "info" / "attributes"
        if not attributes.is_file() or attributes.read_text() != _AS_STORED:
            attributes.parent.mkdir(exist_ok=True)
            draft = attributes.with_name(f"attributes.{os.getpid()}")
            draft.write_text(_AS_STORED)
            draft.replace(attributes)

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


@contextmanager
def _no_tree_of(revision: Revision) -> Iterator[None]:
    """Turn a failure of git in the block into `InfraFailed`."""
    try:
        yield
    except ProcessError as err:
        raise InfraFailed(
            f"cannot create a work tree of {revision.ref}: {err.message}",
            hint=f"{inv('doctor')}, or another revision",
        ) from err

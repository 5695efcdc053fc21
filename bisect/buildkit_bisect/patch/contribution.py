"""A contributor's work: a work tree, a branch or a pull request, and what it is based on.

The contributor's repository is never modified: git writes to a scratch directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import PatchNew
from buildkit_bisect.patch.forkpoint import before_merge, fork
from buildkit_bisect.source import GitSource, github
from buildkit_bisect.system import paths, process
from buildkit_bisect.system.gitcmd import QUICK, git
from buildkit_bisect.system.process import ProcessError

#: With more commits than this, the base of a change is probably wrong.
MOST_COMMITS = 20

#: Seconds for a git command in the user's work tree.
TIMEOUT = 300.0

#: Settings of the work tree's repository that are used; none names a program or a file.
_THEIRS = ("core.autocrlf", "core.eol", "core.fileMode", "core.ignoreCase")


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A contributor's work: a tree, and the upstream commit that it is based on."""

    base: Revision
    tree: str  # id of a commit or tree
    subject: str = ""
    body: str = ""
    author: str = ""
    commits: int = 0  # since base, without merges
    authors: int = 0  # of these commits
    origin: str = ""  # URL
    commit: str = ""  # id, if the tree is a commit's
    objects: str = ""  # directories with objects that the mirror does not have


def of_commits(source: GitSource, ref: str, *, base: str = "", origin: str = "") -> Work:
    """Return the work on a branch, commit or pull request since it forked from upstream, or *base*.

    A merged pull request forked where it did before the merge. Raises `BadInput` if *ref* or
    *base* does not exist, or there is no fork point.
    """
    tip = source.resolve(ref)
    if base:
        start = source.resolve(base)
    elif github.address(ref):
        start = before_merge(source, tip.sha) or fork(source, tip.sha)
    else:
        start = fork(source, tip.sha)
    work = Work(base=start, tree=tip.sha, origin=origin, commit=tip.sha)
    return described(source, work, tip.sha)


def described(source: GitSource, work: Work, tip: str) -> Work:
    """Return *work* with the message of its only commit, or the subjects of several commits."""
    out = git(
        source.mirror.path,
        *("log", "--no-merges", "--reverse", "-z", "--format=%an%x00%s%x00%b"),
        *(f"{work.base.sha}..{tip}", "--"),
    ).stdout
    fields = out.split("\0")  # the only character that no message contains
    rows = [fields[at : at + 3] for at in range(0, len(fields) - 2, 3)]
    if not rows:
        return work
    authors = dict.fromkeys(row[0] for row in rows)
    one = len(rows) == 1
    body = _body(rows[0][2]) if one else "\n".join(row[1] for row in rows)
    subject = rows[0][1] if one else f"{rows[0][1]} (and {len(rows) - 1} more)"
    return replace(
        work,
        subject=subject,
        body=body,
        author=", ".join(authors),
        commits=len(rows),
        authors=len(authors),
    )


def doubt(work: Work) -> str:
    """Return a warning if *work* probably contains other people's commits; else ""."""
    if work.commits <= MOST_COMMITS and work.authors <= 1:
        return ""
    by = f"{work.authors} authors" if work.authors > 1 else work.author
    return (
        f"the patch contains {work.commits} commits by {by} since {work.base.ref};"
        f" if some of them are not yours: {words(PatchNew, base='R')}"
    )


def _body(text: str) -> str:
    """Return a commit message without its trailers, which name people."""
    lines = [line for line in text.splitlines() if not re.match(r"[\w-]+-by: ", line)]
    return "\n".join(lines).strip()


def check_worktree(folder: Path) -> None:
    """Raise `BadInput` if *folder* is not in a git repository."""
    if not folder.is_dir():
        raise BadInput(
            f"{words(PatchNew, from_worktree=True)} {str(folder)!r}: no such directory",
            hint=_WORKTREE,
        )
    if not git(folder, "rev-parse", "--git-dir", check=False).ok:
        raise BadInput(
            f"{words(PatchNew, from_worktree=True)} {str(folder)!r} is not a git repository",
            hint=_WORKTREE,
        )


@contextmanager
def of_worktree(folder: Path, source: GitSource, *, base: str = "") -> Iterator[Work]:
    """Provide the work in a directory, committed or not, without files that git ignores.

    New objects exist during the block. Raises `BadInput` if *folder* is not a work tree.
    """
    check_worktree(folder)
    try:
        top = Path(_read(folder, "rev-parse", "--show-toplevel"))
        head = _read(folder, "rev-parse", "--verify", "HEAD^{commit}")
        theirs, exclude = (
            _read(folder, "rev-parse", "--path-format=absolute", "--git-path", name)
            for name in ("objects", "info/exclude")
        )
    except ProcessError as error:
        raise BadInput(
            f"{folder} is not a git work tree: {error.message}", hint=_WORKTREE
        ) from None
    if not folder.resolve().is_relative_to(top.resolve()):
        raise BadInput(f"{folder} is outside of its own work tree {top}", hint=_WORKTREE)
    tip = source.resolve(head)
    start = source.resolve(base) if base else fork(source, tip.sha)
    with paths.scratch("objects") as tmp:
        objects = tmp / "git" / "objects"
        try:
            tree = _tree(top, head, tmp / "git", theirs=theirs, exclude=Path(exclude))
        except ProcessError as error:  # an unreadable file, a nested repository
            raise BadInput(
                f"cannot read the work in {folder}: {error.message}", hint="git add --all there"
            ) from None
        work = Work(base=start, tree=tree, objects=f"{objects}{os.pathsep}{theirs}")
        yield described(source, work, tip.sha)


_WORKTREE = f"{words(PatchNew, from_worktree='DIR')} of a clone of BuildKit"


def _tree(top: Path, head: str, folder: Path, *, theirs: str, exclude: Path) -> str:
    """Write the files below *top* as a tree to *folder*, our own git directory; return its id.

    The repository's settings and hooks may name programs such as filters, monitors and editors: so
    only `_THEIRS` are read. Files that it or the user's own settings ignore are left out.
    """
    git(folder.parent, "init", "--quiet", "--bare", "--template=", str(folder))
    for name in (*_THEIRS, "core.excludesFile"):
        theirs_too = _read(top, "config", "--get", name, check=False) if name in _THEIRS else ""
        if value := theirs_too or _user_setting(name):
            git(folder, "config", name, value)
    if exclude.is_file():
        (folder / "info").mkdir(exist_ok=True)
        (folder / "info" / "exclude").write_bytes(exclude.read_bytes())

    def run(*arguments: str) -> str:
        return git(
            top,
            *("-c", "core.symlinks=true"),
            *arguments,
            timeout=TIMEOUT,
            GIT_DIR=str(folder),
            GIT_WORK_TREE=str(top),
            GIT_ALTERNATE_OBJECT_DIRECTORIES=theirs,
        ).stdout

    run("read-tree", head)
    entries = [e for e in run("ls-files", "-s", "-z").split("\0") if e.startswith("160000 ")]
    if entries:
        # Git would run in each of these submodules to see whether it has changed.
        names = [entry.partition("\t")[2] for entry in entries]
        run("update-index", "--force-remove", "--", *names)
    run("add", "--all")
    return run("write-tree").strip()


def _user_setting(name: str) -> str:
    """Return the setting *name* from the user's own configuration, not from a repository's."""
    done = process.run(
        ["git", "config", "--global", "--includes", "--get", name],
        timeout=QUICK,
        cwd=Path("/"),
        check=False,
    )
    return done.stdout.strip()


def _read(folder: Path, *arguments: str, check: bool = True) -> str:
    # These commands only read files and run no other program.
    return git(folder, *arguments, check=check).stdout.strip()


def pull_url(repo: str, number: int) -> str:
    """Return the URL of a pull request of *repo* if it is on GitHub; else of upstream."""
    return f"https://github.com/{github.owner_and_name(repo) or github.UPSTREAM}/pull/{number}"

"""Finds the commits of a branch that is a series: each of them is a patch."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Building
from buildkit_bisect.patch.forkpoint import fork
from buildkit_bisect.source import GitSource, Source
from buildkit_bisect.system import paths
from buildkit_bisect.system.gitcmd import git, lines

#: Before a branch in a list of patches: ``branch:my-fix``, ``branch:DIR``, ``branch:DIR:my-fix``.
PREFIX = "branch:"

#: The tag of the commit that an exported branch is based on: ``base/BRANCH``.
BASE = "base"

#: Most commits of a series.
MOST = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A branch, and its commits since its base, oldest first."""

    source: GitSource
    name: str
    base: Revision
    commits: tuple[str, ...]


def find(value: str, opened: Callable[[], Source], say: Callable[[str], None]) -> Series:
    """Return the series on the branch *value* of *opened*; of its own repository, ``DIR:BRANCH``.

    ``DIR`` alone is the branch that is checked out there. Raises `BadInput` if there is no such
    branch, and for one with merges, without commits or with more than `MOST`.
    """
    folder, name = _located(value)
    source = GitSource.open(str(folder), say=say) if folder else opened()
    if not isinstance(source, GitSource):
        raise BadInput(
            f"the branch {value} as patches needs a git source",
            hint=f"{words(Building, patches=f'{PREFIX}DIR:BRANCH')} of a clone, or"
            f" {words(Building, repo='PATH_OR_URL')}",
        )
    tip = source.resolve(name).sha
    base = _base(source, name, tip)
    out = git(source.mirror.path, "rev-list", "--reverse", "--parents", f"{base.sha}..{tip}").stdout
    rows = [line.split(" ") for line in lines(out)]
    branch, tag = shlex.quote(name), shlex.quote(f"{BASE}/{name}")
    commits = "1 commit" if len(rows) == 1 else f"{len(rows) or 'no'} commits"
    if not 0 < len(rows) <= MOST:
        raise BadInput(
            f"{name} has {commits} since {base.ref}; a series has 1 to {MOST}",
            hint=f"git tag {tag} FIRST_COMMIT~1",
        )
    merges = [commit for commit, *parents in rows if len(parents) > 1]
    if merges:
        raise BadInput(
            f"{name} contains the merge {merges[0][:12]}; a series has none",
            hint=f"git rebase {base.sha[:12]} {branch}",
        )
    say(f"{name} has {commits} since {base.ref}")
    return Series(source=source, name=name, base=base, commits=tuple(row[0] for row in rows))


def _located(value: str) -> tuple[Path | None, str]:
    """Return the repository and the branch that *value* names; None for the repository in use."""
    whole = paths.expanded(value)
    if value and _is_repository(whole):
        done = git(whole, "symbolic-ref", "--quiet", "--short", "HEAD", check=False)
        if not done.ok:
            raise BadInput(
                f"no branch is checked out in {value}",
                hint=words(Building, patches=f"{PREFIX}{value}:BRANCH"),
            )
        return whole, done.stdout.strip()
    folder, _, name = value.rpartition(":")
    if not name:
        raise BadInput("no branch is named", hint=words(Building, patches=f"{PREFIX}BRANCH"))
    if folder:
        return paths.expanded(folder), name
    return None, name


def _is_repository(path: Path) -> bool:
    """Whether *path* is a work tree or a bare repository, not a folder in one."""
    try:
        return (path / ".git").exists() or (path / "HEAD").is_file()
    except OSError:  # a name too long
        return False


def _base(source: GitSource, name: str, tip: str) -> Revision:
    """Return the commit that the tag ``base/NAME`` names, or a nearer one where *tip* forked.

    After a rebase the tag still names the old one.
    """
    tag = f"{BASE}/{name}"
    tagged = source.mirror.commit(f"refs/tags/{tag}")
    found = []
    if tagged and source.is_ancestor(tagged, tip):
        found.append(source.revision(tagged, ref=tag))
    try:
        found.append(fork(source, tip))
    except BadInput as error:
        if not found:
            quoted = shlex.quote(tag)
            raise BadInput(
                f"{name} has no base: {error.message}", hint=f"git tag {quoted} COMMIT"
            ) from None
    return min(found, key=lambda base: _count(source, base.sha, tip))


def _count(source: GitSource, base: str, tip: str) -> int:
    return int(git(source.mirror.path, "rev-list", "--count", f"{base}..{tip}").stdout)

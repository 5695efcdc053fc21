"""``test --changed``: the test files that changes since the main branch can affect, and why.

A test file is chosen if a chain of imports and of files that are read, each by its name or with
its folder, leads from it to a changed file. In doubt it is chosen: a deleted module counts as its
whole folder, and ``pyproject.toml`` affects every test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.cli import uses
from buildkit_bisect.system import gitcmd

#: Names of main branches.
_MAIN = ("main", "master", "origin/HEAD", "origin/main", "origin/master")

#: What every test depends on.
_EVERYTHING = ("pyproject.toml", "requirements/ci.txt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Since:
    """The changes since a commit."""

    base: str  # a commit, shortened
    branch: str  # the main branch whose merge base *base* is; empty if there is none
    paths: tuple[str, ...]  # in the checkout, deleted files too


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A test file, and the shortest chain from it to a changed file; paths in the checkout."""

    path: str
    chain: tuple[str, ...]

    def __str__(self) -> str:
        """Return ``tests/unit/render/test_page.py <- render.html <- render.svg``."""
        return " <- ".join((self.path, *map(uses.short, self.chain[1:])))


def since_main(project: Path) -> Since:
    """Return the differences of *project* from its main branch, committed or not.

    Of several main branches the nearest counts, except the one that is checked out: on main, the
    changes are those that origin does not have. Raises `ProcessError` if *project* is not in git.
    """
    here = _git(project, "branch", "--show-current").strip()
    bases = []
    for name in _MAIN:
        found = gitcmd.git(project, "merge-base", "HEAD", name, check=False)
        if found.ok and name != here:
            base = found.stdout.strip()
            bases.append((int(_git(project, "rev-list", "--count", f"{base}..HEAD")), base, name))
    _, base, branch = min(bases, default=(0, "HEAD", ""), key=lambda found: found[0])
    changed = _git(project, "diff", "--name-only", "--no-renames", "-z", base)
    new = _git(project, "ls-files", "--others", "--exclude-standard", "-z")
    return Since(
        base=_git(project, "rev-parse", "--short", base).strip(),
        branch=branch,
        paths=tuple(sorted({name for name in f"{changed}\0{new}".split("\0") if name})),
    )


def choose(project: Path, changed: Iterable[str]) -> list[Choice]:
    """Return the test files of *project* that *changed* paths can affect, sorted by path."""
    changed = sorted(changed)
    used = uses.build(project, changed)
    towards = _reached(used, changed)
    return [
        Choice(path=path, chain=_chain(path, towards))
        for path in sorted(towards)
        if uses.is_test(path) and (project / path).is_file()
    ]


def _reached(used: Mapping[str, Iterable[str]], changed: Iterable[str]) -> dict[str, str]:
    """Return each path that a change affects, with the next one on the shortest chain to it."""
    users = defaultdict(list)
    for user in sorted(used):
        for path in used[user]:
            users[path].append(user)
    towards = dict.fromkeys(changed, "")
    towards |= {p: path for path in changed for p in _also_affected(path, used) if p not in towards}
    queue = list(towards)
    for path in queue:
        for user in users[path]:
            if user not in towards:
                towards[user] = path
                queue.append(user)
    return towards


def _also_affected(changed: str, used: Iterable[str]) -> list[str]:
    """Return the files that *changed* affects without being imported by them."""
    if changed in _EVERYTHING:
        return [path for path in used if path.startswith("tests/")]
    folder, _, name = changed.rpartition("/")
    # Importing any module of a package runs its __init__. The graph has no users of a deleted
    # module, and no readers of a data file.
    if changed.startswith(uses.SOURCE) and (name == "__init__.py" or changed not in used):
        return [path for path in used if path.startswith(f"{folder}/")]
    return []


def _chain(path: str, towards: Mapping[str, str]) -> tuple[str, ...]:
    chain = [path]
    while following := towards[chain[-1]]:
        chain.append(following)
    return tuple(chain)


def _git(project: Path, *argv: str) -> str:
    return gitcmd.git(project, *argv).whole().stdout

"""Reverts a found commit on a tip, and finds its cherry-picks and the releases with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.source import GitSource
from buildkit_bisect.system.gitcmd import git


def revert(source: GitSource, commit: str, tip: Revision, folder: Path) -> Patch | str:
    """Return a patch that reverts *commit* on *tip*, stored below *folder*; or why it cannot.

    ``git revert`` runs in a work tree of the mirror, so it may need a three-way merge, but not
    have conflicts.
    """
    merge = len(source.parents([commit], [f"{commit}^@"]).get(commit, ())) > 1
    with source.checkout(tip) as tree:
        done = git(
            tree,
            *(*_IDENTITY, "revert", "--no-commit"),
            *(["-m", "1"] if merge else []),
            commit,
            check=False,
        )
        if not done.ok:
            listed = git(tree, "diff", "--name-only", "--diff-filter=U").stdout.split()
            where = f" in {', '.join(listed[:5])}" if listed else f": {done.tail(1)}"
            return f"the revert conflicts{where}"
        diff = git(tree, "diff", "--cached", "--no-ext-diff", "--no-color", "HEAD").stdout
    if not diff.strip():
        return "the revert changes nothing: the commit is already reverted"
    name = f"revert-{commit[:12]}"
    home = folder / "patches" / name
    home.mkdir(parents=True)
    (home / "revert.patch").write_text(diff)
    title = json.dumps(f"revert of {commit[:12]} on {tip.ref}")  # a JSON string is a TOML string
    (home / "patch.toml").write_text(f"title = {title}\n")
    try:
        return patches.load(str(home))
    except BadInput as error:
        return f"cannot use the revert as a patch: {error.message}"


def elsewhere(source: GitSource, commit: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the cherry-picks of *commit* on release branches, and the releases that contain it."""
    inside = source.contains(commit)
    others = [b for b in source.release_branches().values() if b not in inside.branches]
    return source.picks(commit, others), _final(inside.tags)


def releases_with(source: GitSource, commit: str) -> tuple[str, ...]:
    """Return the releases that contain *commit*, oldest first."""
    return _final(source.contains(commit).tags)


def _final(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(tag for tag in tags if "-" not in tag)


#: git revert needs an identity even with --no-commit.
_IDENTITY = ("-c", "user.name=buildkit-bisect", "-c", "user.email=buildkit-bisect@localhost")

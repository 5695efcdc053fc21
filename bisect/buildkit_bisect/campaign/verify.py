"""Reverts a found commit on a tip, and finds its cherry-picks and the releases with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import tomltext
from buildkit_bisect.system.announce import announce
from buildkit_bisect.system.gitcmd import git


@announce("reverting the commit")
def revert(source: GitSource, commit: str, tip: Revision, folder: Path) -> Patch | str:
    """Return a patch that reverts *commit* on *tip*, stored below *folder*; or why it cannot.

    ``git revert`` runs in a work tree of the mirror, so it may need a three-way merge, but have
    conflicts only in files that no program is built from: these stay as they are, and the patch's
    title names them.
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
        listed = git(tree, "diff", "--name-only", "--diff-filter=U", "-z").stdout.split("\0")[:-1]
        built = [name for name in listed if not name.endswith(_NOT_BUILT)]
        if built or not (done.ok or listed):
            where = f" in {', '.join(built[:5])}" if built else f": {done.tail(1)}"
            return f"the revert conflicts{where}"
        if listed:
            git(tree, "reset", "--quiet", "HEAD", "--", *listed)
        diff = git(tree, "diff", "--cached", "--no-ext-diff", "--no-color", "HEAD").stdout
    if not diff.strip():
        return "the revert changes nothing: the commit is already reverted"
    name = f"revert-{commit[:12]}"
    home = folder / "patches" / name
    home.mkdir(parents=True)
    (home / "revert.patch").write_text(diff)
    title = f"revert of {commit[:12]} on {tip.ref}"
    if listed:
        title += f" without the conflicts in {', '.join(listed[:5])}"
    (home / "patch.toml").write_text(f"title = {tomltext.string(title)}\n")
    try:
        return patches.load(str(home))
    except BadInput as error:
        return f"cannot use the revert as a patch: {error.message}"


@announce("looking for the commit in releases and release branches")
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


#: Ends of the names of files that are in no program.
_NOT_BUILT = ("_test.go", ".md")

#: git revert needs an identity even with --no-commit.
_IDENTITY = ("-c", "user.name=buildkit-bisect", "-c", "user.email=buildkit-bisect@localhost")

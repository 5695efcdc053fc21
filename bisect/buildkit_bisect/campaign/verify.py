"""The last proof of a commit found: the tip without it. And where else it was picked."""

from __future__ import annotations

import json
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch import patches
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.source import GitSource
from buildkit_bisect.system.gitcmd import git


def revert(source: GitSource, commit: str, tip: Revision, folder: Path) -> Patch | str:
    """A patch that takes *commit* out of *tip*, kept below *folder*; or why there is none.

    Made by ``git revert`` in a work tree of the mirror, so a revert that needs a three-way
    merge counts; one with conflicts does not.
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
        return "the revert changes nothing: it was undone already"
    name = f"revert-{commit[:12]}"
    home = folder / "patches" / name
    home.mkdir(parents=True)
    (home / "revert.patch").write_text(diff)
    title = json.dumps(f"revert of {commit[:12]} on {tip.ref}")  # a JSON text is a TOML one
    (home / "patch.toml").write_text(f"title = {title}\n")
    try:
        return patches.load(str(home))
    except BadInput as error:
        return f"the revert cannot be used as a patch: {error.message}"


def elsewhere(source: GitSource, commit: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Release branches that have *commit* as a cherry-pick, and the releases that contain it."""
    inside = source.contains(commit)
    others = [b for b in source.release_branches().values() if b not in inside.branches]
    return source.picks(commit, others), tuple(t for t in inside.tags if "-" not in t)


#: Reverting writes no commit, but git wants to know who would.
_IDENTITY = ("-c", "user.name=buildkit-bisect", "-c", "user.email=buildkit-bisect@localhost")

"""Lists the tags and branches that are known without the network."""

from __future__ import annotations

import re

from buildkit_bisect.model import DEFAULT_REPO
from buildkit_bisect.source.mirror import mirror_of
from buildkit_bisect.system import gitcmd, paths
from buildkit_bisect.system.process import ProcessError

#: Seconds; a person waits.
_PATIENCE = 2.0

_RELEASE = re.compile(r"v\d+\.\d+\.\d+")


def newest(repo: str = "") -> list[str]:
    """Return branches and release tags, newest first, of *repo*: a path, or a URL with a mirror.

    The default is upstream, or without a mirror of it the repository used last. Empty if there is
    no mirror yet, or git cannot read it.
    """
    place = paths.expanded(repo)
    if not repo or not place.is_dir():
        place = mirror_of(repo or DEFAULT_REPO)
    if not repo and not place.is_dir():
        place = max(place.parent.glob("*.git"), key=lambda p: p.stat().st_mtime, default=place)
    if not place.is_dir():
        return []
    shown = ("for-each-ref", "--sort=-creatordate", "--format=%(refname:short)")
    try:
        done = gitcmd.git(place, *shown, "refs/heads", "refs/tags", timeout=_PATIENCE)
    except ProcessError:
        return []
    found = gitcmd.lines(done.stdout)
    tags = [name for name in found if _RELEASE.fullmatch(name)]
    return [*(name for name in found if "/" in name or not name.startswith("v")), *tags]

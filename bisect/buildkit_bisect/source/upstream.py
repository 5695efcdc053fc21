"""Which branches of a repository are upstream's: a contributor's clone has a fork's beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from buildkit_bisect.source.mirror import Mirror
from buildkit_bisect.system.gitcmd import git, lines

#: What people call the remote of the repository that they send pull requests to.
UPSTREAM = "upstream"

_URL = re.compile(
    r"remote\.(.+)\.url (?:(?:https|ssh|git)://(?:[^/@]*@)?|[^/@:]*@)(?:www\.)?github\.com(?::\d+)?"
    r"[:/]/?moby/buildkit(?:\.git)?/?",
    re.IGNORECASE,
)
_RELEASE_BRANCH = re.compile(r"refs/(?:heads|remotes/(.+))/(v(\d+)\.(\d+))")


def remotes(mirror: Mirror) -> tuple[str, ...]:
    """Remotes that are upstream, the likeliest first: by their URL on GitHub, then by name.

    Of several with that URL ``upstream`` is the first, then ``origin``.
    """
    told = ""
    if mirror.local:
        # The file itself: what it would include is no business of ours.
        told = git(
            mirror.path,
            *("config", "--file", f"{mirror.repo}/config"),
            *("--get-regexp", r"^remote\..*\.url$"),
            check=False,
        ).stdout
    named = {found[1] for line in lines(told) if (found := _URL.fullmatch(line))}
    ordered = sorted(named, key=lambda name: (name != UPSTREAM, name != "origin", name))
    return tuple(dict.fromkeys([*ordered, UPSTREAM]))


def release_branches(refs: Iterable[str], known: Sequence[str]) -> dict[tuple[int, int], str]:
    """Minor version -> the full name of its release branch among *refs*, oldest version first.

    Of several with one name that of the first of *known*, which are remotes; then ``origin``'s,
    the repository's own, and any other remote's.
    """
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys([*known, "origin", ""]))}
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for ref in refs:
        named = _RELEASE_BRANCH.fullmatch(ref)
        remote = (named[1] or "") if named else ""
        # Else it is a branch like topic/v0.32, unless a remote is called so.
        if named and (remote in ranks or "/" not in remote):
            minor = int(named[3]), int(named[4])
            ranked = (ranks.get(remote, len(ranks)), ref)
            found[minor] = min(found.get(minor, ranked), ranked)
    return {minor: found[minor][1] for minor in sorted(found)}

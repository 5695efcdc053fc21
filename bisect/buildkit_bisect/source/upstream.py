"""Finds upstream's branches in a repository; a contributor's clone also has a fork's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from buildkit_bisect.source.mirror import Mirror
from buildkit_bisect.system.gitcmd import git, lines

#: The usual name of the remote that receives pull requests.
UPSTREAM = "upstream"

_URL = re.compile(
    r"remote\.(.+)\.url (?:(?:https|ssh|git)://(?:[^/@]*@)?|[^/@:]*@)(?:www\.)?github\.com(?::\d+)?"
    r"[:/]/?moby/buildkit(?:\.git)?/?",
    re.IGNORECASE,
)
_RELEASE_BRANCH = re.compile(r"refs/(?:heads|remotes/(.+))/(v(\d+)\.(\d+))")


def remotes(mirror: Mirror) -> tuple[str, ...]:
    """Return the remotes that are upstream, most likely first: by GitHub URL, then by name.

    Of several remotes with that URL ``upstream`` comes first, then ``origin``.
    """
    urls = ""
    if mirror.local:
        # Only this file: git must not follow its includes.
        urls = git(
            mirror.path,
            *("config", "--file", f"{mirror.repo}/config"),
            *("--get-regexp", r"^remote\..*\.url$"),
            check=False,
        ).stdout
    named = {found[1] for line in lines(urls) if (found := _URL.fullmatch(line))}
    ordered = sorted(named, key=lambda name: (name != UPSTREAM, name != "origin", name))
    return tuple(dict.fromkeys([*ordered, UPSTREAM]))


def release_branches(refs: Iterable[str], known: Sequence[str]) -> dict[tuple[int, int], str]:
    """Return minor version -> the full name of its release branch in *refs*, oldest first.

    Of several branches with the same name, the order of preference is: the remotes *known*,
    ``origin``, the repository itself, any other remote.
    """
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys([*known, "origin", ""]))}
    found: dict[tuple[int, int], tuple[int, str]] = {}
    for ref in refs:
        named = _RELEASE_BRANCH.fullmatch(ref)
        remote = (named[1] or "") if named else ""
        # A slash means a branch such as topic/v0.32, unless it is part of a known remote's name.
        if named and (remote in ranks or "/" not in remote):
            minor = int(named[3]), int(named[4])
            ranked = (ranks.get(remote, len(ranks)), ref)
            found[minor] = min(found.get(minor, ranked), ranked)
    return {minor: found[minor][1] for minor in sorted(found)}

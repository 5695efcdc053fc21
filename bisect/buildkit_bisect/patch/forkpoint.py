"""Finds where work forked from upstream: from the nearest main or release branch of any remote."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import PatchNew
from buildkit_bisect.patch.backports import main_line
from buildkit_bisect.source import GitSource, upstream
from buildkit_bisect.source.commits import branch_name
from buildkit_bisect.system.gitcmd import git, lines

_LINE = re.compile(r"refs/(?:heads|remotes/([^/]+))/(?:(master|main)|v\d+\.\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A branch that work may have started from."""

    name: str  # short: origin/master
    sha: str
    remote: str = ""  # "": a branch of the repository itself
    main: bool = False


def fork(source: GitSource, sha: str) -> Revision:
    """Return the commit where *sha* forked from the nearest of upstream's branches.

    The nearest branch is the one with the fewest commits from it to *sha*; on a tie upstream's own
    remote is preferred, then a main branch. Raises `BadInput` if *sha* has no merge base with any.
    """
    main = source.default_branch()
    source.resolve(main_line(source))  # fetches if a branch may have moved
    own = upstream.remotes(source.mirror)
    ranked = sorted(
        candidates(_branches(source), main),
        key=lambda line: (_beyond(source, sha, line), line.remote not in own, not line.main),
    )
    for line in ranked:
        base = source.merge_base(line.sha, sha)
        if base is not None:
            return source.revision(base, ref=f"{line.name} at {base[:12]}")
    raise BadInput(
        f"{sha[:12]} has no merge base with upstream's branches", hint=words(PatchNew, base="R")
    )


def before_merge(source: GitSource, sha: str) -> Revision | None:
    """Return where *sha* had forked from the main branch before it was merged; None if it is not.

    The first commit of the main line that contains it is its merge.
    """
    main = source.default_branch()
    source.resolve(main_line(source))  # fetches if the branch may have moved
    newer = source.first_parent_line(sha, main)
    if not newer or not source.is_ancestor(sha, newer[-1]):
        return None
    at = bisect_left(newer, True, key=lambda commit: source.is_ancestor(sha, commit))
    base = source.merge_base(f"{newer[at]}^1", sha)
    name = f"{main_line(source)} at {base[:12]}" if base else ""
    return source.revision(base, ref=name) if base and base != sha else None


def candidates(branches: Mapping[str, str], main: str = "") -> list[Line]:
    """Return the main and release branches in *branches*, which maps full names to commits.

    *main* is another main branch, if it belongs to a remote. The repository's own branches count
    only if no remote has a main branch: otherwise people work on them.
    """
    found = []
    for ref, sha in branches.items():
        named = _LINE.fullmatch(ref)
        if named:
            remote, main_named = named[1] or "", bool(named[2])
            found.append(Line(name=branch_name(ref), sha=sha, remote=remote, main=main_named))
        elif ref == main and ref.startswith("refs/remotes/"):
            found.append(Line(name=branch_name(ref), sha=sha, remote=ref.split("/")[2], main=True))
    remotes = [line for line in found if line.remote]
    return remotes if any(line.main for line in remotes) else found


def _branches(source: GitSource) -> dict[str, str]:
    out = git(
        source.mirror.path,
        *("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)"),
        *("refs/heads", "refs/remotes"),
    ).stdout
    rows = [line.split(" ", 2) for line in lines(out)]
    return {ref: sha for kind, sha, ref in rows if kind == "commit"}


def _beyond(source: GitSource, sha: str, line: Line) -> int:
    """Return the number of commits in *sha* that are not in *line*."""
    out = git(source.mirror.path, "rev-list", "--count", sha, f"^{line.sha}", "--").stdout
    return int(out)

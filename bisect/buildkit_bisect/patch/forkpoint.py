"""Where somebody's work left upstream: the nearest main line or release branch of any remote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Revision
from buildkit_bisect.patch.backports import main_line
from buildkit_bisect.source import GitSource, upstream
from buildkit_bisect.source.commits import branch_name
from buildkit_bisect.system.gitcmd import git, lines

_LINE = re.compile(r"refs/(?:heads|remotes/([^/]+))/(?:(master|main)|v\d+\.\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A branch that work may have been made on."""

    name: str  # as people write it: origin/master
    sha: str
    remote: str = ""  # empty: a branch of the repository itself
    main: bool = False


def fork(source: GitSource, sha: str) -> Revision:
    """Where the history of *sha* left the nearest of upstream's lines.

    Nearest is the one with the fewest commits from there to *sha*; of equals one of upstream's own
    remote, then a main line. Raises `BadInput` where *sha* shares no history with any of them.
    """
    main = source.default_branch()
    source.resolve(main_line(source))  # this fetches, where a branch may have moved
    own = upstream.remotes(source.mirror)
    ranked = sorted(
        candidates(_branches(source), main),
        key=lambda line: (_beyond(source, sha, line), line.remote not in own, not line.main),
    )
    for line in ranked:
        base = source.merge_base(line.sha, sha)
        if base is not None:
            return source.revision(base, ref=f"{line.name} at {base[:12]}")
    raise BadInput(f"{sha[:12]} shares no history with upstream's branches", hint="--base R")


def candidates(branches: Mapping[str, str], main: str = "") -> list[Line]:
    """Main lines and release branches among *branches*, full names with their commits.

    *main* is one more main line, where it is a remote's. Branches of the repository itself count
    only where no remote has a main line: else they are where people work.
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
    """How many commits *sha* has that the line has not."""
    out = git(source.mirror.path, "rev-list", "--count", sha, f"^{line.sha}", "--").stdout
    return int(out)

"""The changes of outcome along a history: one for each commit, in the order of history."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from buildkit_bisect.render import table
from buildkit_bisect.result import BisectInfo, ChangeInfo, Result, RevisionInfo
from buildkit_bisect.result.labels import cell_label

_PULL = re.compile(r"Merge pull request #(\d+) from ([\w.-]+)/|\(#(\d+)\)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A commit at which the outcome of some cells changes."""

    sha: str  # "" if it is one of several *candidates*
    candidates: tuple[str, ...]
    merge: str  # the merge on the first-parent line that brought it, "" if it is on that line
    last_before: str
    confidence: float
    date: str  # "2025-09-11", "" if unknown
    subject: str
    pull: str  # number of the pull request, "" if unknown
    author: str
    release: str  # the first one that has it, "" if none or unknown
    reason: str
    #: (outcome before, outcome after) -> the cells that change so
    ways: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def changes(result: Result) -> list[Change]:
    """Return the changes of *result*, oldest first; [] if it has none."""
    info = result.bisect
    found: dict[tuple[object, ...], list[ChangeInfo]] = {}
    for change in info.changes if info else ():
        where = change.sha or (change.merge, tuple(c.sha for c in change.candidates))
        found.setdefault((where,), []).append(change)
    return [_change(result, parts) for parts in found.values()]


def _change(result: Result, parts: list[ChangeInfo]) -> Change:
    revisions = {r.sha: r for r in result.revisions}
    first = parts[0]
    own = revisions.get(first.sha) or RevisionInfo(ref="", sha="")
    merge = revisions.get(first.merge)
    ways: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        ways.setdefault((part.before, part.after), []).append(_cell(result, part))
    return Change(
        sha=first.sha,
        candidates=tuple(c.sha for c in first.candidates),
        merge=first.merge,
        last_before=first.last_before,
        confidence=min((p.confidence for p in parts if p.confidence), default=0.0),
        date=own.date[:10],
        subject=own.subject,
        pull=pull_of(merge.subject if merge else "") or pull_of(own.subject),
        author=own.author,
        release=first.release,
        reason="; ".join(dict.fromkeys(p.reason for p in parts if p.reason)),
        ways={way: tuple(cells) for way, cells in ways.items()},
    )


def _cell(result: Result, change: ChangeInfo) -> str:
    scenario = next((s for s in result.scenarios if s.name == change.scenario), None)
    if scenario is None:
        return " ".join(f"{name} {value}" for name, value in sorted(change.axes.items()))
    label = cell_label(scenario, change.axes) or scenario.name
    return label if len(result.scenarios) == 1 else f"{scenario.name}: {label}"


def pull_of(subject: str) -> str:
    """Return the number of the pull request in a commit's subject, or ""."""
    match = _PULL.search(subject)
    return (match[1] or match[3]) if match else ""


def pull_url(result: Result, number: str) -> str:
    """Return the URL of a pull request of the source's repository."""
    return f"{table.web(result)}/pull/{number}"


def pull_of_commit(result: Result, info: BisectInfo, sha: str) -> str:
    """Return the pull request that brought the commit that a search found, or ""."""
    subjects = {r.sha: r.subject for r in result.revisions}
    merged = subjects.get(info.merge, "") if info.merge else ""
    return pull_of(merged) or pull_of(subjects.get(sha, ""))

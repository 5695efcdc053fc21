"""The hunks of a change, each of which can be chosen without the others. Pure.

A hunk is a run of changed lines without any context. Where a run replaces lines, new ones that have
no counterpart among the old ones are a hunk of their own. Chosen hunks become a unified diff whose
line numbers are exact for the tree that the change was taken from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

#: Lines of context in a composed diff: the fewest with which it does not also apply in reverse.
_CONTEXTS = (3, 6, 12, 25, 50)

#: The header of a hunk that git writes with ``-U0``.
_HEADER = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)

#: What a line starts with that a reader looks for: as git, and a declaration of Go before others.
_NAMED = re.compile(r"(?:func|type|var|const|import|package)\b")
_DECLARED = re.compile(r"(?:func|type|var|const)\b")

#: Least share of two lines that is the same if one replaces the other.
_ALIKE = 0.6

#: Most pairs of lines that are compared in one run of changes; a longer run is one hunk.
_MOST_PAIRS = 400

#: Most characters of a hunk's heading.
_LONGEST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChange:
    """One file before and after a change; None if there is no such file."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunk:
    """Lines that replace others in a file."""

    path: str
    at: int  # lines of the file before them
    removed: tuple[str, ...]  # with their line ends
    added: tuple[str, ...]
    heading: str = ""  # the function that they are in: the start of its first line
    creates: bool = False  # the file did not exist
    deletes: bool = False  # the file does not exist afterwards

    @property
    def lines(self) -> str:
        """Which lines change: ``12-14 (3 removed, 1 added)``, ``after 12 (5 added)``."""
        counts = [
            f"{len(lines)} {how}"
            for lines, how in ((self.removed, "removed"), (self.added, "added"))
            if lines
        ]
        if self.creates or self.deletes:
            where = "new file" if self.creates else "whole file"
        elif not counts:
            where = "whole file"
        elif not self.removed:
            where = f"after {self.at}"
        else:
            last = self.at + len(self.removed)
            where = f"{self.at + 1}" if len(self.removed) == 1 else f"{self.at + 1}-{last}"
        return f"{where} ({', '.join(counts)})" if counts else where


def hunks(change: FileChange, diff: str) -> tuple[Hunk, ...]:
    """Return the hunks of *change*; *diff* is what ``git diff -U0`` prints for it."""
    before, after = _split(change.before), _split(change.after)
    if change.before is None or change.after is None:
        return (
            Hunk(
                path=change.path,
                at=0,
                removed=before,
                added=after,
                creates=change.before is None,
                deletes=change.after is None,
            ),
        )
    found = []
    for header in _HEADER.finditer(diff):
        start, gone, place, new = (int(1 if n is None else n) for n in header.groups())
        at = start - 1 if gone else start
        first = place - 1 if new else place
        removed, added = before[at : at + gone], after[first : first + new]
        for old, made in _segments(removed, added):
            here = at + old.start
            own = added[made.start : made.stop] or removed[old.start : old.stop]
            found.append(
                Hunk(
                    path=change.path,
                    at=here,
                    removed=removed[old.start : old.stop],
                    added=added[made.start : made.stop],
                    heading=_heading(before[:here], own),
                )
            )
    return tuple(found)


def _segments(removed: Sequence[str], added: Sequence[str]) -> list[tuple[range, range]]:
    """Return which removed lines which added ones replace; either may be none.

    Lines that are alike are counterparts: of all ways to pair lines in order, in the most alike
    one. Between these, what has no counterpart on the other side stays together.
    """
    whole = [(range(len(removed)), range(len(added)))]
    if not removed or not added or len(removed) * len(added) > _MOST_PAIRS:
        return whole
    pairs = _pairs(removed, added)
    if not pairs:
        return whole
    found: list[tuple[range, range]] = []
    a = b = 0
    for i, j in [*pairs, (len(removed), len(added))]:
        if i > a or j > b:
            found.append((range(a, i), range(b, j)))
        if i < len(removed):
            joins = bool(found) and (found[-1][0].stop, found[-1][1].stop) == (i, j)
            paired = joins and bool(found[-1][0]) and bool(found[-1][1])
            if paired:
                found[-1] = (range(found[-1][0].start, i + 1), range(found[-1][1].start, j + 1))
            else:
                found.append((range(i, i + 1), range(j, j + 1)))
        a, b = i + 1, j + 1
    return found


def _pairs(removed: Sequence[str], added: Sequence[str]) -> list[tuple[int, int]]:
    """Return the counterparts among the lines, in order."""
    rows, columns = len(removed), len(added)
    alike = [[_alike(one, other) for other in added] for one in removed]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            paired = alike[i][j] + best[i + 1][j + 1] if alike[i][j] else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    found, i, j = [], 0, 0
    while i < rows and j < columns:
        if alike[i][j] and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


def _alike(one: str, other: str) -> float:
    """Return how much of two lines is the same, 0 if one does not replace the other."""
    ratio = SequenceMatcher(None, one.strip(), other.strip(), autojunk=False).ratio()
    return ratio if ratio > _ALIKE else 0.0


def composed(files: Iterable[FileChange], chosen: Collection[Hunk]) -> str:
    """Return a unified diff of the *chosen* hunks, for the tree with *files* as they were before.

    "" if none is chosen.
    """
    parts = []
    for change in files:
        own = sorted((h for h in chosen if h.path == change.path), key=_place)
        if own:
            parts.append((change, own))
    every = [context for context in _CONTEXTS if not _reversible(parts, context)]
    context = every[0] if every else _CONTEXTS[-1]
    return "".join(_file(change, own, context) for change, own in parts)


def beside(change: FileChange, chosen: Collection[Hunk], one: Hunk) -> tuple[FileChange, Hunk]:
    """Return the file with the *chosen* hunks, and where *one* of the others is in it."""
    lines = list(_split(change.before))
    for hunk in sorted(chosen, key=_place, reverse=True):
        lines[hunk.at : hunk.at + len(hunk.removed)] = hunk.added
    moved = sum(len(h.added) - len(h.removed) for h in chosen if _place(h) < _place(one))
    before = change.before if change.before is None else "".join(lines)
    return replace(change, before=before), replace(one, at=one.at + moved)


def _place(hunk: Hunk) -> tuple[int, bool]:
    """Return the order of hunks in a file: added lines come before those that are replaced."""
    return hunk.at, bool(hunk.removed)


def is_test(path: str) -> bool:
    """Whether a file is only compiled for ``go test``, so in no program."""
    return path.endswith("_test.go")


def is_text(path: str) -> bool:
    """Whether a file is documentation, so in no program."""
    return path.endswith(".md")


def _split(text: str | None) -> tuple[str, ...]:
    """Return the lines of *text* with their ends; only a line feed ends one, as for git."""
    if not text:
        return ()
    lines = text.split("\n")
    return tuple(f"{line}\n" for line in lines[:-1]) + ((lines[-1],) if lines[-1] else ())


def _heading(above: Sequence[str], own: Sequence[str]) -> str:
    """Return the first line of the declaration that a hunk makes or is in; "" if there is none."""
    found = next((line for line in own if _DECLARED.match(line)), "")
    found = found or next((line for line in reversed(above) if _NAMED.match(line)), "")
    return found.strip().removesuffix("{").removesuffix("(").strip()[:_LONGEST]


def _reversible(parts: Iterable[tuple[FileChange, Sequence[Hunk]]], context: int) -> bool:
    """Whether every place of a change has its new lines elsewhere in the file already."""
    for change, own in parts:
        lines = _split(change.before)
        for group in _groups(own, context):
            start, end = _around(lines, group, context)
            new = [text[1:] for text in _lines(lines, group, start, end) if text[0] != "-"]
            at_end = end - group[-1].at - len(group[-1].removed) < context
            if change.before is None or not _occurs(new, lines, first=start == 0, last=at_end):
                return False
    return True


def _occurs(some: Sequence[str], lines: Sequence[str], *, first: bool, last: bool) -> bool:
    """Whether *lines* have *some*; where git looks only there, *first* or *last*."""
    count = len(some)
    places: Iterable[int] = range(len(lines) - count + 1)
    if first or last:
        places = [n for n in ((0,) if first else (len(lines) - count,)) if n in places]
    return any(list(lines[n : n + count]) == list(some) for n in places)


def _file(change: FileChange, chosen: Sequence[Hunk], context: int) -> str:
    path = change.path
    creates, deletes = chosen[0].creates, chosen[0].deletes
    before, after = ("/dev/null" if creates else f"a/{path}"), f"b/{path}"
    head = f"diff --git a/{path} b/{path}\n"
    if creates:
        head += "new file mode 100644\n"
    if deletes:
        head, after = head + "deleted file mode 100644\n", "/dev/null"
    body = "".join(_body(_split(change.before), chosen, context))
    return f"{head}--- {before}\n+++ {after}\n{body}"


def _body(lines: Sequence[str], chosen: Sequence[Hunk], context: int) -> Iterator[str]:
    moved = 0
    for group in _groups(chosen, context):
        start, end = _around(lines, group, context)
        grown = sum(len(h.added) - len(h.removed) for h in group)
        old, new = end - start, end - start + grown
        first, second = start + bool(old), start + moved + bool(new)
        yield f"@@ -{first},{old} +{second},{new} @@\n"
        yield from (_ended(line) for line in _lines(lines, group, start, end))
        moved += grown


def _groups(chosen: Sequence[Hunk], context: int) -> list[list[Hunk]]:
    """Return runs of hunks whose contexts touch."""
    groups: list[list[Hunk]] = []
    for hunk in chosen:
        last = groups[-1][-1] if groups else None
        if last and hunk.at - (last.at + len(last.removed)) <= 2 * context:
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return groups


def _around(lines: Sequence[str], group: Sequence[Hunk], context: int) -> tuple[int, int]:
    """Return the first line of a group's context, from 0, and the one after its last."""
    last = group[-1].at + len(group[-1].removed)
    return max(0, group[0].at - context), min(len(lines), last + context)


def _lines(lines: Sequence[str], group: Sequence[Hunk], start: int, end: int) -> Iterator[str]:
    """Yield the lines of one hunk of a diff, each with its mark."""
    here = start
    for hunk in group:
        yield from (f" {line}" for line in lines[here : hunk.at])
        yield from (f"-{line}" for line in hunk.removed)
        yield from (f"+{line}" for line in hunk.added)
        here = hunk.at + len(hunk.removed)
    yield from (f" {line}" for line in lines[here:end])


def _ended(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

"""Draws the course of a search: a line for each tested commit, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import percent
from buildkit_bisect.render import lanes, releases, sheets, symbols, text
from buildkit_bisect.render.finding import finding
from buildkit_bisect.render.spoken import spoken
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import fit
from buildkit_bisect.result import BisectInfo, BisectStep, CampaignKind, CellInfo, Result
from buildkit_bisect.search import Phase

_HEAD = 13  # pixels: the height of a line
#: Phases whose commits are not on the first-parent line, or were already narrowed down to.
_INSIDE = (Phase.DESCEND, Phase.PROOF)
_LETTER, _SMALL, _MONO, _BOLD = 6.9, 5.9, 7.4, 8.7  # width of a letter


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Where a search is drawn: the names and the outcomes beside its history, or above it."""

    width: int = 780
    left: float = 232.0
    track: float = 290.0
    above: bool = False

    def x(self, at: float, span: float) -> float:
        """Return the x coordinate of a place in a history that is *span* long."""
        return round(self.left + self.track * at / span, 1)


_WIDE, _NARROW = _Frame(), _Frame(width=366, left=28.0, track=310.0, above=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """A commit on its line."""

    y: float
    x: float
    css: str
    texts: tuple[tuple[float, float, str, str], ...]  # (x, y, class, text)
    known: str  # for the tooltip
    low: float  # what was left to search before it, from low to high
    high: float
    culprit: bool


def timeline(
    result: Result,
    *,
    templates: Templates | None = None,
    inline: bool = False,
    narrow: bool = False,
) -> str:
    """Return a picture of the outcome at each commit; "" if nothing was searched.

    Commits are in the order of their first tests from top to bottom, and in the order of history
    from left to right. *inline*: for a page with its own styles. *narrow*: for a phone.
    """
    result = spoken(result)
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    if info is None or not steps:
        return ""
    if result.kind == CampaignKind.BOUNDARIES:
        drawn = lanes.lanes(result, templates=templates, inline=inline, narrow=narrow)
        if drawn:
            return drawn
    frame = _NARROW if narrow else _WIDE
    places = _places(result, info, steps)
    span = max(places.values()) or 1.0
    older = info.bad if info.find_fix else info.good
    names = _releases(result, steps, places, older, frame)
    title = () if inline else sheets.wrapped(finding(result), frame.width - 32, _BOLD)
    head = 18 * len(title) + 26  # the line with the ends of the history
    top = head + 14 + _HEAD * (1 + max((line for _, _, line in names.labels), default=-1))
    points = list(_points(result, info, steps, places, frame=frame, top=top))
    bottom = points[-1].y + 20
    culprit = next((r for r in result.revisions if r.sha == info.first_bad), None)
    caption = f"{info.first_bad[:10]} {culprit.subject if culprit else ''}"
    which = "change" if info.changes else Verdict.GOOD if info.find_fix else Verdict.BAD
    sure = f" ({percent(info.confidence)})" if info.confidence else ""
    first = f"first {which}: {text.one_line(caption)}{sure}"
    since = f"; first release: {info.contained[0]}" if info.contained else ""
    lines = sheets.wrapped(first + since, frame.width - 32, _LETTER) if culprit else ()
    return (templates or Templates()).render(
        "timeline.svg.j2",
        title=title,
        head=head,
        full=text.clean(finding(result)),
        points=points,
        names=names,
        strip=_strip(steps, places, frame, span),
        changes=[frame.x(places[c.sha], span) for c in info.changes if c.sha in places],
        x0=frame.x(0, span),
        x1=frame.x(span, span),
        culprit=frame.x(places[info.first_bad], span) if info.first_bad in places else None,
        which=Verdict.GOOD if info.find_fix else Verdict.BAD,
        caption=lines,
        total=info.total,
        before=text.clean(info.bad_not_run)[:16],
        frame=frame,
        top=top,
        bottom=bottom,
        height=bottom + 46 + 16 * len(lines),
        inline=inline,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Names:
    """The releases along a history, and the one before it."""

    labels: tuple[tuple[float, str, int], ...]
    marks: tuple[tuple[float, bool], ...]  # (x, whether a tested commit has the name)
    after: str

    @property
    def between(self) -> bool:
        """Whether a release is drawn between two tested commits."""
        return not all(exact for _, exact in self.marks)


def _releases(
    result: Result, steps: list[BisectStep], places: dict[str, float], older: str, frame: _Frame
) -> _Names:
    """Return the releases at and between the commits on the first-parent line."""
    line = {s.sha: float(s.position) for s in steps if s.position is not None}
    found = releases.releases(result, line or places)
    if not line:  # in the order of steps, nothing is between two commits
        found = tuple(one for one in found if one.exact)
    span = max(places.values()) or 1.0
    tag, exact = releases.tag(result, min(places, key=lambda sha: places[sha]))
    if line and min(places.values()) > 0:  # then the older end was not run
        tag, exact = older, False
    wanted = [(frame.x(one.place, span), text.clean(one.name)[:16]) for one in found]
    placed = releases.labels(wanted, _SMALL, frame.left - 12, frame.left + frame.track + 12)
    return _Names(
        labels=tuple(placed),
        marks=tuple(sorted({(frame.x(one.place, span), one.exact) for one in found})),
        after="" if exact else text.clean(tag)[:16],
    )


def _points(
    result: Result,
    info: BisectInfo,
    steps: list[BisectStep],
    places: dict[str, float],
    *,
    frame: _Frame,
    top: float,
) -> Iterator[_Point]:
    span = max(places.values()) or 1.0
    commits: dict[str, list[BisectStep]] = {}
    for step in steps:
        commits.setdefault(step.sha, []).append(step)
    searched = [c for c in result.cells if not info.axes or c.axes == info.axes]
    cells = {(cell.revision, cell.patches): cell for cell in searched}
    ends = _ends(info, steps, places, span)
    y = top
    for sha, tests in commits.items():
        cell = cells.get((sha, tests[0].patches))
        named = sheets.wrapped(_label(tests), frame.left - 20, _MONO)
        room = frame.width - frame.left - frame.track - 36
        seen = sheets.wrapped(_seen(tests, cell), room, _LETTER)
        if frame.above:
            named = (fit(_label(tests), frame.width - 32, _MONO),)
            seen = sheets.wrapped(_seen(tests, cell), frame.width - 32, _LETTER)
            above = 16.0 + _HEAD * (1 + len(seen))
            texts = [(16.0, y + 16.0, "mono", named[0])]
            texts += [(16.0, y + 30.0 + _HEAD * n, "word", line) for n, line in enumerate(seen)]
            y, below = y + above + 6, 12.0
        else:
            tall = max(26.0, _HEAD * max(len(named), len(seen)) + 8)
            y += tall / 2
            texts = [(16.0, y + at, "mono", line) for at, line in _middle(named)]
            x = frame.left + frame.track + 20
            texts += [(x, y + at, "word", line) for at, line in _middle(seen)]
            below = tall / 2
        yield _Point(
            y=round(y, 1),
            x=frame.x(places[sha], span),
            css=_symbol(tests, cell).css,
            texts=tuple(texts),
            known=text.clean(symbols.all_known(cell)) if cell else "",
            low=frame.x(ends[sha][0], span),
            high=frame.x(ends[sha][1], span),
            culprit=sha == info.first_bad,
        )
        y += below


def _middle(lines: Sequence[str]) -> list[tuple[float, str]]:
    """Return (y, line) of lines around y = 0."""
    first = 4 - _HEAD * (len(lines) - 1) / 2
    return [(first + _HEAD * n, line) for n, line in enumerate(lines)]


def _label(tests: list[BisectStep]) -> str:
    """Return ``9 proof 0ca6aba4f4 x22``: the first step at a commit, and the number of steps."""
    first = tests[0]
    more = f" x{len(tests)}" if len(tests) > 1 else ""
    return text.clean(f"{first.number} {first.phase} {first.sha[:10]}{more}")


def _counts(tests: list[BisectStep]) -> dict[str, int]:
    """Return the number of trials by outcome, over all steps at a commit."""
    counts: dict[str, int] = {}
    for step in tests:
        for outcome, n in step.counts.items():
            counts[outcome] = counts.get(outcome, 0) + n
    return counts


def _seen(tests: list[BisectStep], cell: CellInfo | None) -> str:
    counts = _counts(tests)
    more = symbols.more(cell) if cell else {}
    beside = f" ({symbols.known(cell.outcome, more, 'known')})" if cell and more else ""
    if not counts:
        return tests[-1].shown + beside
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{symbols.word(name)} {n} of {total}" for name, n in ranked) + beside


def _symbol(tests: list[BisectStep], cell: CellInfo | None) -> symbols.Symbol:
    disagree = len(_counts(tests)) > 1 or (cell is not None and symbols.flaky(cell))
    return symbols.MIXED if disagree else symbols.of("", tests[-1].verdict)


def _places(result: Result, info: BisectInfo, steps: list[BisectStep]) -> dict[str, float]:
    """Return the place of each commit: its position in the history, if it has one.

    Otherwise an endpoint is before the first-parent line, and a commit inside the merge that
    introduced the change is just before the merge, or just after the last commit on the
    first-parent line without the change if the merge was not tested.
    """
    known = {s.sha: float(s.position) for s in steps if s.position is not None}
    if not known:
        unique = list(dict.fromkeys(s.sha for s in steps))
        return {sha: float(n) for n, sha in enumerate(unique)}
    shas = {r.ref: r.sha for r in result.revisions}
    newer = shas.get(info.good if info.find_fix else info.bad, "")
    known.setdefault(newer, max(known.values()))
    inside = known[info.merge] - 0.5 if info.merge in known else None
    if inside is None and info.merge:
        older = Verdict.BAD if info.find_fix else Verdict.GOOD
        latest = {s.sha: s.verdict for s in steps if s.position is not None}
        without = [known[sha] for sha, verdict in latest.items() if verdict == older]
        inside = max(without, default=0.0) + 0.5
    last = 0.0
    places: dict[str, float] = {}
    for step in steps:
        last = known.get(step.sha, last)
        loose = inside if inside is not None and step.phase in _INSIDE else last
        place = 0.0 if step.phase == Phase.GATE else loose
        places.setdefault(step.sha, known.get(step.sha, place))
    return places


def _ends(
    info: BisectInfo, steps: list[BisectStep], places: dict[str, float], span: float
) -> dict[str, tuple[float, float]]:
    """Return the range that was left to search when each commit was first tested."""
    low, high = 0.0, span
    ends: dict[str, tuple[float, float]] = {}
    for step in steps:
        ends.setdefault(step.sha, (low, high))
        low, high = _narrow(info, step, places[step.sha], low, high)
    return ends


def _narrow(
    info: BisectInfo, step: BisectStep, at: float, low: float, high: float
) -> tuple[float, float]:
    """Return the range left after *step*: the newer side has the verdict that is searched for."""
    newer = Verdict.GOOD if info.find_fix else Verdict.BAD
    older = Verdict.BAD if info.find_fix else Verdict.GOOD
    if step.phase in _INSIDE or info.changes or not low <= at <= high:
        return low, high
    if step.verdict == newer:
        return low, at
    return (at, high) if step.verdict == older else (low, high)


def _strip(
    steps: list[BisectStep], places: dict[str, float], frame: _Frame, span: float
) -> list[tuple[float, float, str]]:
    """Return (from, to, class) between adjacent tested commits; "open" if their verdicts differ."""
    tested = sorted(
        (places[s.sha], s.verdict) for s in steps if s.verdict in {Verdict.GOOD, Verdict.BAD}
    )
    return [
        (frame.x(a, span), frame.x(b, span), symbols.of("", v).css if v == w else "open")
        for (a, v), (b, w) in pairwise(tested)
        if b > a
    ]

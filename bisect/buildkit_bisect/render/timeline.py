"""Draws the course of a search: a line for each tested commit, in order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from buildkit_bisect.model import Verdict
from buildkit_bisect.render import lanes, symbols, text
from buildkit_bisect.render.finding import finding, percent
from buildkit_bisect.render.templates import Templates
from buildkit_bisect.render.text import fit
from buildkit_bisect.result import BisectInfo, BisectStep, CampaignKind, CellInfo, Result
from buildkit_bisect.search import Phase

_LINE, _LEFT, _TRACK = 26, 250, 420  # pixels
#: Phases whose commits are not on the first-parent line, or were already narrowed down to.
_INSIDE = (Phase.DESCEND, Phase.PROOF)
_LETTER, _BOLD = 6.7, 8.7  # width of a letter


@dataclass(frozen=True, kw_only=True, slots=True)
class _Point:
    """A commit on its line."""

    y: float
    x: float
    css: str
    label: str
    seen: str
    known: str  # for the tooltip
    low: float  # what was left to search before it, from low to high
    high: float
    culprit: bool


def timeline(result: Result, *, templates: Templates | None = None, inline: bool = False) -> str:
    """Return a picture of the outcome at each commit; "" if nothing was searched.

    Commits are in the order of their first tests from top to bottom, and in the order of history
    from left to right. *inline*: for a page with its own styles.
    """
    info = result.bisect
    steps = [*info.gate, *info.steps] if info else []
    if info is None or not steps:
        return ""
    if result.kind == CampaignKind.BOUNDARIES:
        drawn = lanes.lanes(result, templates=templates, inline=inline)
        if drawn:
            return drawn
    places = _places(result, info, steps)
    span = max(places.values()) or 1
    commits: dict[str, list[BisectStep]] = {}
    for step in steps:
        commits.setdefault(step.sha, []).append(step)
    searched = [c for c in result.cells if not info.axes or c.axes == info.axes]
    cells = {(c.revision, c.patches): c for c in searched}
    beside = {sha: cells.get((sha, tests[0].patches)) for sha, tests in commits.items()}
    ends = _ends(info, steps, places, float(span))
    points = [
        _Point(
            y=64 + n * _LINE,
            x=_x(places[sha], span),
            css=_symbol(tests, beside[sha]).css,
            label=_label(tests),
            seen=fit(_seen(tests, beside[sha]), 320, _LETTER),
            known=text.clean(symbols.all_known(cell)) if (cell := beside[sha]) else "",
            low=_x(ends[sha][0], span),
            high=_x(ends[sha][1], span),
            culprit=sha == info.first_bad,
        )
        for n, (sha, tests) in enumerate(commits.items())
    ]
    names = {r.sha: r for r in result.revisions}
    culprit = names.get(info.first_bad)
    return (templates or Templates()).render(
        "timeline.svg.j2",
        title=fit(finding(result), 990, _BOLD),
        full=text.clean(finding(result)),
        points=points,
        strip=_strip(steps, places, span),
        changes=[_x(places[c.sha], span) for c in info.changes if c.sha in places],
        x0=_x(0, span),
        x1=_x(span, span),
        culprit=_x(places[info.first_bad], span) if info.first_bad in places else None,
        which=Verdict.GOOD if info.find_fix else Verdict.BAD,
        caption=fit(f"{info.first_bad[:10]} {culprit.subject if culprit else ''}", 520, _LETTER),
        confidence=percent(info.confidence) if info.confidence else "",
        total=info.total,
        height=64 + len(points) * _LINE + 76,
        inline=inline,
    )


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
    if len(tests) == 1 or not counts:
        return tests[-1].shown + beside
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{outcome} {n} of {total}" for outcome, n in ranked) + beside


def _symbol(tests: list[BisectStep], cell: CellInfo | None) -> symbols.Symbol:
    disagree = len(_counts(tests)) > 1 or (cell is not None and symbols.flaky(cell))
    return symbols.MIXED if disagree else symbols.of("", tests[-1].verdict)


def _places(result: Result, info: BisectInfo, steps: list[BisectStep]) -> dict[str, float]:
    """Return the place of each commit: its position in the history, if it has one.

    Otherwise an endpoint is before the first-parent line, and a commit inside the merge that
    introduced the change is just before the merge.
    """
    known = {s.sha: float(s.position) for s in steps if s.position is not None}
    if not known:
        unique = list(dict.fromkeys(s.sha for s in steps))
        return {sha: float(n) for n, sha in enumerate(unique)}
    shas = {r.ref: r.sha for r in result.revisions}
    newer = shas.get(info.good if info.find_fix else info.bad, "")
    known.setdefault(newer, max(known.values()))
    inside = known[info.merge] - 0.5 if info.merge in known else None
    last = 0.0
    places: dict[str, float] = {}
    for step in steps:
        last = known.get(step.sha, last)
        loose = inside if inside is not None and step.phase in _INSIDE else last
        place = 0.0 if step.phase == Phase.GATE else loose
        places.setdefault(step.sha, known.get(step.sha, place))
    return places


def _x(at: float, span: float) -> float:
    return round(_LEFT + _TRACK * at / span, 1)


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
    steps: list[BisectStep], places: dict[str, float], span: float
) -> list[tuple[float, float, str]]:
    """Return (from, to, class) between adjacent tested commits; "open" if their verdicts differ."""
    tested = sorted(
        (places[s.sha], s.verdict) for s in steps if s.verdict in {Verdict.GOOD, Verdict.BAD}
    )
    return [
        (_x(a, span), _x(b, span), symbols.of("", v).css if v == w else "open")
        for (a, v), (b, w) in pairwise(tested)
        if b > a
    ]

"""The tables and the diagram that benchmarks/calibration.py puts into docs/search.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import section
from simulated import Noise

CONFIDENCES = (0.8, 0.95, 0.99)

#: Rows beside which git-bayesect is run.
SEVEN = ((1.0, 0.0), (0.95, 0.05), (0.9, 0.1), (0.8, 0.2), (0.5, 0.0), (0.3, 0.0), (0.6, 0.1))

#: Lower edges of the diagram's bins of stated confidence.
BINS = (0.0, 0.85, 0.9, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)

DIAGRAM = "calibration.svg"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One kind of search, run many times."""

    shape: str
    with_it: float  # rate of what the change brings, in commits that have it
    without: float
    build: float  # seconds; a trial takes 1
    find_fix: bool = False
    noise: Noise = Noise.NONE
    runs: int = 1000
    trials: int | None = None  # of each commit; None is automatic


@dataclass(kw_only=True, slots=True)
class Level:
    """What came of a row's searches at one confidence."""

    confidence: float
    right: int = 0
    wrong: int = 0
    other: dict[str, int] = field(default_factory=dict)  # how else they ended
    trials: int = 0  # of all searches, ends and proof included
    builds: int = 0  # with the ends
    stated: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    # by bin: named, of them right, sum of the confidences stated

    @property
    def named(self) -> int:
        """Searches that named a commit."""
        return self.right + self.wrong


@dataclass(kw_only=True, slots=True)
class Done:
    """A row with its figures."""

    row: Row
    levels: list[Level]
    seconds: float  # of processor time
    slowest: float  # decision, in seconds

    def at(self, confidence: float) -> Level:
        """The figures at one confidence."""
        return next(level for level in self.levels if level.confidence == confidence)


def upper(wrong: int, named: int) -> float:
    """The upper end of the exact one-sided 95 % interval for a share."""
    if wrong >= named:
        return 1.0
    return _where(lambda p: _at_most(wrong, named, p) > _BEYOND, wrong / named, 1.0)


def lower(wrong: int, named: int) -> float:
    """The lower end of the exact one-sided 95 % interval for a share."""
    if not wrong:
        return 0.0
    return _where(lambda p: 1 - _at_most(wrong - 1, named, p) < _BEYOND, 0.0, wrong / named)


_BEYOND = 0.05


def _where(below: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return high


def _at_most(k: int, n: int, p: float) -> float:
    """Probability of at most *k* of *n*; in logarithms, since the terms may underflow."""
    if p <= 0 or p >= 1:
        return float(p <= 0)
    ways = (math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1))
    logs = (way + i * math.log(p) + (n - i) * math.log1p(-p) for i, way in enumerate(ways))
    return math.fsum(map(math.exp, logs))


def holds(level: Level) -> bool:
    """Whether no more are wrong than the confidence allows, by the upper bound."""
    return level.named == 0 or upper(level.wrong, level.named) <= 1 - level.confidence


def brief(done: Done) -> str:
    """A row in one line."""
    row = done.row
    levels = " | ".join(
        f"{level.confidence:g}: wrong {level.wrong}/{level.named} "
        f"(<= {upper(level.wrong, level.named):.2%}) {level.trials / row.runs:.1f} trials "
        f"{level.builds / row.runs:.1f} builds {dict(sorted(level.other.items())) or ''}"
        for level in done.levels
    )
    what = [row.shape, "fix" if row.find_fix else "", str(row.noise)]
    what += ["" if row.trials is None else f"--trials {row.trials}"]
    return (
        f"{' '.join(filter(None, what))} {row.with_it:g}/{row.without:g} build {row.build:g}: "
        f"{levels}; {1000 * done.seconds / row.runs:.0f} ms a search, "
        f"slowest step {1000 * done.slowest:.0f} ms"
    )


def text(done: Mapping[str, Sequence[Done]], theirs: Sequence[Mapping[str, float]]) -> str:
    """Every table, with a sentence before each."""
    parts = [
        _beside(done["seven"], theirs),
        _grid(done["grid"]),
        _alike(done["alike"]),
        _unlike(done["unlike"]),
        _fixed(done["fixed"]),
    ]
    return "\n\n".join(p for p in parts if p)


def _table(head: str, rows: Iterable[str]) -> str:
    columns = head.count("|") + 1
    rule = "---|" + "--:|" * (columns - 1)
    return "\n".join([f"| {head} |", f"|{rule}", *(f"| {r} |" for r in rows)])


def _rates(row: Row) -> str:
    return f"{row.with_it:g} / {row.without:g}"


def _beside(done: Sequence[Done], theirs: Sequence[Mapping[str, float]]) -> str:
    if not done:
        return ""
    beside = {(t["with_it"], t["without"]): t for t in theirs}
    rows = []
    for d in done:
        level, runs = d.at(0.95), d.row.runs
        their = beside.get((d.row.with_it, d.row.without))
        named = f"{their['right'] / their['runs']:.1%} | {their['trials']:.1f}" if their else " | "
        rows.append(
            f"{_rates(d.row)} | {named} | {level.right / runs:.1%} | "
            f"{level.wrong / runs:.1%} ({upper(level.wrong, level.named):.1%}) | "
            f"{level.trials / runs:.1f} | {floor(d.row.with_it, d.row.without, 127):.1f}"
        )
    ran = f"{done[0].row.runs:,} runs a row"
    if theirs:
        ran += f", {int(theirs[0]['runs']):,} of git-bayesect"
    return (
        "127 candidates in a line, builds for free, confidence 95 %: "
        f"{ran}. *Floor* is what the rates allow if they were known; in "
        "brackets is the upper end of a one-sided 95 % interval.\n\n"
        + _table(
            "rates with / without the change | git-bayesect right | its trials | right | wrong | "
            "trials in all | floor",
            rows,
        )
    )


def _grid(done: Sequence[Done]) -> str:
    if not done:
        return ""
    by_rates: dict[str, list[Done]] = {}
    by_factor: dict[str, list[Done]] = {}
    for d in done:
        by_rates.setdefault(_rates(d.row), []).append(d)
        for factor in (
            d.row.shape,
            f"a build costs {d.row.build:g} trials",
            "fixes" if d.row.find_fix else "regressions",
        ):
            by_factor.setdefault(factor, []).append(d)
    levels = [_pooled(mine, c) for mine in by_rates.values() for c in CONFIDENCES]
    runs = sum(d.row.runs for d in next(iter(by_rates.values())))
    head = (
        "wrong of those named at 80 % | at 95 % | at 99 % | named at 95 % | "
        "trials at 95 %, builds free | builds of 40"
    )
    minutes = sum(d.seconds for d in done) / 60
    return (
        f"The grid. A row is a pair of rates, with {runs:,} searches: as many on a line of 128, "
        "on a line of 410 and on the first-parent DAG of v0.26.0..master with its merges; as many "
        "with builds that cost 0, 10 and 40 trials; as many regressions as fixes. A search serves "
        "the three confidences as long as it would do the same at each of them. A share is that of "
        "the wrong commits among those named; in brackets the upper end of its one-sided 95 % "
        f"interval. In {sum(map(holds, levels)):,} of {len(levels):,} of these the upper end is at "
        f"most 1 - confidence; in {sum(map(_seems_to_hold, levels)):,} the share itself is. "
        f"{sum(d.row.runs for d in done):,} searches took {minutes:.0f} minutes of processor time; "
        f"the slowest decision took {1000 * max(d.slowest for d in done):.0f} ms.\n\n"
        + _table(f"rates | {head}", map(_pooled_row, by_rates, by_rates.values()))
        + "\n\nThe same searches by each other factor:\n\n"
        + _table(f"searches | {head}", map(_pooled_row, by_factor, by_factor.values()))
    )


def _pooled(done: Sequence[Done], confidence: float) -> Level:
    levels = [d.at(confidence) for d in done]
    return Level(
        confidence=confidence,
        right=sum(level.right for level in levels),
        wrong=sum(level.wrong for level in levels),
    )


def _seems_to_hold(level: Level) -> bool:
    return level.wrong <= (1 - level.confidence) * level.named


def _pooled_row(name: str, done: Sequence[Done]) -> str:
    runs = sum(d.row.runs for d in done)
    cells = [name]
    for c in CONFIDENCES:
        level = _pooled(done, c)
        share = level.wrong / max(1, level.named)
        cells.append(f"{share:.1%} ({upper(level.wrong, level.named):.1%})")
    cells.append(f"{_pooled(done, 0.95).named / runs:.0%}")
    cells += [_mean(done, build=0.0), _mean(done, build=40.0)]
    return " | ".join(cells)


def _mean(done: Sequence[Done], *, build: float) -> str:
    mine = [d for d in done if d.row.build == build]
    runs = sum(d.row.runs for d in mine)
    return f"{sum(d.at(0.95).trials for d in mine) / runs:.0f}" if runs else ""


def _alike(done: Sequence[Done]) -> str:
    if not done:
        return ""
    rows = []
    for d in done:
        level = d.at(0.95)
        other = level.other
        rows.append(
            f"{d.row.with_it:g}{', drifting' if d.row.noise is Noise.DRIFT else ''} | "
            f"{other.get('no change', 0) / d.row.runs:.1%} | {level.wrong / d.row.runs:.1%} | "
            f"{(d.row.runs - level.wrong - other.get('no change', 0)) / d.row.runs:.1%} | "
            f"{level.trials / d.row.runs:.0f} | {level.builds / d.row.runs:.0f}"
        )
    named, sure = (max(d.at(c).wrong / d.row.runs for d in done) for c in (0.8, 0.99))
    return (
        f"Both ends behave the same (A/A), and nothing changes between them: {done[0].row.runs:,} "
        "runs a row, at 95 %. *Drifting* rates fall by a third after 25 trials.\n\n"
        + _table('rate | "no change" | a commit named | neither | trials | builds', rows)
        + f"\n\nThe most searches of a row that name a commit: {named:.1%} at a confidence of "
        f"80 %, {sure:.1%} at 99 %."
    )


def _unlike(done: Sequence[Done]) -> str:
    if not done:
        return ""
    rows = []
    for d in done:
        level = d.at(0.95)
        rows.append(
            f"{_rates(d.row)}, {d.row.noise} | {level.right / d.row.runs:.1%} | "
            f"{level.wrong / max(1, level.named):.1%} | {level.trials / d.row.runs:.1f}"
        )
    return (
        f"What the confidence does not allow for, {done[0].row.runs:,} runs a row, at 95 %: all "
        "rates fall by a third after 25 trials, or every second trial of a commit "
        "repeats the one before in half the cases.\n\n"
        + _table("rates | right | wrong of those named | trials in all", rows)
    )


def _fixed(done: Sequence[Done]) -> str:
    if not done:
        return ""
    rows = []
    for d in done:
        level = d.at(0.95)
        rows.append(
            f"{_rates(d.row)}, --trials {d.row.trials} | {level.right / d.row.runs:.1%} | "
            f"{level.wrong / max(1, level.named):.1%} | {level.trials / d.row.runs:.1f}"
        )
    return f"A fixed number of trials, {done[0].row.runs:,} runs a row, at 95 %:\n\n" + _table(
        "rates | right | wrong of those named | trials in all", rows
    )


def floor(with_it: float, without: float, candidates: int) -> float:
    """Trials to tell *candidates* apart at a channel's capacity, its rates being known."""

    def bits(p: float) -> float:
        return -sum(x * math.log2(x) for x in (p, 1 - p) if x > 0)

    def told(share: float) -> float:
        mixed = share * with_it + (1 - share) * without
        return bits(mixed) - share * bits(with_it) - (1 - share) * bits(without)

    return math.log2(candidates) / max(told(i / 1000) for i in range(1, 1000))


_SIZE, _EDGE = 360, 50
_NINES = 3.3  # the axes go to 1 - 10**-3.3


def diagram(done: Mapping[str, Sequence[Done]]) -> str:
    """Stated confidence against the share that was right, both as how many nines they have."""
    bins: dict[int, tuple[int, int, float]] = {}
    for d in (*done["grid"], *done["seven"]):
        for level in d.levels:
            for key, (n, right, total) in level.stated.items():
                before = bins.get(int(key), (0, 0, 0.0))
                bins[int(key)] = (before[0] + n, before[1] + right, before[2] + total)
    if not bins:
        return ""
    marks = []
    for n, right, total in (bins[k] for k in sorted(bins)):
        wrong = n - right
        low, high = 1 - upper(wrong, n), 1 - lower(wrong, n)
        x, y = _place(total / n), _place(right / n)
        marks.append(
            f'<line x1="{_EDGE + x:.1f}" x2="{_EDGE + x:.1f}" y1="{_down(_place(low)):.1f}" '
            f'y2="{_down(_place(high)):.1f}"/>'
            f'<circle cx="{_EDGE + x:.1f}" cy="{_down(y):.1f}" r="4">'
            f"<title>stated {total / n:.2%}, right {right / n:.2%} of {n:,}</title></circle>"
        )
    ticks = "".join(
        f'<text x="{_EDGE + _place(c):.0f}" y="{_EDGE + _SIZE + 18}" text-anchor="middle">'
        f'{c:.4g}</text><text x="{_EDGE - 6}" y="{_down(_place(c)) + 4:.0f}" '
        f'text-anchor="end">{c:.4g}</text>'
        for c in (0.8, 0.9, 0.95, 0.99, 0.999)
    )
    side = _EDGE + _SIZE
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side + 20} {side + 50}"
 role="img" aria-label="Stated confidence against the share of commits named that were right">
<rect width="100%" height="100%" fill="#fff"/>
<g font-family="sans-serif" font-size="12" fill="#222">{ticks}
<text x="{_EDGE + _SIZE / 2:.0f}" y="{side + 40}" text-anchor="middle">confidence stated</text>
<text transform="translate(12 {_EDGE + _SIZE / 2:.0f}) rotate(-90)"
 text-anchor="middle">share right</text></g>
<rect x="{_EDGE}" y="{_EDGE}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#888"/>
<line x1="{_EDGE}" y1="{side}" x2="{side}" y2="{_EDGE}" stroke="#888" stroke-dasharray="4 4"/>
<g fill="#1f6feb" stroke="#1f6feb" stroke-width="1.5">{"".join(marks)}</g>
</svg>
"""


def _place(share: float) -> float:
    nines = min(-math.log10(max(1 - share, 1e-9)), _NINES)
    low = -math.log10(1 - 0.75)
    return max(0.0, (nines - low) / (_NINES - low)) * _SIZE


def _down(y: float) -> float:
    return _EDGE + _SIZE - y


def put(document: Path, tables: str, svg: str) -> None:
    """Put the tables between the marks of a document, and the diagram beside it."""
    image = f"\n\n![Reliability diagram]({DIAGRAM})" if svg else ""
    section.put(document, "calibration", f"{tables}{image}")
    if svg:
        (document.parent / DIAGRAM).write_text(svg)

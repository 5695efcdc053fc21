"""The index of the library: what each of its reports came to, and what upstream says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from buildkit_bisect.model import Verdict
from buildkit_bisect.phrases import listed, percent, plural
from buildkit_bisect.render import changes, symbols, table
from buildkit_bisect.render.links import commit, link
from buildkit_bisect.render.text import markdown
from buildkit_bisect.result import BisectInfo, Result, ScenarioInfo, SearchStatus
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.scenario.upstream import Upstream

#: The files of a published search; the page and the matrix say no more than its report.
KEPT = ("report.md", "result.json", "reproduce.sh", "timeline.svg")

_HEAD = """# The library: reports with proven answers

Each scenario of `bisect/scenarios/library/` is a public report about BuildKit. This tool bisected
those in the table between two releases, on a clone of moby/buildkit (`PATH`), and did not read
upstream's answer, which is in the scenario's `upstream.toml`. A name links to the report of the
search.

*Minutes* are those of the search's builds and trials on a machine with 2 cores that did other work
too, also of those that another search had left. *Bad in* are the tested releases at which the
scenario is bad: the ends of the search{and_matrix}. Release branches may have the same change as
another commit.

"""

_COLUMNS = (
    *("scenario", "report", "what", "answer", "PR", "bad in"),
    *("minutes", "trials", "upstream", "agree"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A report of the library with its published search."""

    upstream: Upstream
    result: Result

    @property
    def search(self) -> BisectInfo:
        """The search. Raises `ValueError` for the result of another task."""
        if self.result.bisect is None:
            raise ValueError(f"{self.result.id} is not a bisection")
        return self.result.bisect

    @property
    def scenario(self) -> ScenarioInfo:
        """The scenario as it was searched."""
        return next(s for s in self.result.scenarios if s.name == self.search.scenario)


def index(entries: Sequence[Entry], matrix: Result | None, waiting: Sequence[Scenario] = ()) -> str:
    """Return the index as Markdown, a row for each of *entries*.

    *matrix* is one of the library over releases; it adds to where a scenario is bad. *waiting*
    are the scenarios that were not bisected.
    """
    also = ", and those of [the matrix](matrix/report.md)" if matrix else ""
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *(_row(one, matrix) for one in entries)]
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    found = sum(one.search.status == SearchStatus.FOUND for one in entries)
    named = [one for one in entries if one.upstream.named]
    same = sum(agrees(one) for one in named)
    said = (
        f"{plural(found, 'commit')} found in {plural(len(entries), 'report')}; upstream names one"
        f" in {len(named)} of them, and {same} of these agree."
    )
    return _HEAD.format(and_matrix=also) + "\n".join(lines) + f"\n\n{said}\n{_rest(waiting)}"


def _rest(waiting: Sequence[Scenario]) -> str:
    """Return the list of the scenarios that were not bisected; "" if there are none."""
    if not waiting:
        return ""
    rows = [f"- {link(_report(one.issue), one.issue)}: {markdown(one.title)}" for one in waiting]
    return "\n".join(["", "Not bisected yet:", "", *rows, ""])


def agrees(entry: Entry) -> bool:
    """Whether the search found upstream's commit, or the merge that brought it.

    If upstream names a pull request only, it must be the one that brought the commit.
    """
    info, theirs = entry.search, entry.upstream
    if theirs.commit:
        return theirs.commit in {info.first_bad, info.merge, *info.picks.values()}
    return bool(theirs.pull) and str(theirs.pull) == _pull(entry)


def _pull(entry: Entry) -> str:
    return changes.pull_of_commit(entry.result, entry.search, entry.search.first_bad)


def _row(entry: Entry, matrix: Result | None) -> tuple[str, ...]:
    info, result = entry.search, entry.result
    name = entry.scenario.name.partition("/")[2]
    number = _pull(entry)
    trials = sum(len(cell.trials) for cell in result.cells)
    return (
        f"[{markdown(name)}]({name}/report.md)",
        link(_report(entry.scenario.issue), entry.scenario.issue),
        markdown(entry.scenario.title),
        _answer(entry),
        link(f"#{number}", changes.pull_url(result, number)) if number else "",
        markdown("; ".join(filter(None, [_bad_in(entry, matrix), _since(info)]))),
        f"{_seconds(result) / 60:.0f}",
        str(trials),
        _upstream(entry),
        _agree(entry),
    )


def _seconds(result: Result) -> float:
    """Return the time of all builds and trials, also of those that were there already."""
    builds = {cell.build.key: cell.build.seconds for cell in result.cells if cell.build}
    return sum(builds.values()) + sum(t.seconds for c in result.cells for t in c.trials)


def _report(url: str) -> str:
    """Return ``moby/buildkit#5052`` for the address of an issue or a pull request."""
    match url.split("/"):
        case ["https:", "", "github.com", owner, repository, "issues" | "pull", number]:
            return f"{owner}/{repository}#{number}"
    return "report"


def _answer(entry: Entry) -> Markup:
    info = entry.search
    if info.status != SearchStatus.FOUND:
        shown = [commit(entry.result, one.sha) for one in info.candidates[:3]]
        head = markdown(f"{info.status}: {info.reason}")
        return Markup("{}<br>{}").format(head, Markup(", ").join(shown)) if shown else head
    what = "fixed by" if info.find_fix else "first bad"
    subject = next((r.subject for r in entry.result.revisions if r.sha == info.first_bad), "")
    return Markup("{} {} {}, confidence {}").format(
        what, commit(entry.result, info.first_bad), markdown(subject), percent(info.confidence)
    )


def _bad_in(entry: Entry, matrix: Result | None) -> str:
    """Return the releases at which a tested cell of the scenario is bad, in spans."""
    info = entry.search
    given = f"given as bad, not run: {info.bad}" if info.bad_not_run else info.bad
    if info.bad_shown:
        given = f"given as bad: {info.bad}, which is {symbols.word(info.bad_shown)}"
    bad = {info.bad}
    rows = [info.bad, info.good] if info.find_fix else [info.good, info.bad]
    if matrix:
        grid = table.matrix(matrix)
        rows = list(dict.fromkeys(row.ref for row in grid.rows))
        cells = [c for c in grid.cells.values() if c.scenario == info.scenario and not c.control]
        bad = {cell.ref for cell in cells if cell.verdict == Verdict.BAD}
        if not cells:
            return given
    elif info.bad_not_run or info.bad_shown:
        return given
    return listed(_spans(rows, bad)) or "none of the tested"


def _since(info: BisectInfo) -> str:
    """Return the first release that has the commit; others may have the same change picked."""
    what = "the fix" if info.find_fix else "the commit"
    return f"{what} is in {info.contained[0]} and newer" if info.contained else ""


def _spans(rows: Sequence[str], bad: set[str]) -> Iterator[str]:
    """Yield ``v0.13.0 to v0.14.0`` for neighbours among *rows* that are all *bad*."""
    span: list[str] = []
    for ref in [*rows, ""]:
        if ref in bad:
            span.append(ref)
        elif span:
            yield span[0] if len(span) == 1 else f"{span[0]} to {span[-1]}"
            span = []


def _upstream(entry: Entry) -> Markup:
    theirs = entry.upstream
    number = str(theirs.pull)
    parts = [
        *([commit(entry.result, theirs.commit)] if theirs.commit else []),
        *([link(f"#{number}", changes.pull_url(entry.result, number))] if theirs.pull else []),
        *([markdown(theirs.says)] if theirs.says else []),
    ]
    return Markup("<br>").join(parts)


def _agree(entry: Entry) -> Markup:
    if not entry.upstream.named:
        return markdown("nobody has named one")
    if agrees(entry):
        return markdown("yes")
    return markdown(f"no: {entry.upstream.differs}" if entry.upstream.differs else "no")

"""A good end for a bisection that has none: back over the releases before the bad one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.version import Version

from buildkit_bisect.campaign.bisect import chosen_cell, told_by
from buildkit_bisect.campaign.history import identity
from buildkit_bisect.campaign.setup import Setup, open_lab
from buildkit_bisect.errors import NoAnswer
from buildkit_bisect.events import Events, Said, StepAsked, StepDone
from buildkit_bisect.model import Revision, Variant, Verdict
from buildkit_bisect.patches import Patch
from buildkit_bisect.search import Ask, EndsFound, GoodEndSearch, Refused, SearchOptions
from buildkit_bisect.source import GitSource, Source


def releases_before(source: Source, bad: Revision) -> list[Revision]:
    """Final releases older than *bad*, oldest first: the first of every minor, and its patches."""
    finals = sorted(source.releases(), key=lambda r: Version(r.ref))
    if isinstance(source, GitSource):
        day = bad.date
        return [r for r in finals if r.date < day and r.sha != bad.sha]
    return [r for r in finals if Version(r.ref) < Version(bad.describe or bad.ref)]


def find_good(
    setup: Setup,
    bad_ref: str,
    options: SearchOptions,
    overlay: Sequence[Patch],
    *,
    events: Events,
    campaign: str,
) -> str:
    """The ref of a good release before *bad_ref*.

    Every trial that this takes is stored, so the search that follows does not pay again.
    Raises `NoAnswer` with what was seen where no release is good.
    """
    bad = setup.source.resolve(bad_ref)
    releases = releases_before(setup.source, bad)
    known = {identity(r): r for r in [*releases, bad]}
    search = GoodEndSearch(
        [identity(r) for r in releases],
        bad=identity(bad),
        options=options,
        labels={identity(r): r.ref for r in known.values()},
    )
    scenario = setup.scenarios[0]
    axes = chosen_cell(scenario, setup.cells(scenario))
    patches = tuple(p.ref for p in overlay)
    number = 0
    with open_lab(replace(setup, events=events), campaign) as (lab, _):
        while isinstance(step := search.next(), Ask):
            number += 1
            variant = Variant(revision=known[step.commit], patches=patches)
            events.emit(
                StepAsked(
                    number=number,
                    row=variant.label,
                    why=step.why,
                    left=step.candidates_left,
                    expected_steps=step.expected_steps,
                    expected_seconds=step.expected_seconds,
                )
            )
            cell = lab.cell(variant, scenario, axes, step.trials)
            tested, shown = told_by(cell)
            search.tell(step.commit, tested)
            verdict = Verdict.SKIP if tested.skip else cell.outcome.verdict
            events.emit(StepDone(number=number, row=variant.label, verdict=verdict, shown=shown))
    match step:
        case EndsFound():
            good = known[step.good].ref
            events.emit(Said(text=f"find-good: {good} is good; searching from there"))
            return good
        case Refused():
            raise NoAnswer(step.reason, hint=step.hint)

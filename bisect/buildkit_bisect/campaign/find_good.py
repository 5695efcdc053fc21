"""A good end for a bisection that has none: back over the releases before the bad one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packaging.version import Version

from buildkit_bisect.campaign.bisect import chosen_cell, search_options
from buildkit_bisect.campaign.candidates import identity, overlay_of
from buildkit_bisect.campaign.search_steps import Step, shown, told_by, verdict_of
from buildkit_bisect.campaign.setup import Setup, open_lab
from buildkit_bisect.errors import NoAnswer
from buildkit_bisect.events import Events, Said
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.search import Ask, EndsFound, GoodEndSearch, Refused
from buildkit_bisect.source import GitSource, Source


def releases_before(source: Source, bad: Revision) -> list[Revision]:
    """Final releases older than *bad*, oldest first."""
    finals = sorted(source.releases(), key=lambda r: Version(r.ref))
    if isinstance(source, GitSource):
        day = bad.date
        return [r for r in finals if r.date < day and r.sha != bad.sha]
    return [r for r in finals if Version(r.ref) < Version(bad.describe or bad.ref)]


def find_good(
    setup: Setup,
    request: Bisect,
    overlay: Sequence[Patch],
    *,
    events: Events,
    campaign: str,
) -> str:
    """The ref of a good release before the bad end of *request*.

    Its trials are stored, so the search that follows does not run them again unless fresh ones
    are asked for.
    Raises `NoAnswer` with what was seen where no release is good.
    """
    bad = setup.source.resolve(request.bad)
    releases = releases_before(setup.source, bad)
    known = {identity(r): r for r in [*releases, bad]}
    search = GoodEndSearch(
        [identity(r) for r in releases],
        bad=identity(bad),
        options=search_options(request),
        labels={identity(r): r.ref for r in known.values()},
    )
    scenario = setup.scenarios[0]
    axes = chosen_cell(scenario, setup.cells(scenario))
    patches_at = overlay_of(setup.source, overlay)
    number = 0
    with open_lab(replace(setup, events=events), campaign) as (lab, _):
        while isinstance(ask := search.next(), Ask):
            number += 1
            variant = Variant(
                revision=known[ask.commit],
                patches=patches_at.at(ask.commit) if patches_at else (),
            )
            step = Step(number=number, ask=ask, variant=variant, events=events)
            cell = lab.cell(variant, scenario, axes, ask.trials)
            tested = told_by(cell)
            search.tell(ask.commit, tested)
            step.done(verdict_of(cell, tested), shown(tested))
    match ask:
        case EndsFound():
            good = known[ask.good].ref
            events.emit(Said(text=f"find-good: {good} is good; searching from there"))
            return good
        case Refused():
            raise NoAnswer(ask.reason, hint=ask.hint)

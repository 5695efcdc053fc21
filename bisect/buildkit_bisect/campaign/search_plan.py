"""The plan of a search: its candidates, and the steps, builds and time that it should take."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign import estimate, groundwork
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.search_costs import SearchCosts
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.campaign.time_left import TimeLeft
from buildkit_bisect.events import Column, Planned, Search
from buildkit_bisect.lab.ahead import AtOnce
from buildkit_bisect.lab.base_images import COMPILING, REFERENCE_GO
from buildkit_bisect.model import Axes, Build, Variant
from buildkit_bisect.phrases import plural
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.search import Ask
from buildkit_bisect.search.cost import COLD

#: Weights by coverage need a build and a run beside those of the search.
COVERING = "compile an instrumented build of the newer end and run it once, for the prior"

#: Seconds of the run of an instrumented build, and of reading what it counted.
_COVERED_RUN = 15.0


def planned(
    setup: Setup,
    line: Line,
    step: Ask,
    left: TimeLeft,
    *,
    commits: int,
    distinct: int,
    at_once: AtOnce | None = None,
    spared: Sequence[str] = (),
    costs: SearchCosts,
    kind: str,
    cells: Collection[tuple[Scenario, Axes]],
    trials: int,
    also: Sequence[str] = (),
    known: Sequence[str] = (),
    tried_at: Sequence[str] = (),
    beside: int = 0,
) -> Planned:
    """Return the plan of a search on *line* whose first step is *step*.

    Its *commits* are *distinct* different builds. *spared* are the ends that may not be run, as
    commits between them may. *beside* is the number of trials in cells that
    are only *tried_at* the ends.
    """
    pace = math.exp(costs.pace)
    before = groundwork.expected(setup, (), costs.known_go, pace)
    seconds = dict(before)
    if COMPILING in before and REFERENCE_GO in {*line.go.values()} - {*costs.known_go}:
        # The search counts on compiling for that Go version first, and finds it compiled.
        seconds[COMPILING] -= (COLD - estimate.LATER) * pace
    expected = left.at(step, tuple(seconds.values()), beside=beside)
    older, newer = line.good, line.bad
    if line.history.contains(older, newer):  # a fix is searched
        older, newer = newer, older
    ends = f"{line.revision(older).ref} and {line.revision(newer).ref}"
    return Planned(
        kind=kind,
        rows=(),
        columns=tuple(Column(scenario=scenario.name, axes=axes) for scenario, axes in cells),
        trials=trials,
        build_seconds={"search": expected.seconds},
        least=expected.least,
        most=expected.most,
        basis=estimate.basis(left.recorded),
        recorded=left.recorded,
        also=tuple(also),
        before=before,
        search=Search(
            what=f"{plural(commits, 'candidate')} between {ends}"
            f" ({plural(distinct, 'different build')})",
            spared=tuple(spared),
            steps=step.expected_steps,
            builds=len(left.builds(step)),
            at_once=at_once.cells if at_once else 1,
            compiles=at_once.compiles if at_once else 1,
        ),
        known=tuple(known),
        tried_at=tuple(tried_at),
    )


def covering_seconds(builder: Builder, newer: Variant) -> float:
    """Return the expected seconds of an instrumented build of *newer* and its run."""
    counting = replace(builder, recipe=replace(builder.recipe, cover=True))
    return _COVERED_RUN + (0.0 if isinstance(counting.cached(newer), Build) else COLD)

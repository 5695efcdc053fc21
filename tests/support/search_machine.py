"""A machine on which a bisection runs without compiling: a build is an entry in the cache.

The repository is real. Builds take minutes or seconds by chance; trials err, and each is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import worlds
from buildkit_bisect.builds import Builder, store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.campaign import candidates
from buildkit_bisect.campaign.bisect import Bisection
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.driver import Campaign, Work
from buildkit_bisect.campaign.find_good import GoodEndBisection
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Event, Planned, Said, Silent, StepAsked
from buildkit_bisect.lab.ahead import Wanted
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, Observation, Outcome, Variant, Verdict
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.patch.patches import Patch
from buildkit_bisect.result import BisectInfo
from buildkit_bisect.scenario import Axis, Scenario, outcome
from buildkit_bisect.scenario.definition import Rule
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, words

CACHED = Outcome(name="cached", verdict=Verdict.GOOD, reason="")
DROPPED = Outcome(name="dropped", verdict=Verdict.BAD, reason="")

SIZE = 60
CULPRIT = 41


def scenario(*cells: str) -> Scenario:
    """Return a scenario with one axis, ``at``, with a value for each of *cells*."""
    return Scenario(
        name="s",
        title="t",
        issue="https://example.org",
        summary="",
        axes={"at": Axis(values=cells)},
        images={},
        steps=(),
        outcomes=(),
    )


def line_of_commits(path: Path) -> GolangRepo:
    """Return a line of commits, each another build, the last ones with a newer Go."""
    repo = GolangRepo.create(path)
    for number in range(1, SIZE + 1):
        files: dict[str, str | None] = {"util/words/words.go": words(f"word {number}")}
        if number == SIZE - 10:
            files["Dockerfile"] = "ARG GO_VERSION=1.26\nFROM scratch\n"
        repo.commit(f"c{number}", files)
    return repo


def usual(_cell: str, at: int) -> float:
    """Return how often a trial is bad: often from the culprit on, sometimes before it."""
    return 0.85 if at >= CULPRIT else 0.1


@dataclass(kw_only=True)
class Machine:
    """Runs bisections; *rate* says how often a cell is bad at the commit of a number."""

    source: GitSource
    line: Line
    builder: Builder
    seed: int
    cells: tuple[str, ...] = ("lazy",)
    rate: Callable[[str, int], float] = usual
    outcomes: tuple[Rule, ...] = ()  # of the scenario; trials do not judge by them
    folder: Path = Path("/nowhere")
    worker: Callable[[Variant], str] = lambda _: ""  # that runs the trials of a variant
    built: Counter[str] = field(default_factory=Counter)
    compiled_at_once: list[int] = field(default_factory=list)  # builds that were missing
    trials: Counter[tuple[str, str]] = field(default_factory=Counter)  # stored, of a cell's commit

    def build(self, commit: str) -> Build:
        variant = self.line.variant(commit)
        known = self.builder.cached(variant)
        if isinstance(known, Build):
            return known
        seconds = worlds.dice((self.seed, commit)).lognormvariate(3.5, 0.7)
        with paths.scratch("build") as made:
            entry = made / "entry"
            entry.mkdir()
            for name in ("buildkitd", "buildctl"):
                (entry / name).touch()
            sums = {f"{p}_sha256": commit for p in ("buildkitd", "buildctl")}
            meta = {"key": commit, "go": "1.25.5", "source": "git", "seconds": seconds, **sums}
            build = store.save(entry, meta)
        # The request is what the builder looks builds up by.
        store.remember(self.builder._request(variant), commit)
        self.built[commit] += 1
        return build

    def trial(self, cell: str, commit: str, number: int) -> Outcome:
        rate = self.rate(cell, self.line.history.number(commit))
        dice = worlds.dice((self.seed, commit, number, *([cell] if cell != "lazy" else [])))
        return DROPPED if dice.random() < rate else CACHED

    def plan(self, **options: Any) -> Planned:
        """Return the plan of a bisection."""
        setup, request = self._asked(options)
        return Bisection(setup, request, ()).plan()

    def settled(self, **options: Any) -> BisectInfo | None:
        """Return what is known of a bisection before it starts: a refusal, or None."""
        setup, request = self._asked(options)
        found = Bisection(setup, request, ()).settled()
        return found.bisect if found else None

    def search(self, **options: Any) -> tuple[BisectInfo, Seen]:
        """Run a bisection, as the task does; without a revert at the end by default."""
        setup, request = self._asked(options)
        seen = Seen()
        work = Work(lab=cast("Lab", Bench(self)), events=seen, folder=self.folder)
        searched = Bisection if request.good else GoodEndBisection
        campaign: Campaign = searched(setup, request, ())
        found = campaign.run(work)
        assert found.bisect
        seen.cells = [(c.axes["at"], c.revision, sum(c.counts.values())) for c in found.cells]
        return found.bisect, seen

    def _asked(self, options: Mapping[str, Any]) -> tuple[Setup, Bisect]:
        ends = {"good": self.line.good, "bad": self.line.bad}
        request = Bisect(**{**ends, "no_verify": True, **options})
        setup = Setup(
            events=Silent(),
            source=self.source,
            builder=self.builder,
            request=request,
            scenarios=(replace(scenario(*self.cells), outcomes=self.outcomes),),
        )
        return setup, request


class Seen:
    """Keeps the events of a search, and the cells of its document: (cell, commit, trials)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.cells: list[tuple[str, str, int]] = []

    def emit(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def steps(self) -> list[StepAsked]:
        """What the search asked for."""
        return [event for event in self.events if isinstance(event, StepAsked)]

    @property
    def rounds(self) -> list[list[StepAsked]]:
        """What it asked for at once."""
        found: list[list[StepAsked]] = []
        for before, event in pairwise([None, *self.events]):
            if isinstance(event, StepAsked):
                found += [] if isinstance(before, StepAsked) else [[]]
                found[-1].append(event)
        return found

    @property
    def said(self) -> list[str]:
        """What it reported in words."""
        return [event.text for event in self.events if isinstance(event, Said)]


class Bench:
    """Stands for a lab: builds are cache entries, trials are drawn and stored.

    A commit with a patch is good: the only patch is a revert.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.build_seconds = 0.0

    def build(self, variant: Variant) -> Build:
        return self._machine.build(variant.revision.sha)

    def add_patch(self, patch: Patch) -> None:
        """Nothing is built from it."""

    def ahead(self, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
        builder = self._machine.builder
        self._machine.compiled_at_once.append(
            sum(not builder.cached(one.variant) for one in wanted)
        )
        yield from wanted

    def cell(
        self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
    ) -> Cell:
        commit, at = variant.revision.sha, dict(axes)["at"]
        numbers = range(after, after + trials)
        judged = tuple(
            CACHED if variant.patches else self._machine.trial(at, commit, n) for n in numbers
        )
        known = self._machine.trials[at, commit]
        self._machine.trials[at, commit] = max(known, after + trials)
        combined, counts = outcome.combine(judged)
        return Cell(
            variant=variant,
            scenario=scenario,
            axes=axes,
            build=self.build(variant),
            outcome=combined,
            counts=counts,
            judged=judged,
            trials=tuple(
                Trial(
                    observation=Observation(
                        steps=(),
                        seconds=2.0 + n % 3,
                        facts={"worker": self._machine.worker(variant)},
                    ),
                    origin=Origin.STORED if n < known else Origin.NOW,
                )
                for n in numbers
            ),
        )


def walk(found: BisectInfo) -> list[tuple[str, str, dict[str, int]]]:
    """Return what a search asked for, and the trials that answered."""
    return [(s.phase, s.sha, s.counts) for s in (*found.gate, *found.steps)]


def machine(
    repo: GolangRepo,
    seed: int,
    *,
    cells: tuple[str, ...] = ("lazy",),
    rate: Callable[[str, int], float] = usual,
) -> Machine:
    """Return a machine for a search over the whole *repo*."""
    source = GitSource.open(str(repo.path))
    line = candidates.load(source, repo.commits["base"], "master", (), releases=False)
    builder = Builder(source=source, recipe=Recipe(goarch="amd64"))
    return Machine(source=source, line=line, builder=builder, seed=seed, cells=cells, rate=rate)

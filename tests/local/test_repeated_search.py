"""The same search again: builds that it made are there, and it asks for the same commits.

The repository is real and nothing is compiled: a build is an entry in the cache.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

import worlds
from buildkit_bisect.builds import Builder, store
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.campaign import candidates
from buildkit_bisect.campaign.bisect import Bisection
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.campaign.driver import Work
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.events import Event, Silent, StepAsked
from buildkit_bisect.lab.cell import Cell, Origin, Trial
from buildkit_bisect.lab.lab import Lab
from buildkit_bisect.model import Axes, Build, Observation, Outcome, Variant, Verdict
from buildkit_bisect.options.requests import Bisect
from buildkit_bisect.result import BisectInfo
from buildkit_bisect.scenario import Axis, Scenario, outcome
from buildkit_bisect.source import GitSource
from buildkit_bisect.system import paths
from golang_repo import GolangRepo, words

pytestmark = pytest.mark.local

CACHED = Outcome(name="cached", verdict=Verdict.GOOD, reason="")
DROPPED = Outcome(name="dropped", verdict=Verdict.BAD, reason="")
SCENARIO = Scenario(
    name="s",
    title="t",
    issue="https://example.org",
    summary="",
    axes={"at": Axis(values=("lazy",))},
    images={},
    steps=(),
    outcomes=(),
)

SIZE = 60
CULPRIT = 41


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BKBISECT_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> GolangRepo:
    """Return a line of commits, each another build, the last ones with a newer Go."""
    repo = GolangRepo.create(tmp_path_factory.mktemp("repo") / "upstream")
    for number in range(1, SIZE + 1):
        files: dict[str, str | None] = {"util/words/words.go": words(f"word {number}")}
        if number == SIZE - 10:
            files["Dockerfile"] = "ARG GO_VERSION=1.26\nFROM scratch\n"
        repo.commit(f"c{number}", files)
    return repo


@dataclass(kw_only=True)
class Machine:
    """Builds take minutes or seconds by chance; trials err, and each is stored as it was."""

    source: GitSource
    line: Line
    builder: Builder
    seed: int
    built: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)  # of a commit that are stored

    def build(self, commit: str) -> Build:
        variant = self.line.variant(commit)
        known = self.builder.cached(variant)
        if isinstance(known, Build):
            return known
        seconds = worlds.dice((self.seed, commit)).lognormvariate(3.5, 0.7)
        with paths.scratch("build") as made:
            entry = made / "entry"
            entry.mkdir()
            sums = {f"{p}_sha256": commit for p in ("buildkitd", "buildctl")}
            meta = {"key": commit, "go": "1.25.5", "source": "git", "seconds": seconds, **sums}
            build = store.save(entry, meta)
        # The request is what the builder looks builds up by.
        store.remember(self.builder._request(variant), commit)
        self.built[commit] += 1
        return build

    def trial(self, commit: str, number: int) -> Outcome:
        at = self.line.history.number(commit)
        rate = 0.85 if at >= CULPRIT else 0.1
        dice = worlds.dice((self.seed, commit, number))
        return DROPPED if dice.random() < rate else CACHED

    def search(self, *, fresh: bool = False) -> tuple[BisectInfo, list[StepAsked]]:
        """Run a bisection, as the task does, without a revert at the end."""
        request = Bisect(
            good=self.line.good, bad=self.line.bad, no_verify=True, fresh=fresh, find_fix=False
        )
        setup = Setup(
            events=Silent(),
            source=self.source,
            builder=self.builder,
            request=request,
            scenarios=(SCENARIO,),
        )
        asked = Asked()
        work = Work(lab=cast("Lab", Bench(self)), events=asked, folder=Path("/nowhere"))
        found = Bisection(setup, request, ()).run(work).bisect
        assert found
        assert found.status == "found", found
        return found, asked.steps


class Asked:
    """Keeps what a search asked for."""

    def __init__(self) -> None:
        self.steps: list[StepAsked] = []

    def emit(self, event: Event, /) -> None:
        if isinstance(event, StepAsked):
            self.steps.append(event)


class Bench:
    """Stands for a lab: builds are cache entries, trials are drawn and stored."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.build_seconds = 0.0

    def build(self, variant: Variant) -> Build:
        return self._machine.build(variant.revision.sha)

    def cell(
        self, variant: Variant, scenario: Scenario, axes: Axes, trials: int, *, after: int = 0
    ) -> Cell:
        commit = variant.revision.sha
        numbers = range(after, after + trials)
        judged = tuple(self._machine.trial(commit, n) for n in numbers)
        known = self._machine.trials[commit]
        self._machine.trials[commit] = max(known, after + trials)
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
                    observation=Observation(steps=(), seconds=2.0 + n % 3),
                    origin=Origin.STORED if n < known else Origin.NOW,
                )
                for n in numbers
            ),
        )


def walk(found: BisectInfo) -> list[tuple[str, str, dict[str, int]]]:
    return [(s.phase, s.sha, s.counts) for s in (*found.gate, *found.steps)]


def machine(repo: GolangRepo, seed: int) -> Machine:
    source = GitSource.open(str(repo.path))
    line = candidates.load(source, repo.commits["base"], "master", (), releases=False)
    builder = Builder(source=source, recipe=Recipe(goarch="amd64"))
    return Machine(source=source, line=line, builder=builder, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_search_again_has_the_same_steps_and_confidence(
    repo: GolangRepo, seed: int
) -> None:
    here = machine(repo, seed)
    found, _ = here.search()
    builds = here.built.copy()
    assert len(builds) > 5
    again, asked = here.search()
    assert walk(again) == walk(found)
    assert (again.first_bad, again.confidence) == (found.first_bad, found.confidence)
    assert again.candidates == found.candidates
    assert here.built == builds, "nothing is built twice, and nothing else is built"
    assert max(step.most for step in asked) == 5, "seconds, since all of it is stored"


def test_without_what_the_first_search_knew_the_walk_changes(repo: GolangRepo) -> None:
    """What is built costs nothing, so it is asked for first."""
    changed = 0
    for seed in range(4):
        here = machine(repo, seed)
        found, _ = here.search(fresh=True)
        again, _ = here.search(fresh=True)
        changed += walk(again) != walk(found)
    assert changed


def test_the_go_version_of_each_commit_is_known(repo: GolangRepo) -> None:
    go = machine(repo, 0).line.go
    assert go[repo.commits["c1"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 11}"]] == "1.25"
    assert go[repo.commits[f"c{SIZE - 10}"]] == "1.26"

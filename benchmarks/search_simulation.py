"""How often the search is right, and what it costs, on histories with a known culprit.

    .venv/bin/python benchmarks/search_simulation.py --runs 1000 --write docs/search.md

Every row is a whole search, from the first trial of an endpoint to the last trial of the proof.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import section

from buildkit_bisect.model import Verdict
from buildkit_bisect.search import Ask, FlatCost, Found, Phase, SearchOptions, Tested
from buildkit_bisect.search.history import History
from buildkit_bisect.search.session import BisectSession

VERDICTS = {"cached": Verdict.GOOD, "dropped": Verdict.BAD}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """The rates, the costs and the options of a search."""

    name: str
    with_it: float = 1.0  # rate of the new behaviour with the culprit
    without: float = 0.0
    candidates: int = 410
    build: float = 10.0  # seconds; a trial takes 1
    trials: int | None = None
    confidence: float = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Means over the runs of one scenario."""

    scenario: Scenario
    runs: int
    right: float
    wrong: float  # another commit was named
    search_trials: float  # without the endpoints and the proof
    all_trials: float
    search_builds: float  # without the two endpoints
    step_seconds: float  # the slowest decision


SCENARIOS = (
    Scenario(name="no noise, one trial each", trials=1),
    Scenario(name="no noise, automatic"),
    Scenario(name="5 % errors both ways, trials only", with_it=0.95, without=0.05, build=0.0),
    Scenario(name="5 % errors both ways, builds", with_it=0.95, without=0.05),
    Scenario(name="reproduces in 0.8", with_it=0.8),
    Scenario(name="reproduces in 0.5", with_it=0.5),
    Scenario(name="reproduces in 0.3", with_it=0.3),
)


def simulate(scenario: Scenario, *, runs: int, seed: int = 1) -> Row:
    """Run one scenario *runs* times, with culprits and trials drawn from *seed*."""
    line = [f"c{i}" for i in range(scenario.candidates + 1)]
    history = History({sha: line[i - 1 : i] if i else [] for i, sha in enumerate(line)})
    right = wrong = search_trials = all_trials = builds = 0
    slowest = 0.0
    for run in range(runs):
        rng = random.Random(f"{seed}/{run}")  # noqa: S311 - not for secrets
        culprit = rng.randint(1, scenario.candidates)
        session = BisectSession(
            history,
            good=line[0],
            bad=line[-1],
            options=SearchOptions(trials=scenario.trials, confidence=scenario.confidence),
            cost=FlatCost(build=scenario.build, trial=1.0),
        )
        built: set[str] = set()
        while True:
            start = time.perf_counter()
            step = session.next()
            slowest = max(slowest, time.perf_counter() - start)
            if not isinstance(step, Ask):
                break
            rate = scenario.with_it if int(step.commit[1:]) >= culprit else scenario.without
            tested = _run(step, rng, rate)
            ran = sum(tested.counts.values())
            all_trials += ran
            if step.phase not in {Phase.GATE, Phase.CALIBRATE, Phase.PROOF}:
                search_trials += ran
            built.add(step.commit)
            session.tell(step.commit, tested)
        builds += len(built) - 2
        if isinstance(step, Found):
            right += step.first_bad == line[culprit]
            wrong += step.first_bad != line[culprit]
    return Row(
        scenario=scenario,
        runs=runs,
        right=right / runs,
        wrong=wrong / runs,
        search_trials=search_trials / runs,
        all_trials=all_trials / runs,
        search_builds=builds / runs,
        step_seconds=slowest,
    )


def _run(ask: Ask, rng: random.Random, rate: float) -> Tested:
    counts = {"cached": 0, "dropped": 0}
    for _ in range(ask.trials):
        counts["dropped" if rng.random() < rate else "cached"] += 1
        if ask.until_bad and counts["dropped"]:
            break
    return Tested(counts=counts, verdicts=VERDICTS)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = (
        "| scenario | runs | right | wrong commit | trials in the search | trials in all "
        "| builds beside the ends |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    lines = [
        f"| {r.scenario.name} | {r.runs} | {r.right:.1%} | {r.wrong:.1%} | "
        f"{r.search_trials:.1f} | {r.all_trials:.1f} | {r.search_builds:.1f} |"
        for r in rows
    ]
    return "\n".join([head, *lines])


def main(argv: Sequence[str]) -> int:
    """Print the table, or write it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    rows = []
    for scenario in SCENARIOS:
        if options.only in scenario.name:
            rows.append(simulate(scenario, runs=options.runs, seed=options.seed))
            sys.stderr.write(f"{rows[-1]}\n")
    text = table(rows)
    section.put(options.write, "simulation", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

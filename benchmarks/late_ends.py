"""Seconds of searches whose ends are built last, or not at all, beside those that begin with them.

    benchmarks/late_ends.py --repo ~/src/buildkit --write docs/performance.md

Every so many commits of a range one is taken for the culprit, and the range is searched as `bisect`
does in automatic mode, with no trial that errs, from cold caches. What a build takes is predicted
as the search predicts it: the first one of a minor version of Go compiles everything.

    benchmarks/late_ends.py --rates --write docs/search.md

shows how often each search is right where trials err, and its trials, on a line of which the
older third has another version of Go.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import section
import simulated

from buildkit_bisect.campaign import candidates
from buildkit_bisect.campaign.candidates import Line
from buildkit_bisect.search import Ask, Found, NearestBuilt, Tested
from buildkit_bisect.search.session import BisectSession
from buildkit_bisect.source import GitSource

#: Which ends are run first: *late* and *neither* of a session.
WAYS = {
    "the good end first": (False, False),
    "a nearer end first": (True, False),
    "neither end first": (True, True),
}

RANGES = ("v0.28.0..v0.32.0", "v0.26.0..v0.32.2", "v0.24.0..v0.26.0", "v0.13.0..v0.32.0")


#: Rates at which what the change brings shows with and without it; if they are the same, nothing
#: changes, and a search should name no commit.
RATES = ((1.0, 0.0), (0.9, 0.1), (0.5, 0.0), (0.6, 0.1), (0.3, 0.3), (0.5, 0.5))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one search."""

    builds: int
    seconds: float
    trials: int
    ends: tuple[str, ...]  # those that were run


def search(line: Line, culprit: str, way: str) -> Cost:
    """Run a search whose trials show the truth."""
    cost = candidates.model(line, candidates.NOTHING_KNOWN)
    session = BisectSession(
        line.history,
        good=line.good,
        bad=line.bad,
        cost=cost,
        same_build=line.same_build,
        labels=line.labels,
        late=WAYS[way][0],
        neither=WAYS[way][1],
    )
    built: set[str] = set()
    seconds, trials, asked = 0.0, 0, set()
    while isinstance(step := session.next(), Ask):
        key = line.same_build.get(step.commit, step.commit)
        if key not in built:
            seconds += cost.build_seconds(step.commit)
        built.add(key)
        asked.add(step.commit)
        trials += step.trials
        shown = "dropped" if line.history.contains(step.commit, culprit) else "cached"
        session.tell(
            step.commit,
            Tested(counts={shown: step.trials}, verdicts=simulated.VERDICTS, binary=key),
        )
    assert isinstance(step, Found), step
    assert step.first_bad == culprit, step
    ends = tuple(end for end in (line.good, line.bad) if end in asked)
    return Cost(builds=len(built), seconds=seconds, trials=trials, ends=ends)


def culprits(line: Line, count: int) -> list[str]:
    """Return about *count* commits between the ends; no build may be with and without one."""
    history = line.history
    reach = history.ancestors(line.bad) & ~history.ancestors(line.good)
    found = []
    for sha in history.shas(reach):
        has = {key for c, key in line.same_build.items() if history.contains(c, sha)}
        lacks = {key for c, key in line.same_build.items() if not history.contains(c, sha)}
        if not has & lacks:
            found.append(sha)
    return found[:: max(1, len(found) // count)]


def table(source: GitSource, ranges: Sequence[str], count: int) -> str:
    """Return the means of each range as a table."""
    lines = [
        f"| range | searches | {' | '.join(WAYS)} | saved | good end run | bad end run |",
        f"| --- | ---: |{' ---: |' * (len(WAYS) + 3)}",
    ]
    for between in ranges:
        good, bad = between.split("..")
        line = candidates.load(source, good, bad, (), releases=False)
        found = culprits(line, count)
        costs = {way: [search(line, sha, way) for sha in found] for way in WAYS}
        seconds = [mean(c.seconds for c in of) for of in costs.values()]
        builds = [mean(c.builds for c in of) for of in costs.values()]
        texts = [f"{n:.1f} builds, {s:.0f} s" for n, s in zip(builds, seconds, strict=True)]
        last = [*costs.values()][-1]
        run = [sum(end in c.ends for c in last) for end in (line.good, line.bad)]
        lines.append(
            f"| {between} | {len(found)} | {' | '.join(texts)} |"
            f" {1 - seconds[-1] / seconds[0]:.0%} | {run[0]} | {run[1]} |"
        )
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


def noisy(with_it: float, without: float, run: int, way: str) -> tuple[bool | None, int]:
    """Return whether a search named the right commit, None if it named none, and its trials."""
    shape = simulated.line(127)
    rng = random.Random(f"{with_it}/{without}/{run}")  # noqa: S311 - no secret
    culprit = rng.choice(shape.candidates)
    answers = simulated.Trials(
        shape=shape,
        rng=rng,
        culprit=culprit,
        with_it=with_it,
        without=without,
        find_fix=False,
    )
    line = (shape.old, *shape.candidates)
    go = {sha: "1.25" if n < len(line) / 3 else "1.26" for n, sha in enumerate(line)}
    session = BisectSession(
        shape.history,
        good=shape.old,
        bad=shape.new,
        cost=NearestBuilt(line, go=go),
        late=WAYS[way][0],
        neither=WAYS[way][1],
    )
    while isinstance(step := session.next(), Ask):
        session.tell(step.commit, answers.answer(step))
    return (step.first_bad == culprit if isinstance(step, Found) else None), answers.ran


def rates(runs: int) -> str:
    """Return how often each kind of search is right where trials err, as a table."""
    lines = [
        f"| rates with / without the change | {' | '.join(WAYS)} |",
        f"| --- |{' ---: |' * len(WAYS)}",
    ]
    for with_it, without in RATES:
        texts = []
        for way in WAYS:
            found = [noisy(with_it, without, run, way) for run in range(runs)]
            wrong = sum(right is False for right, _ in found)
            none = sum(right is None for right, _ in found)
            trials = mean(trials for _, trials in found)
            texts.append(f"{wrong / runs:.1%} wrong, {none / runs:.1%} none, {trials:.1f} trials")
        lines.append(f"| {with_it:g} / {without:g} | {' | '.join(texts)} |")
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", default="https://github.com/moby/buildkit")
    parser.add_argument("--ranges", default=",".join(RANGES))
    parser.add_argument("--searches", type=int, default=24, help="in each range")
    parser.add_argument("--rates", action="store_true", help="searches whose trials err")
    parser.add_argument("--runs", type=int, default=400, help="of each pair of rates")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    if options.rates:
        section.put(options.write, "late-ends rates", rates(options.runs))
        return 0
    source = GitSource.open(options.repo)
    found = table(source, options.ranges.split(","), options.searches)
    section.put(options.write, "late-ends", found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

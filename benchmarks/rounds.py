"""Rounds, builds and trials of searches that ask for 1, 2, 4 and 8 commits at once.

    benchmarks/rounds.py --write docs/search.md

A search is simulated: trials show the change at known rates. Each number of commits at once
searches the same histories for the same commits: a line of 127 candidates, and histories with
branches and merges of about 120 commits. A round is what is asked for at once; the ends and the
proof are counted, as are their builds and trials.
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

from buildkit_bisect.search import (
    BisectSession,
    FlatCost,
    Found,
    History,
    SearchOptions,
)

AT_ONCE = (1, 2, 4, 8)

#: The seconds of a build and of a trial.
BUILD, TRIAL = 30.0, 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Searches of one row."""

    name: str
    branches: bool
    trials: int | None
    with_it: float = 1.0
    without: float = 0.0


KINDS = (
    Kind(name="line, `--trials 1`", branches=False, trials=1),
    Kind(name="merges, `--trials 1`", branches=True, trials=1),
    Kind(name="line", branches=False, trials=None),
    Kind(name="merges", branches=True, trials=None),
    Kind(name="line, 0.9 / 0.1", branches=False, trials=None, with_it=0.9, without=0.1),
    Kind(name="line, 0.5 / 0", branches=False, trials=None, with_it=0.5),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one search."""

    right: bool | None  # None: no commit was named
    rounds: int
    builds: int
    trials: int


def merged(rng: random.Random, size: int) -> simulated.Shape:
    """Return a history of about *size* commits: a line that merges branches from older commits."""
    parents: dict[str, list[str]] = {"m0": []}
    line = ["m0"]
    while len(parents) < size:
        tips = []
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            tip = rng.choice(line[-6:])
            for _ in range(rng.choice((1, 1, 2, 3, 6))):
                own = f"b{len(parents)}"
                parents[own], tip = [tip], own
            tips.append(tip)
        line.append(f"m{len(line)}")
        parents[line[-1]] = [line[-2], *tips]
    history = History(parents)
    inside = history.ancestors(line[-1]) & ~history.ancestors("m0")
    return simulated.Shape(
        name="merges", history=history, old="m0", new=line[-1], candidates=history.shas(inside)
    )


def search(kind: Kind, run: int, at_once: int) -> Cost:
    """Run one search."""
    rng = random.Random(f"{kind.name}/{run}")  # noqa: S311 - no secret
    shape = merged(rng, 120) if kind.branches else simulated.line(127)
    culprit = rng.choice(shape.candidates)
    answers = simulated.Trials(
        shape=shape,
        rng=rng,
        culprit=culprit,
        with_it=kind.with_it,
        without=kind.without,
        find_fix=False,
    )
    session = BisectSession(
        shape.history,
        good=shape.old,
        bad=shape.new,
        options=SearchOptions(trials=kind.trials),
        cost=FlatCost(build=BUILD, trial=TRIAL),
    )
    rounds, built = 0, set()
    while isinstance(asks := session.next_k(at_once), tuple):
        rounds += 1
        for ask in asks:
            built.add(ask.commit)
            session.tell(ask.commit, answers.answer(ask))
    right = asks.first_bad == culprit if isinstance(asks, Found) else None
    return Cost(right=right, rounds=rounds, builds=len(built), trials=answers.ran)


def table(runs: int) -> str:
    """Return the means of each kind of search as a table."""
    lines = [
        f"| searches | {' | '.join(f'{k} at once' for k in AT_ONCE)} |",
        f"|---|{'--:|' * len(AT_ONCE)}",
    ]
    for kind in KINDS:
        texts = []
        for at_once in AT_ONCE:
            costs = [search(kind, run, at_once) for run in range(runs)]
            text = (
                f"{mean(c.rounds for c in costs):.1f} / {mean(c.builds for c in costs):.1f}"
                f" / {mean(c.trials for c in costs):.1f}"
            )
            if kind.with_it < 1:
                text += f", {sum(c.right is False for c in costs) / runs:.1%} wrong"
            texts.append(text)
        lines.append(f"| {kind.name} | {' | '.join(texts)} |")
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="of each kind of search")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    section.put(options.write, "rounds", table(options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

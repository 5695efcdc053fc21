"""Builds and trials that a search says are still to come, beside those that come.

    benchmarks/asks_left.py --write docs/search.md

Whole searches on a line, in automatic mode, whose trials err at given rates. At each ask of a
search both are counted: a cell of the table is the mean of what was said, and of what came.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import section
import simulated

from buildkit_bisect.search import Ask, NearestBuilt, Phase
from buildkit_bisect.search.session import BisectSession

RATES = ((1.0, 0.0), (0.95, 0.05), (0.9, 0.1), (0.8, 0.2), (0.6, 0.1), (0.5, 0.0), (0.3, 0.0))

#: Parts of a search, by the share of its asks that came before.
PARTS = ("at the ends", "first third", "second third", "last third")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One ask: what is to come, as it says and as it was."""

    part: str
    builds: tuple[int, int]
    trials: tuple[float, float]


def searched(with_it: float, without: float, run: int, candidates: int) -> Iterator[Said]:
    """Search once, and yield each ask."""
    shape = simulated.line(candidates)
    rng = random.Random(f"{with_it}/{without}/{run}")  # noqa: S311 - no secret
    answers = simulated.Trials(
        shape=shape,
        rng=rng,
        culprit=rng.choice(shape.candidates),
        with_it=with_it,
        without=without,
        find_fix=False,
    )
    cost = NearestBuilt((shape.old, *shape.candidates))
    session = BisectSession(shape.history, good=shape.old, bad=shape.new, cost=cost)
    asks: list[tuple[Ask, int, int]] = []  # with the builds and trials before it
    built: set[str] = set()
    while isinstance(ask := session.next(), Ask):
        asks.append((ask, len(built), answers.ran))
        built.add(ask.commit)
        session.tell(ask.commit, answers.answer(ask))
    gate = sum(ask.phase is Phase.GATE for ask, _, _ in asks)
    for at, (ask, builds, trials) in enumerate(asks):
        third = 1 + 3 * (at - gate) // max(1, len(asks) - gate)
        yield Said(
            part=PARTS[third if at >= gate else 0],
            builds=(sum(b > 0 for b in ask.builds_left), len(built) - builds),
            trials=(ask.trials_left, answers.ran - trials),
        )


def table(runs: int, candidates: int) -> str:
    """Return the means as a table."""
    heads = [f"{what}, {part}" for what in ("builds", "trials") for part in PARTS]
    lines = [f"| rates | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for rates in RATES:
        found: dict[str, list[Said]] = defaultdict(list)
        for run in range(runs):
            for said in searched(*rates, run, candidates):
                found[said.part].append(said)
        cells = [_means([s.builds for s in found[part]]) for part in PARTS]
        cells += [_means([s.trials for s in found[part]]) for part in PARTS]
        lines.append(f"| {rates[0]:g} / {rates[1]:g} | {' | '.join(cells)} |")
        sys.stderr.write(f"{lines[-1]}\n")
    return "\n".join(lines)


def _means(pairs: Sequence[tuple[float, float]]) -> str:
    return f"{mean(said for said, _ in pairs):.1f} / {mean(came for _, came in pairs):.1f}"


def main(argv: Sequence[str]) -> int:
    """Print the table, or put it between the marks of a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40, help="searches of each pair of rates")
    parser.add_argument("--candidates", type=int, default=127)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args(argv)
    section.put(options.write, "asks left", table(options.runs, options.candidates))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

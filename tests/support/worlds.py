"""Generated histories with a known culprit, and a caller that answers a session accordingly."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from buildkit_bisect.model import Verdict
from buildkit_bisect.search import Answer, Ask, BisectSession, Phase, Skip, SkipKind, Tested

VERDICTS = {
    "cached": Verdict.GOOD,
    "dropped": Verdict.BAD,
    "crash": Verdict.BAD,
    "odd": Verdict.WEAK,
}
BROKEN = Tested(skip=Skip(kind=SkipKind.BUILD, reason="undefined: x"))


def seen(**counts: int) -> Tested:
    """Return trials by outcome name."""
    return Tested(counts=counts, verdicts={name: VERDICTS[name] for name in counts})


def dice(seed: object) -> random.Random:
    """Return a random generator that *seed* determines."""
    return random.Random(str(seed))  # noqa: S311 - not for secrets


def linear(n: int) -> dict[str, list[str]]:
    """Return c0 (the good endpoint) to cN: n candidates."""
    return {f"c{i}": [f"c{i - 1}"] if i else [] for i in range(n + 1)}


@dataclass
class World:
    """A DAG, the culprit and an optional fix, and the commits that do not build."""

    parents: Mapping[str, Sequence[str]]
    culprit: str
    fix: str = ""
    broken: frozenset[str] = frozenset()
    builds: set[str] = field(default_factory=set)
    asks: list[Ask] = field(default_factory=list)

    def ancestors(self, sha: str) -> set[str]:
        found, todo = set(), [sha]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo.extend(self.parents.get(one, ()))
        return found

    def is_new(self, sha: str) -> bool:
        inside = self.ancestors(sha)
        return self.culprit in inside and self.fix not in inside

    def answer(self, ask: Ask) -> Tested:
        if ask.commit in self.broken:
            return BROKEN
        outcome = "dropped" if self.is_new(ask.commit) else "cached"
        return seen(**{outcome: ask.trials})


def drive(
    session: BisectSession, answer: Callable[[Ask], Tested], *, limit: int = 400
) -> tuple[Answer, list[Ask]]:
    """Answer every ask; return the result and the asks."""
    asks: list[Ask] = []
    while isinstance(step := session.next(), Ask):
        asks.append(step)
        assert len(asks) < limit, "the search does not end"
        session.tell(step.commit, answer(step))
    return step, asks


def searched(asks: Sequence[Ask]) -> list[Ask]:
    """Return the asks of the search itself, without the endpoints and the proof."""
    return [a for a in asks if a.phase not in {Phase.GATE, Phase.CALIBRATE, Phase.PROOF}]


@st.composite
def histories(draw: st.DrawFn, *, largest: int = 40) -> dict[str, list[str]]:
    """A mainline with branches from old bases, nested branches, and octopus merges.

    ``m0`` is the root, and the last ``m`` commit contains everything.
    """
    seed = draw(st.integers(0, 2**32 - 1))
    size = draw(st.integers(2, largest))
    return random_history(dice(seed), size)


def random_history(rng: random.Random, size: int) -> dict[str, list[str]]:
    """Return about *size* commits, determined by *rng*."""
    parents: dict[str, list[str]] = {"m0": []}
    line = ["m0"]
    serial = 0
    while len(parents) < size:
        merged = []
        for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3])):
            tip = rng.choice(line[-6:])
            own: list[str] = []
            for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
                serial += 1
                above = [tip]
                if own and rng.random() < 0.15:
                    above.append(rng.choice(line))  # the branch merges main
                parents[f"b{serial}"] = above
                tip = f"b{serial}"
                own.append(tip)
            merged.append(tip)
        line.append(f"m{len(line)}")
        parents[line[-1]] = [line[-2], *merged]
    return parents


def tip_of(parents: Mapping[str, Sequence[str]]) -> str:
    """Return the last mainline commit."""
    return max((c for c in parents if c.startswith("m")), key=lambda c: int(c[1:]))

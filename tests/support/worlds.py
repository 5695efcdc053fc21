"""Generated histories with a known culprit, and a caller that answers a session accordingly."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from buildkit_bisect.model import Verdict
from buildkit_bisect.search import Answer, Ask, Phase, Skip, SkipKind, Tested
from buildkit_bisect.search.session import BisectSession

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
    apart = {Phase.GATE, Phase.CALIBRATE, Phase.DOUBT, Phase.PROOF}
    return [a for a in asks if a.phase not in apart]


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


def tangled_history(rng: random.Random, size: int) -> dict[str, list[str]]:
    """Return about *size* commits: branches of branches, octopus merges on every level."""
    parents: dict[str, list[str]] = {"m0": []}
    line = ["m0"]

    def branch(base: str, depth: int) -> str:
        own = [base]
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            above = [own[-1]]
            if depth and rng.random() < 0.25:
                above += [branch(rng.choice(own), depth - 1) for _ in range(rng.choice([1, 1, 2]))]
            elif len(own) > 1 and rng.random() < 0.1:
                above.append(rng.choice(line))
            own.append(f"b{len(parents)}")
            parents[own[-1]] = above
        return own[-1]

    while len(parents) < size:
        merged = [branch(rng.choice(line[-8:]), 2) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
        line.append(f"m{len(line)}")
        parents[line[-1]] = [line[-2], *merged]
    return parents


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A search whose answer is known: the ends of a world, and its history."""

    world: World
    old: str
    tip: str


def hard_case(seed: int) -> Case:
    """Return a world whose untestable commits hide the culprit in one of the ways they do.

    The older end may be on a release branch, so that the merge base is tested; there the change
    may have been undone, if all commits around the merge base are untestable.
    """
    rng = dice(seed)
    grown = rng.choice([random_history, tangled_history, tangled_history])
    parents = grown(rng, rng.randint(2, 60))
    tip = tip_of(parents)
    line = [f"m{i}" for i in range(int(tip[1:]) + 1)]
    old, base = "m0", "m0"
    if rng.random() < 0.4:
        base = rng.choice(line[:-1])
        parents |= {"r1": [base], "r2": ["r1"]}
        old = "r2"
    inside = World(parents, "m0")
    inner = sorted(inside.ancestors(tip) - {"m0", tip})
    first = rng.randrange(len(line))
    stretch = line[first : first + rng.choice([2, 3, 5, 20])]
    merges = {c for c in inner if len(parents[c]) > 1}
    brought = {c for m in stretch for c in inside.ancestors(m) - inside.ancestors(line[first - 1])}
    share = rng.choice([0.1, 0.3, 0.5, 0.8])
    around = line.index(base)
    kinds: dict[str, set[str]] = {
        "none": set(),
        "some": {c for c in inner if rng.random() < share},
        "stretch of the line": set(stretch),
        "stretch with its branches": brought,
        "merges of a stretch": merges & set(stretch),
        "every merge": merges,
        "around the merge base": set(line[max(1, around - 3) : around + 2]),
    }
    broken = frozenset(kinds[rng.choice(sorted(kinds))] - {"m0", tip, old})
    candidates = inside.ancestors(tip) - inside.ancestors(base)
    fix = ""
    if base in broken and rng.random() < 0.5:
        candidates, fix = inside.ancestors(base) - {"m0"}, "r1"
    world = World(parents, rng.choice(sorted(candidates)), fix=fix, broken=broken)
    return Case(world=world, old=old, tip=tip)


def tip_of(parents: Mapping[str, Sequence[str]]) -> str:
    """Return the last mainline commit."""
    return max((c for c in parents if c.startswith("m")), key=lambda c: int(c[1:]))

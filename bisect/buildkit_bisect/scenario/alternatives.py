"""Rules without ``any`` and ``not``: the alternatives of which one must hold. Pure.

`rules` asks of each whether it can hold, and whether an earlier rule always holds with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import combinations, product

from buildkit_bisect.model import Verdict
from buildkit_bisect.scenario import bounds, runs
from buildkit_bisect.scenario.definition import Condition, Rule, VertexIs

#: Statuses that ``exit`` can name are below the first; a timeout has none, so it gets the second,
#: and an end by a signal the third.
_STATUSES, _LATE, _KILLED = 1000, -1, -2

#: Alternatives of one rule: each is compared with all others.
MOST = 100


class TooMany(Exception):
    """A rule has more than `MOST` alternatives."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """Facts that must hold together, each in so many runs of its step, or in fewer."""

    least: Mapping[Condition, int]  # runs in which a condition must hold at least
    below: Mapping[Condition, int]  # in fewer runs than these it may hold
    chosen: frozenset[str]  # the keys of the conditions of ``any`` that it takes

    @cached_property
    def named(self) -> frozenset[tuple[str, object]]:
        """The keys and values of `least`, but those of which another value may imply one."""
        given = (pair for facts in self.least for pair in _given(facts).items())
        return frozenset(pair for pair in given if pair[0] not in _ORDERED)


def of(rule: Rule, repeats: Mapping[str, int], where: str) -> list[Alternative]:
    """The alternatives of *rule*, whose key is *where*. Raises `TooMany`."""
    parts = [
        _of(condition, rule.verdict, repeats, f"{where}.all[{number}]", negated=False)
        for number, condition in enumerate(rule.all)
    ]
    return _together(parts)


def _of(
    condition: Condition, verdict: Verdict, repeats: Mapping[str, int], where: str, *, negated: bool
) -> list[Alternative]:
    if condition.not_ is not None:
        return _of(condition.not_, verdict, repeats, f"{where}.not", negated=not negated)
    if not condition.any:
        facts = replace(condition, runs="")
        repeat = repeats.get(condition.step, 1)
        count = {facts: runs.needed(condition, verdict, repeat, negated)}
        least, below = ({}, count) if negated else (count, {})
        return [Alternative(least=least, below=below, chosen=frozenset())]
    places = [f"{where}.any[{number}]" for number in range(len(condition.any))]
    parts = [
        _of(one, verdict, repeats, place, negated=negated)
        for one, place in zip(condition.any, places, strict=True)
    ]
    if negated:  # none of them
        return _together(parts)
    found = [
        replace(one, chosen=one.chosen | {place})
        for part, place in zip(parts, places, strict=True)
        for one in part
    ]
    if len(found) > MOST:
        raise TooMany
    return found


def _together(parts: list[list[Alternative]]) -> list[Alternative]:
    """One alternative of each of *parts*, in every combination."""
    made = [Alternative(least={}, below={}, chosen=frozenset())]
    for part in parts:
        if len(made) * len(part) > MOST:
            raise TooMany
        made = [both(one, other) for one, other in product(made, part)]
    return made


def both(one: Alternative, other: Alternative) -> Alternative:
    """The facts of both, which must hold together."""
    least, below = dict(one.least), dict(one.below)
    for facts, count in other.least.items():
        least[facts] = max(count, least.get(facts, 0))
    for facts, count in other.below.items():
        below[facts] = min(count, below.get(facts, count))
    return Alternative(least=least, below=below, chosen=one.chosen | other.chosen)


class Contradictions:
    """Finds them in the alternatives of one rule, which have most of their conditions in common."""

    def __init__(self, repeats: Mapping[str, int]) -> None:
        self._repeats = repeats
        self._known: dict[tuple[int, int, object], bool] = {}

    def of(self, one: Alternative) -> Condition | None:
        """A condition of *one* that clashes with another one of it; None if it can hold."""
        return next(self._all(one), None)

    def _is(
        self, relation: Callable[[Condition, Condition], bool], a: Condition, b: Condition
    ) -> bool:
        asked = id(a), id(b), relation
        if asked not in self._known:
            self._known[asked] = relation(a, b)
        return self._known[asked]

    def _all(self, one: Alternative) -> Iterator[Condition]:
        may = [(facts, n) for facts, n in one.least.items() if _excludes(facts)]
        for (a, n), (b, m) in combinations(may, 2):
            # No run fulfils both, and too few runs are left for that.
            if n + m > self._repeats.get(a.step, 1) and self._is(_exclusive, a, b):
                yield a
        for a, n in one.least.items():
            for b, m in one.below.items():
                if n >= m and self._is(implies, a, b):
                    yield a
        for (a, n), (b, m) in combinations(one.below.items(), 2):
            # Each run fulfils one of both.
            few = (n - 1) + (m - 1) < self._repeats.get(a.step, 1)
            if few and self._is(_exhaustive, a, b):
                yield a


def contradiction(one: Alternative, repeats: Mapping[str, int]) -> Condition | None:
    """A condition of *one* that clashes with another one of it; None if it can hold."""
    return Contradictions(repeats).of(one)


def shadows(earlier: Alternative, later: Alternative) -> bool:
    """Whether *earlier* holds wherever *later* does."""
    return (
        earlier.named <= later.named
        and all(
            any(count >= needed and implies(own, facts) for own, count in later.least.items())
            for facts, needed in earlier.least.items()
        )
        and all(
            any(count <= most and implies(facts, own) for own, count in later.below.items())
            for facts, most in earlier.below.items()
        )
    )


def implies(one: Condition, other: Condition) -> bool:
    """Whether *other* holds in each run in which *one* does."""
    own, wanted = _given(one), _given(other)
    if one.step != other.step:
        return False
    for key, value in wanted.items():
        mine = own.get(key)
        if mine != value and not (
            mine and key in _ORDERED and _narrower(key, str(mine), str(value))
        ):
            return False
    # What both name must be looked for in the same place.
    return all(
        own.get(key) == wanted.get(key)
        for group, keys in _PLACES.items()
        if group in wanted
        for key in keys
    )


@functools.lru_cache(4096)
def _given(condition: Condition) -> Mapping[str, object]:
    """The keys that *condition* has, with their values."""
    values = ((key.name, getattr(condition, key.name)) for key in fields(Condition))
    return {key: value for key, value in values if value not in ("", None, ())}


def _narrower(key: str, mine: str, wanted: str) -> bool:
    """Whether *mine* of a key means that *wanted* of the same one holds too."""
    if key == "exit":
        return statuses(mine) <= statuses(wanted)
    if key == "took":
        (longer, bound), (other, least) = bounds.took(mine), bounds.took(wanted)
        return longer is other and (bound >= least if longer else bound <= least)
    if key in ("over", "under"):
        own, given = bounds.limit(mine), bounds.limit(wanted)
        farther = own.number >= given.number if key == "over" else own.number <= given.number
        return own.of_control is given.of_control and farther
    return False


#: Keys of which one value may imply another: `_narrower`.
_ORDERED = ("exit", "took", "over", "under")

#: What narrows down where a fact is looked for, for each key that begins one.
_PLACES = {
    "vertex": ("vertex",),
    "metric": ("metric",),
    "file": ("file", "output"),
    "image": ("image", "output"),
}


def _excludes(facts: Condition) -> bool:
    """Whether *facts* has a key for which `_exclusive` may be true."""
    others = facts.vertex or facts.inner_layers or facts.metric or facts.file or facts.image
    return bool(facts.exit or others)


def _exclusive(one: Condition, other: Condition) -> bool:
    """Whether no run of a step fulfils both."""
    return one.step == other.step and bool(
        (one.exit and other.exit and statuses(one.exit).isdisjoint(statuses(other.exit)))
        or (one.is_ and other.is_ and one.vertex == other.vertex and one.is_ != other.is_)
        or (one.vertex == other.vertex and _exclusive_vertices(one, other))
        or (one.inner_layers and other.inner_layers and one.inner_layers != other.inner_layers)
        or (_same_place(one, other, "metric") and _exclusive_limits(one, other))
        or (_same_place(one, other, "file") and _exclusive_files(one, other))
        or (_same_place(one, other, "image") and _absent_and_not(one, other))
    )


def _exclusive_vertices(one: Condition, other: Condition) -> bool:
    for a, b in ((one, other), (other, one)):
        if a.is_ is VertexIs.ABSENT and (b.log or b.took or b.before):
            return True
    if not (one.took and other.took):
        return False
    (longer, bound), (second, limit) = bounds.took(one.took), bounds.took(other.took)
    # One vertex took longer than `least`, and each took less than `most`.
    least, most = (bound, limit) if longer else (limit, bound)
    return longer is not second and least >= most


def _same_place(one: Condition, other: Condition, key: str) -> bool:
    places = [tuple(getattr(c, name) for name in _PLACES[key]) for c in (one, other)]
    return bool(places[0][0]) and places[0] == places[1]


def _absent_and_not(one: Condition, other: Condition) -> bool:
    return (one.exists is False) != (other.exists is False)


def _exclusive_files(one: Condition, other: Condition) -> bool:
    modes = [int(c.mode, 8) for c in (one, other) if c.mode]
    times = [c.mtime for c in (one, other) if c.mtime is not None]
    return _absent_and_not(one, other) or len(set(modes)) > 1 or len(set(times)) > 1


def _exclusive_limits(one: Condition, other: Condition) -> bool:
    over = [bounds.limit(c.over) for c in (one, other) if c.over]
    under = [bounds.limit(c.under) for c in (one, other) if c.under]
    if not over or not under or over[0].of_control is not under[0].of_control:
        return False
    return over[0].number >= under[0].number


def _exhaustive(one: Condition, other: Condition) -> bool:
    """Whether each run of a step fulfils one of both."""
    alone = all(c == Condition(step=one.step, exit=c.exit) for c in (one, other))
    if not (alone and one.step and one.exit and other.exit):
        return False
    return statuses(one.exit) | statuses(other.exit) == statuses("ok") | statuses("failed")


def statuses(wanted: str) -> frozenset[int]:
    """The exit statuses that the valid *wanted* is about."""
    if wanted in ("ok", "late"):
        return frozenset({0} if wanted == "ok" else {_LATE})
    if wanted == "failed":
        return frozenset({*range(1, _STATUSES), _LATE, _KILLED})
    low, _, high = wanted.partition("-")
    return frozenset(range(int(low), int(high or low) + 1))

"""Joins results of parts of one matrix, or of several machines, into one. Pure.

Trials of a cell that ran on several machines stay apart: each machine has a cell of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TypeAlias, TypeVar

from buildkit_bisect.errors import BadInput
from buildkit_bisect.result import belonging
from buildkit_bisect.result.belonging import Given
from buildkit_bisect.result.document import CellInfo, Result, ScenarioInfo
from buildkit_bisect.result.parts import PartInfo, of_machines
from buildkit_bisect.result.words import CampaignKind, CampaignStatus

T = TypeVar("T")

#: Folders by name, and None for what is taken as a whole.
_Tree: TypeAlias = "dict[str, _Tree | None]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """A folder or file of evidence, and where it belongs beside the joined document."""

    given: int  # the place of its result among those that were given
    source: str  # as its document names it
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """A document without the name, time and command that whoever writes it adds."""

    result: Result
    carried: tuple[Carried, ...]


@dataclass(kw_only=True, slots=True)
class _Machine:
    """A machine of the joined document, and its cells by what they are."""

    facts: dict[str, str]
    cells: dict[belonging.Key, CellInfo]
    named: bool = True  # False: cells that were not run on any of several machines


def joined(given: Sequence[Given], command: str) -> Joined:
    """Return the results *given* (of `belonging.with_commits`) as one; *command* made it.

    Raises `BadInput` for the first thing that shows that they do not belong together.
    """
    belonging.check(given)
    order = _ordered(given)
    machines, where, carried = _machines(order)
    named = [one for one in machines if one.named]
    host, by_name = of_machines([one.facts for one in named] or [order[0].result.host])
    names = dict(zip(map(id, named), by_name, strict=False))
    cells = tuple(
        replace(cell, machine=names.get(id(machine), ""))
        for machine in machines
        for cell in machine.cells.values()
    )
    results = [one.result for one in order]
    parts = [
        part
        for one, its in zip(order, where, strict=True)
        for part in _parts(one.result, {old: names.get(id(new), "") for old, new in its.items()})
    ]
    document = Result(
        kind=str(CampaignKind.MATRIX),
        id="",
        created="",
        command=_command(results, command),
        tool="",
        host=host,
        machines=by_name,
        source=_source(results),
        scenarios=tuple(_scenarios(results)),
        revisions=_first(results, lambda r: r.revisions, lambda one: (one.ref, one.sha)),
        patches=_first(results, lambda r: r.patches, lambda one: one.name),
        cells=cells,
        status=str(CampaignStatus.DONE),
        seconds=_seconds(results),
        notes=tuple(_notes(results)),
        parts=tuple(parts),
    )
    return Joined(result=document, carried=tuple(carried))


def _ordered(given: Sequence[Given]) -> list[Given]:
    """Return the shards of a plan in the order of their numbers, so that rows are in theirs."""
    first: dict[str, int] = {}

    def place(item: tuple[int, Given]) -> tuple[int, int]:
        at, one = item
        shard = one.result.shard
        if shard is None:
            return at, 0
        return first.setdefault(shard.plan, at), shard.number

    return [one for _, one in sorted(enumerate(given), key=place)]


def _machines(
    order: Sequence[Given],
) -> tuple[list[_Machine], list[dict[str, _Machine]], list[Carried]]:
    """Return the machines, which one each result's names mean, and the evidence to carry.

    Results whose facts are equal ran on one kind of machine, unless both have the same cell: then
    they are two machines with the same facts.
    """
    machines: list[_Machine] = []
    where: list[dict[str, _Machine]] = []
    places = _Places()
    seen = belonging.Seen()
    for one in order:
        its: dict[str, _Machine] = {}
        own: dict[str, dict[belonging.Key, CellInfo]] = {}
        for cell in one.result.cells:
            own.setdefault(cell.machine, {})[belonging.key(cell)] = cell
        new = {
            name: {key: cell for key, cell in cells.items() if seen.is_new(one, name, cell)}
            for name, cells in own.items()
        }
        if own and not any(new.values()):
            raise BadInput(
                f"{one.name} has no trials but those of {seen.other(one)}", hint="leave it out"
            )
        for name, cells in new.items():
            if not cells:
                continue  # others have them all, and may have called the machine otherwise
            its[name] = _place(machines, belonging.facts(one.result, name), cells)
            for key, cell in cells.items():
                its[name].cells[key] = places.moved(one, cell)
        where.append(its)
    return machines, where, places.carried


def _place(
    machines: list[_Machine], facts: dict[str, str] | None, cells: dict[belonging.Key, CellInfo]
) -> _Machine:
    """Return the machine with these *facts* that has none of *cells*; a new one if there is none.

    None instead of facts: no machine ran them.
    """
    for one in machines:
        same = one.facts == facts if facts is not None else not one.named
        if same and not one.cells.keys() & cells.keys():
            return one
    machines.append(_Machine(facts=facts or {}, cells={}, named=facts is not None))
    return machines[-1]


class _Places:
    """Gives evidence of different results different places, none inside of another."""

    def __init__(self) -> None:
        self.carried: list[Carried] = []
        self._targets: dict[tuple[int, str], str] = {}
        self._taken: _Tree = {}

    def moved(self, one: Given, cell: CellInfo) -> CellInfo:
        """Return *cell* of *one* with the places that its evidence and log get."""
        trials = tuple(
            replace(t, evidence=self._target(one.number, t.evidence)) for t in cell.trials
        )
        return replace(cell, trials=trials, log=self._target(one.number, cell.log))

    def _target(self, given: int, source: str) -> str:
        if not source:
            return ""
        if (given, source) not in self._targets:
            path = re.sub("/+", "/", source).rstrip("/").removeprefix("evidence/")
            # A folder more, as the name may be as long as names can be.
            numbered = (f"evidence/{number}/{path}" for number in count(given + 1))
            target = next(filter(self._take, chain([f"evidence/{path}"], numbered)))
            self._targets[given, source] = target
            self.carried.append(Carried(given=given, source=source, target=target))
        return self._targets[given, source]

    def _take(self, target: str) -> bool:
        """Take the place *target*; False if it is, is inside of or contains one that is taken."""
        *folders, name = target.split("/")
        inside = self._taken
        for folder in folders:
            found = inside.setdefault(folder, {})
            if found is None:
                return False
            inside = found
        if name in inside:
            return False
        inside[name] = None
        return True


def _parts(result: Result, called: Mapping[str, str]) -> Iterator[PartInfo]:
    """Yield the campaigns in *result*; *called*: what each of its machines is called now."""
    if result.parts:
        yield from (replace(p, machine=called.get(p.machine, "")) for p in result.parts)
        return
    yield PartInfo(
        id=result.id,
        created=result.created,
        command=result.command,
        tool=result.tool,
        cells=len(result.cells),
        machine=called.get("", ""),
        shard=result.shard,
    )


def _command(results: Sequence[Result], command: str) -> str:
    """Return the command that runs the whole matrix, or *command* if the results have several."""
    whole = {belonging.unsharded(result.command) for result in results}
    return whole.pop() if len(whole) == 1 else command


def _source(results: Sequence[Result]) -> dict[str, str]:
    return {
        key: "; ".join(dict.fromkeys(filter(None, (r.source.get(key, "") for r in results))))
        if key == "note"
        else next(filter(None, (r.source.get(key, "") for r in results)), "")
        for key in ("kind", "repo", "note")
    }


def _first(
    results: Sequence[Result],
    of: Callable[[Result], Sequence[T]],
    key: Callable[[T], object],
) -> tuple[T, ...]:
    """Return what the results have, each once, as the first of them has it."""
    found: dict[object, T] = {}
    for result in results:
        for one in of(result):
            found.setdefault(key(one), one)
    return tuple(found.values())


def _scenarios(results: Sequence[Result]) -> Iterator[ScenarioInfo]:
    """Yield each scenario with the axis values of all; images only as far as they are the same."""
    for name in dict.fromkeys(s.name for r in results for s in r.scenarios):
        same = [s for r in results for s in r.scenarios if s.name == name]
        values = {
            axis: {
                part: tuple(dict.fromkeys(v for s in same for v in s.axes[axis][part]))
                for part in ("values", "controls")
            }
            for axis in same[0].axes
        }
        images: dict[str, dict[str, str]] = {}
        for scenario in same:
            for image, facts in scenario.images.items():
                known = images.setdefault(image, dict(facts))
                images[image] = {k: v if facts.get(k) == v else "" for k, v in known.items()}
        yield replace(same[0], axes=values, images=images)


def _seconds(results: Sequence[Result]) -> dict[str, float]:
    """Return the sums: the time of all machines together."""
    keys = dict.fromkeys(key for result in results for key in result.seconds)
    return {key: round(sum(r.seconds.get(key, 0.0) for r in results), 1) for key in keys}


def _notes(results: Sequence[Result]) -> Iterator[str]:
    yield from dict.fromkeys(note for result in results for note in result.notes)
    digests: dict[tuple[str, str], set[str]] = {}
    for result in results:
        for scenario in result.scenarios:
            for image, facts in scenario.images.items():
                digests.setdefault((scenario.name, image), set()).add(facts.get("digest", ""))
    if any(len(found) > 1 for found in digests.values()):
        yield "each machine made its base images, and their digests differ"

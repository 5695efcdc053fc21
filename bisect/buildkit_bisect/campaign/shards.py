"""Cuts a matrix in parts that take about the same time on machines that have nothing yet.

What a machine has in its cache does not matter: every machine has to cut in the same way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from buildkit_bisect.campaign import estimate
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import BisectError
from buildkit_bisect.golang.toolchain import wanted
from buildkit_bisect.model import Revision, Variant
from buildkit_bisect.options.shards import Shard
from buildkit_bisect.phrases import plural
from buildkit_bisect.result import ShardInfo
from buildkit_bisect.search.cost import COLD, PATCHED
from buildkit_bisect.source import GitSource
from buildkit_bisect.system.announce import announce


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The rows of one shard, and what is known of it."""

    variants: tuple[Variant, ...]
    info: ShardInfo
    rows: int  # of the whole matrix

    def __str__(self) -> str:
        """Return ``2 of 5, with 3 of 14 rows``."""
        own = len(self.variants) or "none"
        return f"{self.info.number} of {self.info.of}, with {own} of {plural(self.rows, 'row')}"


@dataclass(kw_only=True, slots=True)
class Unit:
    """Rows with the same build: they are not separated, as the build is made once."""

    base: str  # what the build is without patches
    go: str  # minor version, or what stands for it
    trials: float  # seconds of all of its cells
    variants: list[Variant] = field(default_factory=list)


def part(setup: Setup, variants: Sequence[Variant], trials: int, shard: Shard) -> Part:
    """Return the rows of *shard*; every machine that resolves the same commits gets the same."""
    with announce("cutting the matrix"):
        parts = cut(units(setup, variants, trials), shard.of)
    rows = [[v for unit in own for v in unit.variants] for own in parts]
    return Part(
        variants=tuple(rows[shard.number - 1]),
        info=ShardInfo(number=shard.number, of=shard.of, plan=_plan(setup, rows, trials)),
        rows=len(variants),
    )


def units(setup: Setup, variants: Sequence[Variant], trials: int) -> list[Unit]:
    """Return the builds of *variants*, those of one revision side by side, otherwise in order."""
    cells = sum(len(setup.cells(scenario)) for scenario in setup.scenarios)
    bases, go = _bases(setup, variants), dict[str, str]()
    made: dict[str, dict[tuple[str, ...], Unit]] = {}
    for variant in variants:
        revision = variant.revision
        base = bases[_name(setup, revision)]
        if base not in go:
            go[base] = _go(setup, revision)
        patches = tuple(p.digest for p in variant.patches)
        unit = made.setdefault(base, {}).setdefault(
            patches,
            Unit(
                base=base,
                go=go[base],
                trials=cells * trials * estimate.TRIAL,
            ),
        )
        unit.variants.append(variant)
    return [unit for own in made.values() for unit in own.values()]


def _name(setup: Setup, revision: Revision) -> str:
    """Return the commit, or the version of a Go module: only some proxies report its commit."""
    commit = revision.sha if setup.source.kind == "git" else ""
    return commit or revision.describe or revision.ref


def _bases(setup: Setup, variants: Sequence[Variant]) -> Mapping[str, str]:
    """Return what tells the builds of revisions apart; of Go modules, nothing but their names."""
    names = {_name(setup, v.revision): v.revision for v in variants}
    if isinstance(setup.source, GitSource):
        return setup.source.input_keys([r.sha for r in names.values()])
    return {name: name for name in names}


def _go(setup: Setup, revision: Revision) -> str:
    """Return the minor Go version of a revision.

    A Go module says it only once it is downloaded: its own minor version stands for it.
    """
    if setup.source.kind != "git":
        return ".".join(_name(setup, revision).split(".")[:2])
    try:
        read = setup.source.read
        return str(wanted(read(revision, "Dockerfile"), read(revision, "go.mod")).minor)
    except BisectError:
        return ""


def cut(units: Sequence[Unit], of: int) -> list[list[Unit]]:
    """Return *units* in *of* consecutive parts, some of them empty if there are fewer units.

    The longest part is as short as possible, and then the others are as equal as possible.
    """
    cap = _shortest(units, of)
    spans = [
        list(takewhile(lambda span: span[1] <= cap, _growing(units, start)))
        for start in range(len(units) + 1)
    ]
    # By number of parts: (sum of squares, where the last part begins) up to each unit.
    best: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
    for _ in range(min(of, len(units))):
        found: dict[int, tuple[int, int]] = {}
        for start, (total, _) in best[-1].items():
            for end, seconds in spans[start]:
                new = total + seconds**2, start
                if end not in found or new < found[end]:
                    found[end] = new
        best.append(found)
    whole = len(units)
    count = min((n for n in range(len(best)) if whole in best[n]), key=lambda n: best[n][whole][0])
    ends = [whole]
    for n in range(count, 0, -1):
        ends.append(best[n][ends[-1]][1])
    parts = [list(units[start:end]) for start, end in pairwise(reversed(ends))]
    return parts + [[] for _ in range(of - len(parts))]


def _growing(units: Sequence[Unit], start: int) -> Iterator[tuple[int, int]]:
    """Yield the end of each part that begins at *start*, and how long it takes, in seconds."""
    seconds, met, built = 0.0, set[str](), set[str]()
    for end in range(start + 1, len(units) + 1):
        unit = units[end - 1]
        near = PATCHED if unit.base in built else estimate.LATER
        seconds += (near if unit.go in met else COLD) + unit.trials * len(unit.variants)
        met.add(unit.go)
        built.add(unit.base)
        yield end, round(seconds)


def _shortest(units: Sequence[Unit], of: int) -> int:
    """Return how long the longest of *of* parts takes at least, in seconds."""
    low, high = 0, max((seconds for _, seconds in _growing(units, 0)), default=0)
    while low < high:
        cap = (low + high) // 2
        if _fits(units, of, cap):
            high = cap
        else:
            low = cap + 1
    return low


def _fits(units: Sequence[Unit], of: int, cap: int) -> bool:
    """Whether *of* parts of at most *cap* seconds hold all *units*."""
    at = 0
    for _ in range(of):
        if at == len(units):
            break
        held = takewhile(lambda span: span[1] <= cap, _growing(units, at))
        at = max((end for end, _ in held), default=at)
    return at == len(units)


def _plan(setup: Setup, rows: Sequence[Sequence[Variant]], trials: int) -> str:
    """Return what is equal for all shards of one matrix, and for no others."""
    request = setup.request
    whole = {
        "rows": [
            [(v.revision.ref, _name(setup, v.revision), [p.digest for p in v.patches]) for v in own]
            for own in rows
        ],
        "cells": [(s.name, s.digest, setup.cells(s)) for s in setup.scenarios],
        "trials": trials,
        "source": setup.source.kind,
        "runtime": [str(one) for one in request.runtime],
        "images": str(request.images),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

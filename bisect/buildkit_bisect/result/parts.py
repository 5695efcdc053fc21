"""What a result document says of where it comes from: shards, merged campaigns, machines. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.options.shards import MOST as MOST_SHARDS
from buildkit_bisect.phrases import listed

__all__ = ["MOST_SHARDS", "PartInfo", "ShardInfo", "lacking", "missing", "of_machines"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardInfo:
    """Which part of a matrix a campaign ran."""

    number: int  # from 1
    of: int
    plan: str  # SHA-256 of the whole plan; the parts of one matrix have the same


@dataclass(frozen=True, kw_only=True, slots=True)
class PartInfo:
    """A campaign whose cells are in a merged document."""

    id: str
    created: str
    command: str
    tool: str
    cells: int
    machine: str = ""  # as `CellInfo.machine`
    shard: ShardInfo | None = None


def of_machines(
    facts: Sequence[Mapping[str, str]],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return the facts that all machines share, and each machine's by its name.

    *facts* are those of each machine, in order; the names are ``machine 1``, ``machine 2``, ...
    Of a single machine there is no name: the shared facts are all.
    """
    shared = {k: v for k, v in facts[0].items() if all(one.get(k) == v for one in facts)}
    if len(facts) == 1:
        return shared, {}
    return shared, {f"machine {n}": dict(one) for n, one in enumerate(facts, 1)}


def missing(shards: Collection[ShardInfo]) -> list[int]:
    """Return the numbers of the shards of one plan that are not among *shards*."""
    there = {shard.number for shard in shards}
    return [n for n in range(1, next(iter(shards)).of + 1) if n not in there]


def lacking(parts: Sequence[PartInfo]) -> tuple[str, ...]:
    """Return which shards of the plans in *parts* are missing: ``shard 3 of 5``, a text a plan."""
    plans: dict[tuple[str, int], list[ShardInfo]] = {}
    for part in parts:
        if part.shard:
            plans.setdefault((part.shard.plan, part.shard.of), []).append(part.shard)
    return tuple(
        f"{'shard' if len(numbers) == 1 else 'shards'} {_ranges(numbers)} of {of}"
        for (_, of), shards in plans.items()
        if (numbers := missing(shards))
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``3``, ``3 and 5``, ``2, 4 to 9 and 12``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    named: list[str] = []
    for run in runs:
        long = len(run) > 2  # noqa: PLR2004 - both are named
        named += [f"{run[0]} to {run[-1]}"] if long else map(str, run)
    return listed(named)

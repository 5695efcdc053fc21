"""What reports say of several machines, of shards, and of merged campaigns. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from buildkit_bisect.phrases import plural
from buildkit_bisect.result import Result
from buildkit_bisect.result.parts import lacking

#: Facts that are shown of each machine, also if they are equal on all.
_ALWAYS = ("kernel", "runc")


def machines(result: Result) -> tuple[str, ...]:
    """Return a line for each machine, with what tells it from the others; none if there is one.

    ``machine 1: cpus 2, kernel 6.8.0-1020-azure, runc version 1.1.12``
    """
    if not result.machines:
        return ()
    every = {key for facts in result.machines.values() for key in facts}
    shown = [key for key in sorted(every) if key in _ALWAYS or _differs(result, key)]
    return tuple(f"{name}: {_facts(facts, shown)}" for name, facts in result.machines.items())


def _differs(result: Result, key: str) -> bool:
    return len({facts.get(key) for facts in result.machines.values()}) > 1


def _facts(facts: Mapping[str, str], keys: list[str]) -> str:
    """Return the facts as reports show those of one machine: ``runc version 1.1.12``."""
    known = ((key, facts.get(key, "unknown")) for key in keys)
    return ", ".join(value if value.startswith(key) else f"{key} {value}" for key, value in known)


def incomplete(result: Result) -> tuple[str, ...]:
    """Return why cells of a matrix are not in *result*, a sentence each; none if all are."""
    shard = result.shard
    own = (f"This is shard {shard.number} of {shard.of} of a matrix",) if shard else ()
    return own + missing(result)


def missing(result: Result) -> tuple[str, ...]:
    """Return which shards were not merged, a sentence for each matrix."""
    return tuple(
        f"{text[:1].upper()}{text[1:]} {_is(text)} not among the merged results"
        for text in lacking(result.parts)
    )


def _is(text: str) -> str:
    return "are" if text.startswith("shards ") else "is"


def parts(result: Result) -> tuple[str, ...]:
    """Return a line for each campaign that was merged: its ID, its shard, where it ran."""
    return tuple(
        ", ".join(
            filter(
                None,
                (
                    part.id,
                    f"shard {part.shard.number} of {part.shard.of}" if part.shard else "",
                    part.machine,
                    plural(part.cells, "cell"),
                    part.tool if part.tool != result.tool else "",
                ),
            )
        )
        for part in result.parts
    )

"""Notes on comparisons of whose sides no worker ran both, as then machines differ too. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Worker
from buildkit_bisect.result import CellInfo


def ran_apart(one: Iterable[CellInfo], other: Iterable[CellInfo]) -> bool:
    """Whether workers ran trials of both sides of a comparison, and none of them ran both."""
    here, there = ({t.worker for c in side for t in c.trials} - {""} for side in (one, other))
    return bool(here and there) and here.isdisjoint(there)


def note(what: str) -> str:
    """Return a note on sides of a comparison that `ran_apart`; *what*: ``of both A and B``."""
    return (
        f"no worker ran trials {what}, so a difference may be one between machines; with a store"
        f" that the workers push to ({words(Worker, store_push=True)}), any of them can run both"
    )

"""What a search knew of costs when it began, stored so that the same command asks the same.

A search chooses commits by what their builds cost. Those that it built cost nothing the next time,
so the same command would walk another way, over other trials, to another confidence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import cattrs

from buildkit_bisect.search import SearchOptions
from buildkit_bisect.system import paths

#: Increment it when a search would choose otherwise from the same costs.
_FORMAT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchCosts:
    """What is known of builds and trials on this machine."""

    built: tuple[str, ...]  # commits
    known_go: tuple[str, ...]  # versions that something was built with: "1.25"
    pace: float  # mean logarithm of measured by predicted seconds
    recorded: int  # builds behind it
    trial: float  # seconds
    asked: tuple[str, ...] = ()  # commits that the search asked for, once it has ended


def name(options: SearchOptions, *parts: str | Sequence[str]) -> str:
    """Return the name of the search with *options* and *parts*: its ends, cell and patches."""
    text = json.dumps([_FORMAT, asdict(options), *parts], default=sorted, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def load(search: str) -> SearchCosts | None:
    """Return what the search of that name knew when it first began; None if it never did."""
    try:
        stored = json.loads((paths.cache("searches") / search).read_text())
        return cattrs.structure(stored, SearchCosts)
    except (OSError, ValueError, TypeError, cattrs.BaseValidationError):
        return None


def keep(search: str, costs: SearchCosts) -> None:
    """Store *costs* unless this search has stored some."""
    if not load(search):
        _write(search, costs)


def ended(search: str, asked: Iterable[str]) -> None:
    """Store that the search of that name has its answer, from these commits."""
    known = load(search)
    if known:
        _write(search, replace(known, asked=tuple(dict.fromkeys(asked))))


def _write(search: str, costs: SearchCosts) -> None:
    """Store *costs*; a failure loses nothing else."""
    entry = paths.cache("searches") / search
    draft = entry.with_name(f".{search}.{os.getpid()}")
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(asdict(costs)))
        draft.replace(entry)

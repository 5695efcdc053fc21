"""Histories with a known culprit, and trials whose outcomes are drawn at known rates."""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from buildkit_bisect.model import Verdict
from buildkit_bisect.search import Ask, Tested
from buildkit_bisect.search.history import History

VERDICTS = {"cached": Verdict.GOOD, "dropped": Verdict.BAD}


class Noise(StrEnum):
    """How trials depend on each other."""

    NONE = "independent"
    DRIFT = "drift"  # after the first trials, what the change brings shows a third less often
    PAIRS = "pairs"  # every second trial of a commit repeats the one before in half the cases


#: Trials after which a drifting rate has changed: half of a usual search.
DRIFT_AFTER = 25
_LESS = 2 / 3
_REPEATS = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A history, its ends, and the commits that may be the culprit."""

    name: str
    history: History
    old: str
    new: str
    candidates: tuple[str, ...]


def line(candidates: int) -> Shape:
    """A line of commits; the first is no candidate."""
    commits = [f"c{i}" for i in range(candidates + 1)]
    return Shape(
        name=f"line of {candidates}",
        history=History({sha: commits[i - 1 : i] if i else [] for i, sha in enumerate(commits)}),
        old=commits[0],
        new=commits[-1],
        candidates=tuple(commits[1:]),
    )


def real(repo: Path, old: str = "v0.26.0", new: str = "master") -> Shape:
    """The commits between two refs of a repository, with their merges."""

    def git(*argv: str) -> list[str]:
        command = ["git", "-C", str(repo), *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split("\n")[:-1]

    rows = [row.split() for row in git("rev-list", "--parents", f"{old}..{new}")]
    ends = [git("rev-parse", f"{ref}^{{commit}}")[0] for ref in (old, new)]
    parents = {sha: above for sha, *above in rows}
    # Only the older end is outside of what is asked for; other bases stand below it.
    for above in {p for row in rows for p in row[1:]} - set(parents) - {ends[0]}:
        parents[above] = []
        parents.setdefault(ends[0], []).append(above)
    history = History(parents)
    inside = history.ancestors(ends[1]) & ~history.ancestors(ends[0])
    return Shape(
        name=f"{old}..{new}",
        history=history,
        old=ends[0],
        new=ends[1],
        candidates=history.shas(inside),
    )


@dataclass(kw_only=True, slots=True)
class Trials:
    """Answers asks: *with_it* and *without* are the rates of what the change brings."""

    shape: Shape
    rng: random.Random
    culprit: str
    with_it: float
    without: float
    find_fix: bool
    noise: Noise = Noise.NONE
    ran: int = 0
    last: dict[str, bool] = field(default_factory=dict)

    def answer(self, ask: Ask) -> Tested:
        """Run what is asked for."""
        new, old = ("cached", "dropped") if self.find_fix else ("dropped", "cached")
        history = self.shape.history
        inside = history.ancestors(ask.commit) >> history.number(self.culprit) & 1
        rate = self.with_it if inside else self.without
        counts = {"cached": 0, "dropped": 0}
        for _ in range(ask.trials):
            drifted = self.noise is Noise.DRIFT and self.ran >= DRIFT_AFTER
            shows = self.rng.random() < (rate * _LESS if drifted else rate)
            if self.noise is Noise.PAIRS:
                before = self.last.pop(ask.commit, None)
                if before is None:
                    self.last[ask.commit] = shows
                elif self.rng.random() < _REPEATS:
                    shows = before
            self.ran += 1
            counts[new if shows else old] += 1
            if ask.until_bad and counts["dropped"]:
                break
        return Tested(counts=counts, verdicts=VERDICTS)

"""What was seen so far, pooled over commits that are the same build, as old or new behaviour.

A search looks for the commit that turned *old* into *new*: good into bad, or with
``find_fix`` bad into good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from buildkit_bisect.model import Verdict
from buildkit_bisect.search.vocabulary import Phase, SearchOptions, Skip, SkipKind, Tested


class Status(StrEnum):
    """What the trials of one build say, taken at their word."""

    UNTESTED = "untested"
    OLD = "old"
    NEW = "new"
    MIXED = "mixed"  # some trials old, some new
    WEAK = "weak"  # tested, and every outcome is another one
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Trials of one build by what they mean for this search."""

    old: int = 0
    new: int = 0
    other: int = 0
    outcomes: tuple[tuple[str, int], ...] = ()  # most frequent first
    skip: Skip | None = None

    @property
    def decided(self) -> int:
        """Trials that are evidence."""
        return self.old + self.new

    @property
    def runs(self) -> int:
        """All trials."""
        return sum(n for _, n in self.outcomes)

    @property
    def status(self) -> Status:
        """Unanimous, mixed, or no evidence at all."""
        if self.old and self.new:
            return Status.MIXED
        if self.old or self.new:
            return Status.OLD if self.old else Status.NEW
        if self.other:
            return Status.WEAK
        return Status.SKIPPED if self.skip else Status.UNTESTED

    def __str__(self) -> str:
        """``layers-dropped (3 of 3)``, or the reason of the skip."""
        seen = ", ".join(f"{name} ({n} of {self.runs})" for name, n in self.outcomes)
        return seen or (f"{self.skip.kind}: {self.skip.reason}" if self.skip else "not tested")


@dataclass(slots=True)
class _Pool:
    counts: Counter[str]
    skip: Skip | None = None


class Evidence:
    """Every tell of a search. Equal build keys, and then equal binaries, are one build."""

    def __init__(
        self, *, options: SearchOptions, bad_end: str, same_build: Mapping[str, str] | None = None
    ) -> None:
        self._options = options
        self._bad_end = bad_end
        self._key = dict(same_build or {})
        self._siblings: dict[str, list[str]] = {}
        for commit, key in self._key.items():
            self._siblings.setdefault(key, []).append(commit)
        self._binary: dict[str, str] = {}
        self._pools: dict[str, _Pool] = {}  # by key
        self._keys: dict[str, dict[str, None]] = {}  # of the pools, by identity
        self._bad: frozenset[str] | None = options.bad_when or None
        self._verdicts: dict[str, Verdict] = {}
        self._by_phase: dict[tuple[Phase, str], Counter[str]] = {}
        self._attempts: Counter[tuple[Phase, str]] = Counter()
        self._told: dict[str, None] = {}  # commits, in order of their first tell
        self._tallies: dict[str, Tally] = {}  # by identity
        self.skips: Counter[Phase] = Counter()  # since a commit could be tested, by phase
        self.idle = 0  # asks in a row for a commit that was run before, without a trial
        self.last_skip: Skip | None = None
        self.tells = 0
        self.trials = 0
        self.merges = 0  # how often identities changed
        self.changes = 0  # how often anything changed but the number of trials of one status

    def add(self, commit: str, tested: Tested, phase: Phase | None = None) -> None:
        """Take a tell in; *phase* is that of the ask it answers, if it answers one."""
        key = self._key_of(commit)
        before = (self.merges, len(self._told), self.status(commit))
        ran = self.tally(commit).decided
        pool = self._pools.setdefault(key, _Pool(Counter()))
        pool.counts.update({name: n for name, n in tested.counts.items() if n > 0})
        pool.skip = tested.skip or pool.skip
        self._identify(key, tested.binary)
        self._told.setdefault(commit)
        self.tells += 1
        self._tallies.pop(self.identity(commit), None)
        self._learn_verdicts(tested.verdicts)
        if before != (self.merges, len(self._told), self.status(commit)):
            self.changes += 1
        runs = sum(tested.counts.values())
        self.trials += runs
        self.last_skip = tested.skip or self.last_skip
        if runs:
            self.idle = 0
        elif phase and self.tally(commit).outcomes:
            self.idle += 1
        if phase:
            self._attempts[phase, commit] += 1
            self._by_phase.setdefault((phase, commit), Counter()).update(tested.counts)
        if self.tally(commit).decided:
            if not ran:  # another run of a known commit says nothing of a stretch
                self.skips.clear()
        elif phase:
            self.skips[phase] += 1

    def _identify(self, key: str, binary: str) -> None:
        before = self._binary.get(key, key)
        if binary and binary != before:
            self._binary[key] = binary
            self._keys.get(before, {}).pop(key, None)
            self._tallies.pop(before, None)
            self.merges += 1
        self._keys.setdefault(binary or before, {}).setdefault(key)

    def _learn_verdicts(self, verdicts: Mapping[str, Verdict]) -> None:
        """What an outcome means can change with every tell, and with it every tally."""
        before = (self._bad, {name: self._verdicts.get(name) for name in verdicts})
        self._verdicts.update(verdicts)
        self._bad = self._bad_outcomes()
        if before != (self._bad, dict(verdicts)):
            self._tallies.clear()
            self.changes += 1

    def define_by(self, commit: str) -> None:
        """Let the bad outcomes of *commit* be what bad means."""
        if commit != self._bad_end:
            self._bad_end = commit
            self._learn_verdicts({})

    @property
    def bad(self) -> frozenset[str] | None:
        """The outcomes that mean bad; None: every failure."""
        return self._bad

    @property
    def all_distinct(self) -> bool:
        """Whether no two commits are known to be one build."""
        return not self._key and not self._binary

    def same(self, a: str, b: str) -> bool:
        """Whether two commits are known to be one build."""
        return self.identity(a) == self.identity(b)

    def identity(self, commit: str) -> str:
        """The binary where one is known, else the build key, else the commit."""
        key = self._key_of(commit)
        return self._binary.get(key, key)

    def tally(self, commit: str) -> Tally:
        """All trials of the commit's build, wherever they were run."""
        identity = self.identity(commit)
        if identity not in self._tallies:
            self._tallies[identity] = self._tally(*self._outcomes(identity))
        return self._tallies[identity]

    def status(self, commit: str) -> Status:
        """What its trials say."""
        return self.tally(commit).status

    def settled(self, commit: str) -> bool:
        """Whether anything is known of its build."""
        return self.status(commit) is not Status.UNTESTED

    def reruns(self, commit: str, phase: Phase = Phase.PROOF) -> Tally:
        """Trials of this very commit that one phase asked for."""
        return self._tally(self._by_phase.get((phase, commit), Counter()))

    def attempts(self, commit: str, phase: Phase = Phase.PROOF) -> int:
        """Asks of one phase for this very commit that were answered."""
        return self._attempts[phase, commit]

    def told(self) -> tuple[str, ...]:
        """Commits that were told, in order."""
        return tuple(self._told)

    def known(self) -> Iterator[str]:
        """The commits that were told, and every other that is the same build as one of them."""
        seen: dict[str, None] = {}
        for commit in self._told:
            identity = self.identity(commit)
            for key in self._keys.get(identity, ()):
                for other in self._siblings.get(key, (key,)):
                    seen.setdefault(other)
            seen.setdefault(commit)
        yield from seen

    def rule(self, outcome: str) -> Verdict:
        """The verdict of the scenario's rule for an outcome, whatever the ends show."""
        return self._verdicts.get(outcome, Verdict.WEAK)

    def verdict(self, outcome: str) -> Verdict:
        """GOOD or BAD for this search; another failure than the bad end's is WEAK."""
        told = self.rule(outcome)
        if (told is Verdict.BAD) if self._bad is None else (outcome in self._bad):
            return Verdict.BAD
        if self._options.good_when:
            return Verdict.GOOD if outcome in self._options.good_when else _not_evidence(told)
        return told if told is Verdict.GOOD else _not_evidence(told)

    def _bad_outcomes(self) -> frozenset[str] | None:
        """The outcomes that mean bad; None, for every failure, until the bad end has shown one."""
        if self._options.bad_when:
            return self._options.bad_when
        shown, _ = self._outcomes(self.identity(self._bad_end))
        return frozenset(o for o in shown if self._verdicts.get(o) is Verdict.BAD) or None

    def _key_of(self, commit: str) -> str:
        return self._key.get(commit, commit)

    def _outcomes(self, identity: str) -> tuple[Counter[str], Skip | None]:
        outcomes: Counter[str] = Counter()
        skip = None
        for key in self._keys.get(identity, ()):
            pool = self._pools[key]
            outcomes.update(pool.counts)
            skip = pool.skip or skip
        return outcomes, skip

    def _tally(self, outcomes: Counter[str], skip: Skip | None = None) -> Tally:
        by_verdict: Counter[Verdict] = Counter()
        for name, n in outcomes.items():
            by_verdict[self.verdict(name)] += n
        old, new = by_verdict[Verdict.GOOD], by_verdict[Verdict.BAD]
        if self._options.find_fix:
            old, new = new, old
        if by_verdict[Verdict.SKIP] and not skip:
            skip = Skip(kind=SkipKind.CONTROL, reason=", ".join(outcomes))
        elif by_verdict[Verdict.INFRA] and not skip:
            skip = Skip(
                kind=SkipKind.INFRA, reason="its trials failed because of the infrastructure"
            )
        return Tally(
            old=old,
            new=new,
            other=by_verdict[Verdict.WEAK],
            outcomes=tuple(outcomes.most_common()),
            skip=skip,
        )


def _not_evidence(told: Verdict) -> Verdict:
    return told if told in {Verdict.SKIP, Verdict.INFRA} else Verdict.WEAK

"""The facts that tell the two ends of a history apart, and hold in every trial of each. Pure.

A fact that can be a rule is a `Condition`, and whether it holds is decided by `outcome.judge`
itself: so the rule that is made of it gives each of these trials the verdict of its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from buildkit_bisect.errors import NoAnswer
from buildkit_bisect.model import Axes, Observation, StepResult, Verdict, Vertex
from buildkit_bisect.phrases import listed, plural
from buildkit_bisect.scenario import learned_outputs, normal, rule_text, wording
from buildkit_bisect.scenario.daemon_log import is_crash
from buildkit_bisect.scenario.definition import (
    Condition,
    DaemonIs,
    Kept,
    Rule,
    Scenario,
    Step,
    VertexIs,
)
from buildkit_bisect.scenario.learned_names import name_of
from buildkit_bisect.scenario.outcome import judge

#: A fact must hold in this many trials of an end, or it may be chance.
LEAST = 2

#: Lines of one text that are shown for each end: the first ones say most.
_MOST_LINES = 5


class Kind(IntEnum):
    """What a fact is about; lower ones are nearer to what BuildKit did, and are better rules."""

    REUSE = 1  # a vertex is cached at one end and runs at the other
    EXIT = 2  # of a step
    DEATH = 3  # of the daemon
    PANIC = 4  # a panic or a fatal error in the daemon's log
    FAILURE = 5  # a vertex fails at one end
    FILE = 6  # of an output
    IMAGE = 7  # the configuration and manifests of one
    LOG = 8  # what a vertex printed
    MESSAGE = 9  # of a step
    LAYERS = 10  # of inner records, compared with the control
    NUMBER = 11  # of a step: vertices that ran, records that the daemon has
    PRESENCE = 12  # a vertex is there at one end only
    RECORDS = 13  # numbers of an exported cache
    DIGEST = 14  # of vertices and layers: they often change without meaning
    DAEMON = 15  # the rest of the daemon's log, which differs between releases and machines


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The trials of one end of a history in one cell."""

    trials: tuple[Observation, ...]
    control: Observation | None = None

    @property
    def usable(self) -> tuple[Observation, ...]:
        """The trials that are evidence about BuildKit."""
        return tuple(t for t in self.trials if not (t.infra or t.no_daemon or t.unsupported))


@dataclass(frozen=True, kw_only=True, slots=True)
class Both:
    """Both ends in one cell."""

    axes: Axes
    good: End
    bad: End


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A fact, and how it is at each end. At least one condition, or it cannot be a rule."""

    kind: Kind
    good: Condition | None = None
    bad: Condition | None = None
    good_text: str = ""  # in words
    bad_text: str = ""
    cells: tuple[Axes, ...] = ()  # in which it tells the ends apart
    trials: int = 0  # the fewest of an end in one of them

    @property
    def can_be_bad(self) -> bool:
        """Whether a rule for bad can be made of it."""
        return self.bad is not None

    @property
    def separation(self) -> float:
        """How likely the next trial of an end shows what all earlier ones did.

        By the rule of succession, ``(n + 1) / (n + 2)``: 0.8 after 3 trials, 0.95 after 18.
        """
        return (self.trials + 1) / (self.trials + 2)


def differences(scenario: Scenario, cells: Sequence[Both]) -> list[Difference]:
    """Return what tells the ends apart in at least one of *cells*, best first.

    Best is what can be a rule; then what holds in more cells; then the greater `separation`; then
    the lower `Kind`; then the earlier step. Lines of the daemon's log come last.
    Raises `NoAnswer` if an end has fewer than `LEAST` trials that are evidence, in every cell.
    """
    enough = [c for c in cells if min(len(c.good.usable), len(c.bad.usable)) >= LEAST]
    if not enough:
        raise NoAnswer(_too_few(cells), hint="more trials of each end")
    found: dict[tuple[object, ...], Difference] = {}
    for cell in enough:
        for one in _Cell(scenario, cell).differences():
            key = (one.kind, one.good, one.bad, one.good_text, one.bad_text)
            known = found.get(key)
            found[key] = one if known is None else replace(
                known, cells=(*known.cells, cell.axes), trials=min(known.trials, one.trials)
            )  # fmt: skip
    order = {step.id: n for n, step in enumerate(scenario.steps)}

    def rank(one: Difference) -> tuple[object, ...]:
        step = next((c.step for c in (one.bad, one.good) if c), "")
        return (
            one.kind is Kind.DAEMON, not one.can_be_bad, -len(one.cells), -one.separation,
            one.kind, order.get(step, 0),
        )  # fmt: skip

    return sorted(found.values(), key=rank)


def _too_few(cells: Sequence[Both]) -> str:
    """Return why an end has no evidence."""
    reasons = dict.fromkeys(
        f"the {name} end: {trial.infra or trial.no_daemon or trial.unsupported}"
        for cell in cells
        for name, end in (("good", cell.good), ("bad", cell.bad))
        for trial in end.trials
        if trial.infra or trial.no_daemon or trial.unsupported
    )
    because = f" ({listed(reasons, limit=2)})" if reasons else ""
    return f"no cell has {LEAST} trials of each end that are evidence{because}"


class _Cell:
    """Finds the facts of one cell."""

    def __init__(self, scenario: Scenario, cell: Both) -> None:
        self._scenario = scenario
        self._cell = cell
        self._good, self._bad = cell.good.usable, cell.bad.usable
        self._trials = min(len(self._good), len(self._bad))

    def differences(self) -> Iterator[Difference]:
        """Yield every difference in this cell."""
        for step in self._scenario.steps:
            if not any(self._results(step, trial) for trial in (*self._good, *self._bad)):
                continue
            yield from self._of_exits(step)
            yield from self._of_vertices(step)
            yield from self._of_outputs(step)
            yield from self._of_messages(step)
            yield from self._of_layers(step)
            yield from self._of_exports(step)
        yield from self._of_daemons()

    # --- which conditions hold -----------------------------------------------------------------

    def _holds(self, condition: Condition, trial: Observation, end: End, verdict: Verdict) -> bool:
        rule = Rule(name="fact", verdict=verdict, means="it holds", all=(condition,))
        alone = replace(self._scenario, outcomes=(rule,))
        return judge(alone, trial, end.control).name == rule.name

    def _separates(self, condition: Condition, *, good: bool) -> bool:
        """Whether *condition* holds in every trial of one end, and does not in those of the other.

        What is not known of a trial, such as a file that was not read, is neither.
        """
        cell = self._cell
        own, other = (cell.good, cell.bad) if good else (cell.bad, cell.good)
        verdict = Verdict.GOOD if good else Verdict.BAD
        lacks = Condition(not_=condition)
        return all(self._holds(condition, t, own, verdict) for t in own.usable) and all(
            self._holds(lacks, t, other, verdict) for t in other.usable
        )

    def _difference(
        self, kind: Kind, good: Iterable[Condition], bad: Iterable[Condition]
    ) -> Iterator[Difference]:
        """Yield a difference of the first candidate for each end that separates, if one does."""
        first = next((c for c in good if self._separates(c, good=True)), None)
        other = next((c for c in bad if self._separates(c, good=False)), None)
        if first or other:
            yield self._made(kind, good=first, bad=other)

    def _made(
        self,
        kind: Kind,
        *,
        good: Condition | None = None,
        bad: Condition | None = None,
        texts: tuple[str, str] = ("", ""),
    ) -> Difference:
        return Difference(
            kind=kind,
            good=good,
            bad=bad,
            good_text=texts[0] or (wording.condition(good) if good else ""),
            bad_text=texts[1] or (wording.condition(bad) if bad else ""),
            cells=(self._cell.axes,),
            trials=self._trials,
        )

    def _results(self, step: Step, trial: Observation) -> list[StepResult]:
        return [found for run in step.runs if (found := trial.step(run))]

    def _of_runs(self, step: Step, condition: Condition) -> Iterator[Condition]:
        """Yield *condition* as it is for one run; for several, for every run and then for any."""
        if step.repeat == 1:
            yield condition
            return
        yield replace(condition, runs="every")
        yield replace(condition, runs="any")

    # --- what can be a rule --------------------------------------------------------------------

    def _of_exits(self, step: Step) -> Iterator[Difference]:
        statuses = {
            result.exit
            for trial in (*self._good, *self._bad)
            for result in self._results(step, trial)
            if not result.timed_out and 0 < result.exit < 1000  # noqa: PLR2004 - `exit` has 3 digits
        }
        words = ["ok", "late", "failed", *map(str, sorted(statuses))]
        candidates = [
            one for word in words for one in self._of_runs(step, Condition(step=step.id, exit=word))
        ]
        yield from self._difference(Kind.EXIT, candidates, candidates)

    def _of_vertices(self, step: Step) -> Iterator[Difference]:
        patterns = self._names(step)
        for pattern in patterns.values():
            base = Condition(step=step.id, vertex=pattern)
            candidates = [
                one for state in VertexIs for one in self._of_runs(step, replace(base, is_=state))
            ]
            for found in self._difference(Kind.REUSE, candidates, candidates):
                yield replace(found, kind=_kind_of(found))
        for shown, pattern in patterns.items():

            def log(trial: Observation, shown: str = shown) -> str:
                named = (v for v in self._vertices(step, trial) if str(name_of(v)) == shown)
                return "\n".join(v.log for v in named)

            def made(line: normal.Line, pattern: str = pattern) -> Condition:
                return Condition(step=step.id, vertex=pattern, log=line.pattern)

            yield from self._of_lines(Kind.LOG, step, log, made)

    def _of_outputs(self, step: Step) -> Iterator[Difference]:
        seen = (step, self._good, self._bad)
        for found in (*learned_outputs.candidates(*seen), *learned_outputs.numbers(*seen)):
            conditions = [c for one in found.conditions for c in self._of_runs(step, one)]
            yield from self._difference(Kind[found.of.upper()], conditions, conditions)

    def _of_messages(self, step: Step) -> Iterator[Difference]:
        def messages(trial: Observation) -> str:
            return "\n".join(result.stderr for result in self._results(step, trial))

        def made(line: normal.Line) -> Condition:
            return Condition(step=step.id, stderr=line.pattern)

        yield from self._of_lines(Kind.MESSAGE, step, messages, made)

    def _of_lines(
        self,
        kind: Kind,
        step: Step,
        text: Callable[[Observation], str],
        made: Callable[[normal.Line], Condition],
    ) -> Iterator[Difference]:
        """Yield a difference for each line of all trials of one end, and of none of the other."""
        for lines, good in self._only(text):
            for line in lines[:_MOST_LINES]:
                candidates = list(self._of_runs(step, made(line)))
                yield from self._difference(
                    kind, candidates if good else (), () if good else candidates
                )

    def _only(self, text: Callable[[Observation], str]) -> Iterator[tuple[list[normal.Line], bool]]:
        """Yield the lines of the good end only, and those of the bad end only, in order."""
        seen = {
            end: [list(normal.lines(text(trial))) for trial in trials]
            for end, trials in ((True, self._good), (False, self._bad))
        }
        for end, own in seen.items():
            other = {line for one in seen[not end] for line in one}
            kept = set.intersection(*map(set, own)) - other
            yield [line for line in own[0] if line in kept], end

    def _of_layers(self, step: Step) -> Iterator[Difference]:
        candidates = [
            one
            for kept in Kept
            for one in self._of_runs(step, Condition(step=step.id, inner_layers=kept))
        ]
        yield from self._difference(Kind.LAYERS, candidates, candidates)

    def _vertices(self, step: Step, trial: Observation) -> Iterator[Vertex]:
        for result in self._results(step, trial):
            yield from result.vertices

    def _names(self, step: Step) -> dict[str, str]:
        """Return a pattern for each name of a vertex, by its name without numbers.

        The stage is in the pattern only if several stages have such a vertex.
        """
        names = {
            str(named): named
            for trial in (*self._good, *self._bad)
            for vertex in self._vertices(step, trial)
            if vertex.name.strip() and vertex.name.isprintable()
            if (named := name_of(vertex))
        }
        short = [named.command for named in names.values()]
        return {
            shown: named.command if short.count(named.command) == 1 else named.whole
            for shown, named in names.items()
        }

    # --- what is only shown --------------------------------------------------------------------

    def _of_exports(self, step: Step) -> Iterator[Difference]:
        def records(trial: Observation) -> str | None:
            found = [r.export for r in self._results(step, trial) if r.export]
            counts = [(len(e.records), sum(bool(r.layers) for r in e.records)) for e in found]
            shown = (f"{plural(n, 'record')}, {kept} of them with layers" for n, kept in counts)
            return f"{step.id} exports {listed(shown)}" if counts else None

        def layers(trial: Observation) -> str | None:
            found = {digest for r in self._results(step, trial) if r.export
                     for digest in r.export.layers}  # fmt: skip
            shown = f"{step.id} exports the layers {listed(sorted(d[:19] for d in found))}"
            return shown if found else None

        yield from self._shown(Kind.RECORDS, records)
        yield from self._shown(Kind.DIGEST, layers)

        def digests(trial: Observation) -> str | None:
            found = sorted(v.digest[:19] for v in self._vertices(step, trial))
            return f"{step.id} has vertices with the digests {listed(found)}" if found else None

        yield from self._shown(Kind.DIGEST, digests)

    def _shown(
        self, kind: Kind, value: Callable[[Observation], str | None]
    ) -> Iterator[Difference]:
        """Yield a difference if a value is the same in every trial of an end, and differs."""
        good, bad = ({value(trial) for trial in trials} for trials in (self._good, self._bad))
        if len(good) == len(bad) == 1 and good != bad:
            texts = (good.pop() or "nothing is exported", bad.pop() or "nothing is exported")
            yield self._made(kind, texts=texts)

    def _of_daemons(self) -> Iterator[Difference]:
        died = Condition(daemon=DaemonIs.DIED)
        lives = Condition(not_=died)
        yield from self._difference(Kind.DEATH, (died, lives), (died, lives))
        for lines, good in self._only(lambda trial: trial.daemon_log):
            for line in [one for one in lines if is_crash(str(one))][:_MOST_LINES]:
                made = (Condition(daemon_log=line.pattern),)
                yield from self._difference(Kind.PANIC, made if good else (), () if good else made)
            for line in [one for one in lines if not is_crash(str(one))][:_MOST_LINES]:
                text = wording.condition(Condition(daemon_log=line.pattern))
                yield self._made(Kind.DAEMON, texts=(text, "") if good else ("", text))


def _kind_of(found: Difference) -> Kind:
    states = {c.is_ for c in (found.good, found.bad) if c}
    if VertexIs.ABSENT in states:
        return Kind.PRESENCE
    return Kind.FAILURE if VertexIs.FAILED in states else Kind.REUSE


def as_data(one: Difference, number: int) -> Mapping[str, object]:
    """Return a difference as JSON, numbered as ``--pick`` numbers it."""
    return {
        "number": number,
        "kind": one.kind.name.lower(),
        "good": one.good_text,
        "bad": one.bad_text,
        "good_condition": rule_text.condition(one.good) if one.good else None,
        "bad_condition": rule_text.condition(one.bad) if one.bad else None,
        "cells": [dict(axes) for axes in one.cells],
        "trials": one.trials,
        "separation": round(one.separation, 3),
    }

"""Whether results can be joined: they must be about the same scenarios, commits and binaries. Pure.

The documents may come from other people.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from buildkit_bisect.errors import BadInput, printable_line
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Matrix
from buildkit_bisect.phrases import labelled
from buildkit_bisect.result.document import BuildInfo, CellInfo, Result, ScenarioInfo, TrialInfo
from buildkit_bisect.result.words import CampaignKind, CampaignStatus

#: Campaigns whose cells mean something without the rest of the document.
KINDS = (CampaignKind.MATRIX, CampaignKind.RUN)

#: The scenario, the variant and the axis values of a cell.
Key = tuple[str, str, str, tuple[str, ...], tuple[tuple[str, str], ...]]

_SHORT = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A result that is to be joined."""

    number: int  # its place among those that were given
    name: str  # as messages call it
    result: Result


def key(cell: CellInfo) -> Key:
    """Return what *cell* is, on whichever machine."""
    axes = tuple(sorted(cell.axes.items()))
    return cell.scenario, cell.ref, cell.revision, cell.patches, axes


def label(cell: CellInfo) -> str:
    """Return *cell* as messages name it."""
    axes = " ".join(f"{name}={value}" for name, value in sorted(cell.axes.items()))
    return printable_line(labelled(variant(cell), f"{cell.scenario} {axes}".strip()))


def variant(cell: CellInfo) -> str:
    """Return ``v0.26.0 + record-ctx-opts``."""
    return " + ".join([cell.ref, *cell.patches])


def facts(result: Result, machine: str) -> dict[str, str] | None:
    """Return the facts of a machine of *result*; None for cells that none of several ran."""
    if result.machines:
        return result.machines.get(machine)
    return result.host


def with_commits(given: Sequence[Given]) -> list[Given]:
    """Return *given*, each with the commits of module versions that any of them knows.

    Only some proxies report the commit of a version.
    """
    known = {
        (r.ref, r.describe): r.sha
        for one in given
        for r in one.result.revisions
        if r.sha and r.describe
    }

    def completed(result: Result) -> Result:
        cells = (
            replace(c, revision=known.get((c.ref, c.revision), c.revision)) for c in result.cells
        )
        revisions = (
            replace(r, sha=r.sha or known.get((r.ref, r.describe), "")) for r in result.revisions
        )
        found = result.reproduction
        if found:
            found = replace(found, revision=known.get((found.ref, found.revision), found.revision))
        return replace(result, cells=tuple(cells), revisions=tuple(revisions), reproduction=found)

    return [replace(one, result=completed(one.result)) for one in given]


def check(given: Sequence[Given]) -> None:
    """Raise `BadInput` for the first thing that two of *given* disagree on."""
    for one in given:
        _check_kind(one)
    for differs in (_source, _scenario, _patch, _commit, _binary, _plan):
        differs(given)


def _check_kind(one: Given) -> None:
    result = one.result
    if result.kind not in KINDS:
        raise BadInput(
            f"{one.name} is the result of {result.kind}; only those of {' and '.join(KINDS)} can"
            " be merged",
            hint=f"leave it out, or {inv('diff', 'ID', 'ID')}",
        )
    if result.status != CampaignStatus.DONE:
        raise BadInput(f"{one.name} is {result.status}", hint="run its command again")
    names = [scenario.name for scenario in result.scenarios]
    if stray := [cell for cell in result.cells if cell.scenario not in names]:
        scenario = printable_line(stray[0].scenario)
        raise BadInput(
            f"{one.name} has a cell of {scenario}, and not that scenario",
            hint="leave it out",
        )


def _once(
    given: Sequence[Given],
    of: Callable[[Result], Iterator[tuple[object, str, object, str]]],
    hint: str,
) -> None:
    """Raise `BadInput` if two results have other values for something.

    *of* yields (what, its name, its value, the value as shown).
    """
    known: dict[object, tuple[Given, object, str]] = {}
    for one in given:
        for what, name, value, shown in of(one.result):
            first, other, was = known.setdefault(what, (one, value, shown))
            if other != value:
                thing, old, new = map(printable_line, (name, was, shown))
                raise BadInput(
                    f"{thing} is not the same: {old} in {first.name}, {new} in {one.name}",
                    hint=hint,
                )


def _source(given: Sequence[Given]) -> None:
    def kinds(result: Result) -> Iterator[tuple[object, str, object, str]]:
        kind = result.source.get("kind", "")
        yield "", "BuildKit's source", kind, kind or "none"

    _once(given, kinds, f"the same {words(Matrix, source=True)} for all")


def _scenario(given: Sequence[Given]) -> None:
    def digests(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for each in result.scenarios:
            yield each.name, f"scenario {each.name}", each.digest, f"digest {each.digest[:_SHORT]}"

    def shapes(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for each in result.scenarios:
            axes = sorted(each.axes)
            yield each.name, f"scenario {each.name}", axes, f"axes {', '.join(axes) or 'none'}"
            rules = [(rule["name"], rule["verdict"]) for rule in each.outcomes]
            shown = ", ".join(name for name, _ in rules)
            yield (each.name, ""), f"scenario {each.name}", rules, f"outcomes {shown}"
            for axis, value, control in _values(each):
                role = "a control" if control else "no control"
                yield (each.name, axis, value), f"{each.name}: {axis}={value}", control, role

    _once(given, digests, "leave out those of another version of the scenario")
    _once(given, shapes, "leave out those that ran with other options")


def _values(scenario: ScenarioInfo) -> Iterator[tuple[str, str, bool]]:
    for axis, spec in scenario.axes.items():
        yield from ((axis, value, value in spec["controls"]) for value in spec["values"])


def _patch(given: Sequence[Given]) -> None:
    def digests(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for each in result.patches:
            yield each.name, f"patch {each.name}", each.digest, f"digest {each.digest[:_SHORT]}"

    _once(given, digests, "leave out those of another version of the patch")


def _commit(given: Sequence[Given]) -> None:
    def commits(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for each in result.revisions:
            commit = each.sha or each.describe
            yield each.ref, f"revision {each.ref}", commit, commit[:_SHORT]
        for cell in result.cells:
            yield cell.ref, f"revision {cell.ref}", cell.revision, cell.revision[:_SHORT]

    _once(given, commits, "name commits instead of branches")


def _binary(given: Sequence[Given]) -> None:
    def binaries(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for cell in result.cells:
            if build := cell.build:
                arch = (facts(result, cell.machine) or {}).get("arch", "")
                name = f"the buildkitd of {variant(cell)}"
                what = cell.revision, cell.patches, arch
                yield what, name, (build.key, build.binary_sha256), _shown(build)
                yield build.key, name, build.binary_sha256, _shown(build)

    _once(given, binaries, "the same Go, options and source for all")


def _plan(given: Sequence[Given]) -> None:
    def plans(result: Result) -> Iterator[tuple[object, str, object, str]]:
        for shard in (result.shard, *(part.shard for part in result.parts)):
            if shard:
                shown = f"shard {shard.number} of plan {shard.plan[:_SHORT]}"
                yield "", "the matrix of the shards", shard.plan, shown

    _once(given, plans, "merge the shards of one matrix; all run with the same options and commits")


def _shown(build: BuildInfo) -> str:
    return f"sha256 {build.binary_sha256[:_SHORT]} (build {build.key[:_SHORT]}, Go {build.go})"


def unsharded(command: str) -> str:
    """Return a campaign's command without the option that makes it run a part of a matrix."""
    flag = words(Matrix, shard=True)
    try:
        left = shlex.split(command)
    except ValueError:  # a document may contain anything
        return command
    kept: list[str] = []
    while left:
        word = left.pop(0)
        if word == flag:
            left[:1] = []
        elif not word.startswith(f"{flag}="):
            kept.append(word)
    return shlex.join(kept)


def _digest(cell: CellInfo, trial: TrialInfo) -> bytes:
    """Return what is equal for one trial in two results, and for no two trials: its times.

    What was made of them may differ: a step is compared with the control of that campaign.
    """
    steps = [(step.id, step.exit, step.seconds) for step in trial.steps]
    same = key(cell), trial.ended, trial.seconds, steps
    return hashlib.sha256(repr(same).encode(errors="replace")).digest()


class Seen:
    """The trials of the results so far: those that two of them have count once."""

    def __init__(self) -> None:
        self._trials: dict[bytes, Given] = {}
        self._without: dict[tuple[Key, str, tuple[tuple[str, str], ...]], Given] = {}
        self._other: dict[int, Given] = {}

    def is_new(self, one: Given, machine: str, cell: CellInfo) -> bool:
        """Whether no earlier result has this cell of *one* with the same trials.

        Raises `BadInput` if one has some of the trials.
        """
        own = [_digest(cell, trial) for trial in cell.trials]
        there = [trial for trial in own if trial in self._trials]
        if there and len(there) < len(own):
            other = self._trials[there[0]]
            raise BadInput(
                f"{one.name} and {other.name} have some trials of {label(cell)} in common",
                hint="leave out one of them",
            )
        known = facts(one.result, machine) or {}
        bare = key(cell), cell.outcome, tuple(sorted(known.items()))
        other_ = self._trials[own[0]] if there else None if own else self._without.get(bare)
        if other_ is not None and other_ is not one:
            self._other[one.number] = other_
            return False
        self._trials.update(dict.fromkeys(own, one))
        if not own:
            self._without[bare] = one
        return True

    def other(self, one: Given) -> str:
        """Return the name of a result that has what *one* has."""
        return self._other[one.number].name

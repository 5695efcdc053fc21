"""A result with its outcomes called by their labels, as its scenarios name them for readers. Pure.

Reports are made from what `spoken` returns; the document and its comparisons keep the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from buildkit_bisect.phrases import labelled
from buildkit_bisect.render.symbols import own, word
from buildkit_bisect.result import (
    BisectInfo,
    BisectStep,
    CampaignKind,
    CandidateInfo,
    CellInfo,
    MinimizeInfo,
    Result,
    ScenarioInfo,
    ValidationInfo,
)
from buildkit_bisect.result.labels import axis_labels, outcome_labels

#: Outcome -> label. An outcome without a label is missing.
_Labels = Mapping[str, str]

#: The last result and what it became.
_last: list[Result] = []


def spoken(result: Result) -> Result:
    """Return *result* with labels instead of outcome names. Twice is the same as once."""
    # Every report asks for the same one. Kept as a whole, so that its id is not another's.
    if not any(result is each for each in _last):
        _last[:] = [result, _spoken(result)]
    return _last[1]


def _spoken(result: Result) -> Result:
    labels = {s.name: made for s in result.scenarios if (made := _labels(s))}
    if not labels:
        return _named_steps(result)
    spoken_ = replace(
        result,
        scenarios=tuple(_scenario(s, labels.get(s.name, {})) for s in result.scenarios),
        cells=tuple(_cell(c, labels.get(c.scenario, {})) for c in result.cells),
        bisect=_search(result.bisect, labels) if result.bisect else None,
        validation=_validation(result.validation, labels) if result.validation else None,
        minimized=_minimized(result.minimized, labels) if result.minimized else None,
    )
    return _named_steps(spoken_)


def _named_steps(result: Result) -> Result:
    """Return *result* with each step of a history saying in words in which cell it saw what."""
    info = result.bisect
    if not info or result.kind != CampaignKind.BOUNDARIES:
        return result
    names = _cell_names(result)
    shown: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for cell in result.cells:
        if cell.counts and not cell.control:
            seen = own(cell) if len(cell.counts) > 1 else f"{word(cell.outcome)} {own(cell)}"
            place = shown.setdefault((cell.revision, cell.patches), [])
            place.append(labelled(names[_place(cell)], seen))
    steps = (
        replace(step, shown="; ".join(shown.get((step.sha, step.patches), [step.shown])))
        for step in info.steps
    )
    return replace(result, bisect=replace(info, steps=tuple(steps)))


_Place = tuple[str, tuple[tuple[str, str], ...]]


def _place(cell: CellInfo) -> _Place:
    return cell.scenario, tuple(sorted(cell.axes.items()))


def _cell_names(result: Result) -> dict[_Place, str]:
    """Return the name of each cell: what distinguishes it from the others; "" of a single one."""
    scenarios = {scenario.name: scenario for scenario in result.scenarios}
    labels: dict[_Place, tuple[str, ...]] = {}
    for cell in result.cells:
        known = scenarios.get(cell.scenario)
        values = tuple(cell.axes.values())
        labels[_place(cell)] = axis_labels(known, cell.axes) if known else values
    several = len({name for name, _ in labels}) > 1
    names = {}
    for place, parts in labels.items():
        alike = [each for other, each in labels.items() if other[0] == place[0]]
        rest = [part for part in parts if any(part not in each for each in alike)]
        names[place] = ", ".join([*([place[0]] if several else []), *rest])
    return names


def _labels(scenario: ScenarioInfo) -> _Labels:
    """Return the label of each outcome; without one, its name as words if that is another text."""
    words = {name: word(name) for o in scenario.outcomes if "-" in (name := o["name"])}
    return words | outcome_labels(scenario)


def _scenario(scenario: ScenarioInfo, labels: _Labels) -> ScenarioInfo:
    named = (
        {"option": o["name"], **o, "name": labels.get(o["name"], o["name"])}
        for o in scenario.outcomes
    )
    return replace(scenario, outcomes=tuple(named))


def _keys(counts: Mapping[str, int], labels: _Labels) -> dict[str, int]:
    return {labels.get(name, name): n for name, n in counts.items()}


def _cell(cell: CellInfo, labels: _Labels) -> CellInfo:
    known = cell.known and replace(cell.known, counts=_keys(cell.known.counts, labels))
    trials = (replace(t, outcome=labels.get(t.outcome, t.outcome)) for t in cell.trials)
    return replace(
        cell,
        outcome=labels.get(cell.outcome, cell.outcome),
        reason=_said(cell.reason, labels),
        counts=_keys(cell.counts, labels),
        known=known,
        trials=tuple(trials),
    )


def _said(text: str, labels: _Labels) -> str:
    """Return *text* with labels for outcomes, which are all of it or have a number of trials."""
    if not labels or text in labels:
        return labels.get(text, text)
    names = "|".join(map(re.escape, sorted(labels, key=len, reverse=True)))
    counted = re.compile(rf"(?<![\w-])({names})(?= \(?\d+ of \d+)")
    return counted.sub(lambda found: labels[found[1]], text)


def _search(info: BisectInfo, labels: Mapping[str, _Labels]) -> BisectInfo:
    own = _shared(labels.get(name, {}) for name in info.scenario.split(","))

    def steps(some: Iterable[BisectStep]) -> tuple[BisectStep, ...]:
        return tuple(
            replace(
                step,
                shown=_said(step.shown, own),
                why=_said(step.why, own),
                counts=_keys(step.counts, own),
            )
            for step in some
        )

    def candidates(some: Iterable[CandidateInfo], mine: _Labels) -> tuple[CandidateInfo, ...]:
        return tuple(replace(c, reason=_said(c.reason, mine)) for c in some)

    changes = (
        replace(
            c,
            before=_said(c.before, mine),
            after=_said(c.after, mine),
            candidates=candidates(c.candidates, mine),
        )
        for c in info.changes
        for mine in (labels.get(c.scenario, {}),)
    )
    tried = (replace(c, good=_said(c.good, own), bad=_said(c.bad, own)) for c in info.tried)
    return replace(
        info,
        gate=steps(info.gate),
        steps=steps(info.steps),
        changes=tuple(changes),
        tried=tuple(tried),
        candidates=candidates(info.candidates, own),
        reason=_said(info.reason, own),
        choice=_said(info.choice, own),
        reverted=_said(info.reverted, own),
        bad_shown=_said(info.bad_shown, own),
        notes=tuple(_said(note, own) for note in info.notes),
    )


def _validation(info: ValidationInfo, labels: Mapping[str, _Labels]) -> ValidationInfo:
    every = _shared(labels.values())
    cells = (
        replace(c, before=_said(c.before, own), after=_said(c.after, own))
        for c in info.cells
        for own in (labels.get(c.scenario, {}),)
    )
    return replace(info, cells=tuple(cells), reverted=_said(info.reverted, every))


def _minimized(info: MinimizeInfo, labels: Mapping[str, _Labels]) -> MinimizeInfo:
    every = _shared(labels.values())
    return replace(
        info,
        before=_said(info.before, every),
        after=_said(info.after, every),
        needed=_said(info.needed, every),
        reason=_said(info.reason, every),
        notes=tuple(_said(note, every) for note in info.notes),
        hunks=tuple(replace(h, without=_said(h.without, every)) for h in info.hunks),
        tried=tuple(replace(t, shown=_said(t.shown, every)) for t in info.tried),
    )


def _shared(some: Iterable[_Labels]) -> _Labels:
    """Return the labels of several scenarios, without the outcomes that they call differently."""
    found: dict[str, set[str]] = {}
    for labels in some:
        for name, label in labels.items():
            found.setdefault(name, set()).add(label)
    return {name: labels.pop() for name, labels in found.items() if len(labels) == 1}

"""Which conditions on numbers, files and images may tell two ends apart. Pure.

They are candidates: `learned` asks of each whether it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from buildkit_bisect.model import FileFacts, Observation, OutputFacts
from buildkit_bisect.scenario import bounds, document_path, metrics, normal, outputs
from buildkit_bisect.scenario.definition import Condition, Step

#: Files, and values in the documents of an image, that are compared in one output.
_MOST = 20

#: Lines of a file that are compared.
_MOST_LINES = 3

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_/-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidates:
    """Conditions about one subject: one may hold at the good end, another one at the bad end."""

    of: str  # "file", "image" or "number"
    conditions: tuple[Condition, ...]


def candidates(
    step: Step, good: Sequence[Observation], bad: Sequence[Observation]
) -> Iterator[Candidates]:
    """Yield candidates about what differs in the outputs of *step* between trials of both ends."""
    readable = outputs.readable(step)
    names = list(dict.fromkeys(one.name for one in readable))
    for name in names:
        base = Condition(step=step.id, output=name if len(names) > 1 else "")
        ends = [[_outputs(step, name, trial) for trial in trials] for trials in (good, bad)]
        yield from _files(base, ends)
    images = list(dict.fromkeys(one.name for one in outputs.readable(step, "image")))
    for name in images:
        base = Condition(step=step.id, output=name if len(images) > 1 else "")
        ends = [[_outputs(step, name, trial) for trial in trials] for trials in (good, bad)]
        yield from _documents(base, ends)


def numbers(
    step: Step, good: Sequence[Observation], bad: Sequence[Observation]
) -> Iterator[Candidates]:
    """Yield bounds between the numbers of *step* at both ends, if they are apart.

    Not of its seconds, which another machine has others of.
    """
    for metric in metrics.names(step):
        if metric == "seconds":
            continue
        one, other = (
            [
                found
                for trial in trials
                for run in step.runs
                if (result := trial.step(run))
                and (found := metrics.value(result, metric)) is not None
            ]
            for trials in (good, bad)
        )
        if one and other and (max(one) < min(other) or max(other) < min(one)):
            low, high = sorted((one, other), key=max)
            between = f"{(max(low) + min(high)) / 2:.15g}"
            if not any(bounds.limit_problem(between, over=over) for over in (True, False)):
                base = Condition(step=step.id, metric=metric)
                yield Candidates(
                    of="number",
                    conditions=(replace(base, over=between), replace(base, under=between)),
                )


def _outputs(step: Step, name: str, trial: Observation) -> list[OutputFacts]:
    found = [trial.step(run) for run in step.runs]
    return [one for result in found if result for one in result.outputs if one.name == name]


_Ends = Sequence[Sequence[Sequence[OutputFacts]]]


def _files(base: Condition, ends: _Ends) -> Iterator[Candidates]:
    tables = [[_by_path(trial) for trial in trials] for trials in ends]
    paths = dict.fromkeys(path for trials in tables for table in trials for path in table)
    differing = [
        path
        for path in sorted(paths)
        if {_shape(t.get(path)) for t in tables[0]} != {_shape(t.get(path)) for t in tables[1]}
    ]
    for path in differing[:_MOST]:
        found = [[table.get(path) for table in trials] for trials in tables]
        yield _made("file", base, [{"file": path, "exists": e} for e in (True, False)])
        modes = {f"{one.mode:04o}" for trials in found for one in trials if one}
        if len(modes) > 1:
            yield _made("file", base, [{"file": path, "mode": mode} for mode in sorted(modes)])
        for line in _only([[one.text or "" if one else "" for one in end] for end in found]):
            yield _made("file", base, [{"file": path, "content": line.pattern}])


def _by_path(trial: Sequence[OutputFacts]) -> Mapping[str, FileFacts]:
    return {file.path: file for output in trial for file in output.files}


def _shape(file: FileFacts | None) -> tuple[object, ...] | None:
    """Return what is compared of a file; not its time."""
    return (file.kind, file.mode, file.sha256 or file.text) if file else None


def _only(ends: Sequence[Sequence[str]]) -> Iterator[normal.Line]:
    """Yield the first lines that all texts of one end have, and none of the other."""
    seen = [[list(normal.lines(text)) for text in texts] for texts in ends]
    for own, other in (seen, reversed(seen)):
        if own:
            kept = set.intersection(*map(set, own)) - {line for one in other for line in one}
            yield from [line for line in own[0] if line in kept][:_MOST_LINES]


def _documents(base: Condition, ends: _Ends) -> Iterator[Candidates]:
    tables = [[dict(_values(trial)) for trial in trials] for trials in ends]
    paths = dict.fromkeys(path for trials in tables for table in trials for path in table)
    differing = [
        path
        for path in paths
        if {t.get(path) for t in tables[0]} != {t.get(path) for t in tables[1]}
    ]
    for path in differing[:_MOST]:
        lines = {table.get(path) for trials in tables for table in trials} - {None}
        keys: list[dict[str, Any]] = [
            {"image": path, "matches": f"^{line.pattern}{line.end}"}
            for line in sorted(filter(None, lines), key=str)
        ]
        keys += [{"image": path, "exists": exists} for exists in (True, False)]
        yield _made("image", base, keys)


def _values(trial: Sequence[OutputFacts]) -> Iterator[tuple[str, normal.Line]]:
    for output in trial:
        for name, document in output.documents.items():
            yield from _leaves(name, document)


def _leaves(path: str, found: Any) -> Iterator[tuple[str, normal.Line]]:
    """Yield the path and the value of each text, number and boolean in a JSON document."""
    if document_path.problem(path):
        return
    match found:
        case Mapping():
            for key, value in found.items():
                plain = _PLAIN_KEY.fullmatch(key)
                yield from _leaves(f"{path}.{key}" if plain else f"{path}.{json.dumps(key)}", value)
        case list():
            for number, value in enumerate(found):
                yield from _leaves(f"{path}[{number}]", value)
        case str() | int() | float():
            text = document_path.text(found)
            if text.strip() and text.isprintable():
                yield path, normal.line(text)


def _made(of: str, base: Condition, keys: Sequence[Mapping[str, Any]]) -> Candidates:
    step, output = base.step, base.output
    conditions = tuple(Condition(step=step, output=output, **one) for one in keys)
    return Candidates(of=of, conditions=conditions)

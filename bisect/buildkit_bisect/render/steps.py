"""The steps of a search in a report: repeated runs of one commit as one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from buildkit_bisect.phrases import listed
from buildkit_bisect.result import BisectStep


def collapsed(steps: Sequence[BisectStep]) -> list[tuple[str, BisectStep]]:
    """Return (numbers, step) with the runs of a commit in one phase as one step.

    Runs of a gate or a proof alternate between commits; those of a search are joined only if they
    follow each other. A step that could not be tested stays alone.
    """
    groups: list[list[BisectStep]] = []
    for step in steps:
        near = [g for g in groups if g[-1].phase == step.phase] if _repeats(step) else groups[-1:]
        same = next((g for g in near if step.counts and g[0].counts and _alike(g[0], step)), None)
        if same is None:
            groups.append([step])
        else:
            same.append(step)
    return [(_numbers(group), _joined(group)) for group in groups]


def _repeats(step: BisectStep) -> bool:
    return step.phase in ("gate", "proof")


def _alike(one: BisectStep, other: BisectStep) -> bool:
    return (one.sha, one.patches, one.verdict) == (other.sha, other.patches, other.verdict)


def _numbers(group: Sequence[BisectStep]) -> str:
    return listed([str(step.number) for step in group], 4)


def _joined(group: Sequence[BisectStep]) -> BisectStep:
    first = group[0]
    if len(group) == 1:
        return first
    counts: Counter[str] = Counter()
    for step in group:
        counts.update(step.counts)
    total = sum(counts.values())
    shown = ", ".join(f"{name} {n} of {total}" for name, n in counts.most_common())
    return replace(first, counts=dict(counts), shown=shown, left=group[-1].left,
                   why=f"{first.why}; asked {len(group)} times")  # fmt: skip

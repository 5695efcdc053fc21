"""Repeated runs of one commit are one row."""

from __future__ import annotations

from dataclasses import replace

import results
from buildkit_bisect import render
from buildkit_bisect.render.steps import collapsed
from buildkit_bisect.result import BisectStep


def step(number: int, phase: str, sha: str, verdict: str = "bad", **counts: int) -> BisectStep:
    shown = ", ".join(f"{name} {n} of {n}" for name, n in counts.items()) or "build: undefined: x"
    return BisectStep(number=number, phase=phase, sha=sha, verdict=verdict, shown=shown, why="why",
                      counts=counts, left=9 - number)  # fmt: skip


def test_a_proof_alternates_and_is_two_rows() -> None:
    steps = [step(n, "proof", "ab"[n % 2], ("good", "bad")[n % 2], **{("c", "d")[n % 2]: 1})
             for n in range(1, 9)]  # fmt: skip
    (one, bad), (other, good) = collapsed(steps)
    assert (one, bad.shown, bad.verdict) == ("1, 3, 5 and 7", "d 4 of 4", "bad")
    assert (other, good.shown, good.verdict) == ("2, 4, 6 and 8", "c 4 of 4", "good")
    assert bad.why == "why; asked 4 times"
    assert bad.left == 2


def test_a_search_joins_only_neighbours() -> None:
    steps = [step(1, "first-parent", "a", c=1), step(2, "first-parent", "a", c=2),
             step(3, "first-parent", "b", c=1), step(4, "first-parent", "a", c=1)]  # fmt: skip
    assert [(numbers, s.shown) for numbers, s in collapsed(steps)] == [
        ("1 and 2", "c 3 of 3"), ("3", "c 1 of 1"), ("4", "c 1 of 1")]  # fmt: skip


def test_other_verdicts_phases_and_untested_steps_stay_alone() -> None:
    steps = [
        step(1, "gate", "a", c=1), step(2, "proof", "a", c=1), step(3, "proof", "a", "good", d=1),
        step(4, "proof", "x", "skip"), step(5, "proof", "x", "skip"),
    ]  # fmt: skip
    assert [numbers for numbers, _ in collapsed(steps)] == ["1", "2", "3", "4", "5"]


def test_both_reports_show_joined_steps() -> None:
    result = results.bisect()
    assert result.bisect
    again = replace(result.bisect.steps[-1], number=9)
    made = replace(result, bisect=replace(result.bisect, steps=(*result.bisect.steps, again)))
    assert "| 7 and 9 |" in render.markdown(made)
    assert "<td>7 and 9</td>" in render.html(made)

"""Rules made of facts that tell two ends apart, and their place in a ``scenario.toml``. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from buildkit_bisect.errors import BadInput, NoAnswer
from buildkit_bisect.model import Observation, Verdict
from buildkit_bisect.scenario import rule_text
from buildkit_bisect.scenario.definition import Condition, Rule, Scenario
from buildkit_bisect.scenario.learned import Both, Difference, End
from buildkit_bisect.scenario.outcome import judge

#: The names of the outcomes; learning again replaces them.
GOOD, BAD = "learned-good", "learned-bad"

#: How the comment above the rules begins.
MARK = "# Learned from "

_HEADER = re.compile(r"\s*\[\[\s*outcomes\s*\]\]\s*(#.*)?")
_TABLE = re.compile(r"\s*\[")


def made(scenario: Scenario, picked: Sequence[Difference], cells: Sequence[Both]) -> list[Rule]:
    """Return the rules for *picked*: good and bad, each with the exits that its end had.

    If no pick has a condition for good, what ends like the good end and is not bad is good. Raises
    `BadInput` if no pick has one for bad: only a fact of the bad end can say that something is bad.
    """
    bad, good = [d.bad for d in picked if d.bad], [d.good for d in picked if d.good]
    if not bad:
        raise BadInput(
            "none of these facts is of the bad end, so no rule could be bad",
            hint="pick a fact that has a condition for bad",
        )
    used = [c for c in cells if any(c.axes in d.cells for d in picked)]
    # A fact about the daemon is of no step: all of them are as they were.
    steps = {c.step for c in (*good, *bad)} - {""} or {step.id for step in scenario.steps}
    bad_rule = Rule(
        name=BAD,
        verdict=Verdict.BAD,
        means="; ".join(d.bad_text for d in picked if d.bad),
        all=_with_exits(scenario, steps, bad, [c.bad for c in used]),
    )
    good_exits = _with_exits(scenario, steps, good, [c.good for c in used])
    if not good_exits:
        raise BadInput(
            "the steps of these facts exit in several ways at the good end",
            hint="also pick a fact with a condition for good",
        )
    good_rule = Rule(
        name=GOOD,
        verdict=Verdict.GOOD,
        means="; ".join(d.good_text for d in picked if d.good)
        or f"{', '.join(sorted(steps))} as at the good end, and not bad",
        all=good_exits,
    )
    return [good_rule, bad_rule] if good else [bad_rule, good_rule]


def _with_exits(
    scenario: Scenario, steps: set[str], conditions: list[Condition], ends: list[End]
) -> tuple[Condition, ...]:
    """Return *conditions* after the exit of each of *steps*, if it is the same in all trials."""
    exits = []
    for step in scenario.steps:
        if step.id not in steps or any(c.step == step.id and c.exit for c in conditions):
            continue
        for word in ("ok", "failed"):
            condition = Condition(step=step.id, exit=word, runs="every" if step.repeat > 1 else "")
            rule = Rule(name="exit", verdict=Verdict.GOOD, means="it does", all=(condition,))
            trials = [(trial, end) for end in ends for trial in end.usable]
            if all(_matches(scenario, rule, trial, end.control) for trial, end in trials):
                exits.append(condition)
    return (*exits, *dict.fromkeys(conditions))


def _matches(
    scenario: Scenario, rule: Rule, trial: Observation, control: Observation | None
) -> bool:
    return rule.name in matching(scenario, (rule,), trial, control)


def matching(
    scenario: Scenario, rules: Sequence[Rule], trial: Observation, control: Observation | None
) -> list[str]:
    """Return the names of all *rules* whose conditions hold of *trial*, in order, not the first."""
    alone = ((rule, judge(replace(scenario, outcomes=(rule,)), trial, control)) for rule in rules)
    return list(dict.fromkeys(rule.name for rule, found in alone if found.name == rule.name))


def refusal(
    scenario: Scenario, picked: Sequence[Difference], cells: Sequence[Both]
) -> NoAnswer | None:
    """Return why *scenario*, with its new rules, is wrong about the trials that they are from.

    In the cells of *picked* each trial must have the verdict of its end, elsewhere no trial of the
    good end and no control may be bad.
    """
    for cell in cells:
        shown = " ".join(f"{name}={value}" for name, value in cell.axes)
        where = f" in the cell {shown}" if shown else ""
        told = all(cell.axes in one.cells for one in picked)
        for name, end in (("good", cell.good), ("bad", cell.bad)):
            for trial in end.usable:
                found = judge(scenario, trial, end.control)
                wrong = found.verdict != name if told else (
                    name == "good" and found.verdict is Verdict.BAD
                )  # fmt: skip
                if wrong:
                    return NoAnswer(
                        f"with these rules a trial of the {name} end{where} is {found.verdict},"
                        f" {found.name}: {found.reason}",
                        hint="another fact, or remove the rule above that takes it",
                    )
            if end.control and judge(scenario, end.control, None).verdict is Verdict.BAD:
                return NoAnswer(
                    f"with these rules the control of the {name} end{where} is bad: the fact is not"
                    " about what the control leaves out",
                    hint="another fact, or another control",
                )
    return None


def written(text: str, rules: Sequence[Rule], comment: str) -> str:
    """Return the ``scenario.toml`` *text* with *rules* before its other outcomes.

    Rules of an earlier call are replaced; the rest stays as it is, byte for byte. *comment* is one
    line. Raises `BadInput` if the rules cannot be placed.
    """
    old = tomllib.loads(text)
    kept = [r for r in old.get("outcomes", []) if r.get("name") not in (GOOD, BAD)]
    blocks = "\n".join(map(rule_text.rule, rules))
    new = tomllib.loads(blocks)["outcomes"]
    wanted = {**old, "outcomes": [*new, *kept]}
    block = f"{MARK}{_one_line(comment)}\n{blocks}"
    for base in _without_learned(text, old, kept):
        for made_ in _places(base, block):
            try:
                found = tomllib.loads(made_)
            except tomllib.TOMLDecodeError:
                continue
            if found == wanted:
                return made_
    raise BadInput(
        "the rules cannot be put into scenario.toml without a change of something else",
        hint="write each outcome as a table that begins with [[outcomes]]",
    )


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _without_learned(text: str, old: dict[str, object], kept: list[object]) -> Iterator[str]:
    """Yield *text* without the outcomes that were learned before; verified by parsing."""
    if len(kept) == len(old.get("outcomes", [])):  # type: ignore[arg-type]
        yield text
        return
    lines = text.splitlines(keepends=True)
    out: list[str] = []
    at = 0
    while at < len(lines):
        if not _HEADER.fullmatch(lines[at].rstrip("\n")):
            out.append(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and not _TABLE.match(lines[end]) and lines[end].strip():
            end += 1
        block = "".join(lines[at:end])
        try:
            name = tomllib.loads(block)["outcomes"][0].get("name")
        except (tomllib.TOMLDecodeError, KeyError, IndexError):
            name = None
        if name in (GOOD, BAD):
            while out and out[-1].startswith(MARK):
                out.pop()
            while end < len(lines) and not lines[end].strip():
                end += 1
        else:
            out += lines[at:end]
        at = end
    yield "".join(out)


def _places(text: str, block: str) -> Iterator[str]:
    """Yield *text* with *block* before each header of an outcome, and at its end."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if _HEADER.fullmatch(line.rstrip("\r\n")):
            first = number
            while first and lines[first - 1].lstrip().startswith("#"):
                first -= 1  # the comment above it is about it
            yield "".join([*lines[:first], block, "\n", *lines[first:]])
    if not text or text.endswith("\n\n"):
        yield f"{text}{block}"
    else:
        yield f"{text}{'' if text.endswith(chr(10)) else chr(10)}\n{block}"

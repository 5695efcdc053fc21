"""The rules of a scenario in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildkit_bisect.scenario import bounds, normal, runs
from buildkit_bisect.scenario.definition import Condition, Kept, Rule, Scenario, VertexIs

_EXIT = {"ok": "exits 0", "failed": "fails", "late": "times out"}

_VERTEX = {
    VertexIs.CACHED: "is CACHED",
    VertexIs.RAN: "runs: it is not CACHED",
    VertexIs.FAILED: "fails",
    VertexIs.ABSENT: "is absent",
}

_KEPT = {
    Kept.ALL: "every inner record of its cache that has layers in the control's has layers",
    Kept.SOME: "some inner records of its cache have no layers, but have them in the control's",
    Kept.NONE: "no inner record of its cache has layers that has them in the control's",
}


def condition(one: Condition) -> str:
    """Return a condition that was learned: ``in import, "RUN echo stable" is CACHED``.

    Its patterns are shown as the text that they are of.
    """
    return _words(one, {}, None, negated=False, shown=normal.in_words)


def rules(scenario: Scenario) -> list[str]:
    """Return each rule in words, in the order in which they are tried: the first one counts."""
    repeats = {step.id: step.repeat for step in scenario.steps}
    return [
        f"{rule.verdict} ({rule.name}): {rule.means}.\n"
        f"    {'; '.join(_words(c, repeats, rule, negated=False) for c in rule.all)}."
        for rule in scenario.outcomes
    ]


def _words(
    one: Condition,
    repeats: Mapping[str, int],
    rule: Rule | None,
    *,
    negated: bool,
    shown: Callable[[str], str] = str,
) -> str:
    """Return *one* in words, each of its patterns as *shown* returns it."""
    if one.not_ is not None:
        return f"not ({_words(one.not_, repeats, rule, negated=not negated, shown=shown)})"
    if one.any:
        each = [_words(inner, repeats, rule, negated=negated, shown=shown) for inner in one.any]
        return " or ".join(f"({text})" for text in each)
    repeat = repeats.get(one.step, 1)
    if repeat == 1 or rule is None:
        return "; ".join(_facts(one, shown))
    # "and": the facts of one condition hold in the same run.
    return (
        f"in {runs.phrase(one, rule.verdict, repeat, negated)}: {' and '.join(_facts(one, shown))}"
    )


def _facts(one: Condition, shown: Callable[[str], str]) -> list[str]:
    facts, vertex = [], shown(one.vertex)
    if one.exit:
        low, _, high = one.exit.partition("-")
        facts += [_EXIT.get(one.exit, f"exits {low}" + (f" to {high}" if high else ""))]
    if one.stderr:
        facts += [f'prints "{shown(one.stderr)}"']
    text = [f"{one.step} {' and '.join(facts)}"] if facts else []
    if one.is_ is not None:
        text += [f'in {one.step}, "{vertex}" {_VERTEX[one.is_]}']
    if one.log:
        text += [f'in {one.step}, "{vertex}" prints "{shown(one.log)}"']
    if one.took:
        longer, least = bounds.took(one.took)
        text += [f'in {one.step}, "{vertex}" takes {"over" if longer else "under"} {least:g} s']
    if one.before:
        text += [f'in {one.step}, "{vertex}" ends before "{shown(one.before)}" starts']
    if one.metric:
        bound = f"over {one.over}" if one.over else f"under {one.under}"
        text += [f"{one.metric} of {one.step} is {bound}"]
    if one.inner_layers is not None:
        text += [f"in {one.step}, {_KEPT[one.inner_layers]}"]
    text += [f"{_place(one)} {' and '.join(_about(one, shown))}"] if one.file or one.image else []
    text += ["the daemon died"] if one.daemon else []
    text += [f'the daemon\'s log has "{shown(one.daemon_log)}"'] if one.daemon_log else []
    return text


def _place(one: Condition) -> str:
    """Return what a condition about an output is about: ``in build, the file out``."""
    output = f" of {one.output}" if one.output else ""
    what = f"the file {one.file}" if one.file else f"the image's {one.image}"
    return f"in {one.step}, {what}{output}"


def _about(one: Condition, shown: Callable[[str], str]) -> list[str]:
    facts = []
    if one.exists is not None:
        facts += ["exists" if one.exists else "does not exist"]
    facts += [f'has "{shown(one.content or one.matches)}"'] if one.content or one.matches else []
    facts += [f"has the mode {one.mode}"] if one.mode else []
    facts += [f"was modified at {one.mtime}"] if one.mtime is not None else []
    facts += [f"is the same as in {one.same_as}"] if one.same_as else []
    return facts

"""In how many runs of a repeated step a condition must hold. Pure."""

from __future__ import annotations

import re

from buildkit_bisect.model import Verdict
from buildkit_bisect.scenario.definition import Condition

_AT_LEAST = re.compile(r"at least ([1-9][0-9]{0,2})")


def problem(condition: Condition, repeat: int) -> str:
    """Why ``runs`` of *condition* is invalid for a step with *repeat*; "" if it is valid."""
    if not condition.runs:
        return ""
    if repeat == 1:
        return f"{condition.step} runs once: it has no repeat"
    if condition.runs in ("any", "every"):
        return ""
    number = _AT_LEAST.fullmatch(condition.runs)
    if not number:
        return f'{condition.runs!r} is not "any", "every" or "at least N"'
    if int(number[1]) > repeat:
        return f"{condition.runs!r} can never hold: {condition.step} runs {repeat} times"
    return ""


def needed(condition: Condition, verdict: Verdict, repeat: int, negated: bool = False) -> int:
    """In how many of *repeat* runs *condition* must hold, in a rule with *verdict*.

    Without ``runs``, a rule is good only if every run is as it says, and a step that is ok is so
    in every run. Anything else is wrong if it happens in one run. If *negated*, it must not hold in
    that many: in no run at all in a good rule, and in at least one run it does not in any other.
    """
    if number := _AT_LEAST.fullmatch(condition.runs):
        return int(number[1])
    if condition.runs:
        return repeat if condition.runs == "every" else 1
    good = verdict is Verdict.GOOD
    whole = not good if negated else good or _only_ok(condition)
    return repeat if whole else 1


def _only_ok(condition: Condition) -> bool:
    only = condition == Condition(step=condition.step, exit=condition.exit, runs=condition.runs)
    return condition.exit in ("ok", "0") and only


def phrase(condition: Condition, verdict: Verdict, repeat: int, negated: bool = False) -> str:
    """``each of 3 runs`` or ``at least 2 of 3 runs``: `needed` in words."""
    least = needed(condition, verdict, repeat, negated)
    return f"{'each' if least == repeat else f'at least {least}'} of {repeat} runs"


def opposite(condition: Condition, verdict: Verdict, repeat: int) -> str:
    """``none of 3 runs`` or ``not each of 3 runs``: in which runs a negated *condition* holds."""
    below = needed(condition, verdict, repeat, negated=True)
    if below == 1:
        return f"none of {repeat} runs"
    return f"{'not each' if below == repeat else f'fewer than {below}'} of {repeat} runs"

"""What the daemon's log is evidence of: a panic, and little else. Pure.

Releases, kernels and machines differ in what a daemon logs when it starts and while it serves.
"""

from __future__ import annotations

import re

from buildkit_bisect.scenario.definition import Condition, Rule

#: In lines of a daemon's log, and in patterns for them.
_CRASH = re.compile(r"panic|fatal", re.IGNORECASE)


def is_crash(text: str) -> bool:
    """Whether *text*, a line or a pattern for lines, is about a panic or a fatal error."""
    return bool(_CRASH.search(text))


def alone(rule: Rule) -> bool:
    """Whether *rule* rests on the daemon's log and nothing else, and not on a panic in it.

    That a step exits 0 is nothing else: it is what a good build does too.
    """
    leaves = [condition for condition, _ in rule.leaves()]
    logs = [one.daemon_log for one in leaves if one.daemon_log and not one.daemon]
    others = [one for one in leaves if not one.daemon_log and not _exits_0(one)]
    of_daemon = [one for one in leaves if one.daemon]
    return bool(logs) and not (others or of_daemon or any(map(is_crash, logs)))


def _exits_0(one: Condition) -> bool:
    return one.exit in ("ok", "0") and one == Condition(step=one.step, runs=one.runs, exit=one.exit)

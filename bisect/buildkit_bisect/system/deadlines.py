"""Deadlines, in seconds; a process past its deadline is killed with its children.

``--deadline NAME=SECONDS`` sets one for a campaign. A scenario may set those that depend on
its steps in ``[deadlines]``; the option takes precedence.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from buildkit_bisect.errors import BadInput

#: The longest deadline: a day.
LONGEST = 86_400.0

#: Deadlines that a scenario may set.
SCENARIO = ("daemon", "step", "teardown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Seconds. Past one: skip for a compile, the rules decide for a step, infra for the others."""

    connect: float = 45.0  # a git remote's first answer; a silent host should not cost more
    clone: float = 1800.0  # BuildKit is about 100 MB
    fetch: float = 600.0  # an update of a mirror
    toolchain: float = 900.0  # 60 to 80 MB from PyPI or the module proxy, both tries together
    module: float = 600.0  # one command that uses the module proxy
    compile: float = 1800.0  # a cold one takes about two minutes on two cores
    image: float = 300.0  # one base image, built and pushed
    daemon: float = 60.0  # from its start until it serves
    step: float = 120.0  # a scenario's step without a timeout; given as an option: every step
    teardown: float = 10.0  # from SIGKILL until all processes in the daemon's namespaces are gone
    check: float = 3000.0  # one `go test` or `go vet` of the packages that patches touch
    dockerfile: float = 3600.0  # upstream's own Dockerfile, cold


NAMES = tuple(f.name for f in fields(Deadlines))


def parse(entries: Sequence[str]) -> dict[str, float]:
    """Parse ``NAME=SECONDS`` entries, several separated by commas; default BKBISECT_DEADLINE.

    Raises `BadInput` with the valid names.
    """
    given = [e for e in entries if e] or [os.environ.get("BKBISECT_DEADLINE", "")]
    found: dict[str, float] = {}
    for entry in ",".join(given).replace(" ", ",").split(","):
        if not entry:
            continue
        name, _, text = entry.partition("=")
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if name not in NAMES or not 0 < seconds <= LONGEST:
            raise BadInput(
                f"--deadline {entry!r} is not NAME=SECONDS (at most a day); valid names:"
                f" {', '.join(NAMES)}",
                hint="--deadline compile=3600",
            )
        found[name] = seconds
    return found


def of(given: Mapping[str, float], scenario: Mapping[str, float] | None = None) -> Deadlines:
    """Return the defaults, overridden by *scenario*, overridden by options (*given*)."""
    return replace(Deadlines(), **{**(scenario or {}), **given})


def written(given: Mapping[str, float]) -> str:
    """Return *given* in the option's syntax: ``compile=60,step=5``."""
    return ",".join(f"{name}={seconds:g}" for name, seconds in given.items())


def table() -> Mapping[str, float]:
    """Return every name and its default."""
    return asdict(Deadlines())

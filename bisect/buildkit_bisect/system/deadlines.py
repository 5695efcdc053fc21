"""Deadlines, in seconds; a process past its deadline is killed with its children.

An option sets one for a campaign. A scenario may set those that depend on its steps in
``[deadlines]``; the option takes precedence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

#: The longest deadline: a day.
LONGEST = 86_400.0

#: Deadlines that a scenario may set.
SCENARIO = ("daemon", "step", "teardown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Seconds. Past one: skip for a compile, the rules decide for a step, infra for the others."""

    connect: float = 45.0  # a git remote's first answer, or a patch from a URL
    clone: float = 1800.0  # BuildKit is about 100 MB
    fetch: float = 600.0  # an update of a mirror
    toolchain: float = 900.0  # 60 to 80 MB from PyPI or the module proxy, both tries together
    module: float = 600.0  # one command that uses the module proxy
    store: float = 120.0  # what a shared store is asked for one build, or one push
    compile: float = 1800.0  # a cold one takes about two minutes on two cores
    image: float = 300.0  # one base image, built and pushed
    daemon: float = 60.0  # from its start until it serves
    step: float = 120.0  # a scenario's step without a timeout; given as an option: every step
    teardown: float = 10.0  # from SIGKILL until all processes in the daemon's namespaces are gone
    check: float = 3000.0  # one `go test` or `go vet` of the packages that patches touch
    dockerfile: float = 3600.0  # upstream's own Dockerfile, cold


NAMES = tuple(f.name for f in fields(Deadlines))


def of(given: Mapping[str, float], scenario: Mapping[str, float] | None = None) -> Deadlines:
    """Return the defaults, overridden by *scenario*, overridden by options (*given*)."""
    return Deadlines(**{**(scenario or {}), **given})


def table() -> Mapping[str, float]:
    """Return every name and its default."""
    return asdict(Deadlines())

"""How long each thing may take, in seconds; what is past its deadline is ended, with its children.

An option sets one for a campaign. A scenario may set those that depend on
what it does, in ``[deadlines]``; the option has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

#: No deadline may be longer: a day.
LONGEST = 86_400.0

#: What a scenario may set.
SCENARIO = ("daemon", "step", "teardown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """Seconds. Past one: skip for a compile, what the rules say for a step, infra for all else."""

    connect: float = 45.0  # a git remote's first answer; a silent host should not cost more
    clone: float = 1800.0  # BuildKit is about 100 MB
    fetch: float = 600.0  # what is new in a mirror
    toolchain: float = 900.0  # 60 to 80 MB from PyPI or the module proxy, both tries together
    module: float = 600.0  # one command that asks the module proxy
    compile: float = 1800.0  # a cold one takes about two minutes on two cores
    image: float = 300.0  # one base image built and pushed
    daemon: float = 60.0  # from its start until it serves
    step: float = 120.0  # a scenario's step that names no timeout; given as an option: every step
    teardown: float = 10.0  # from SIGKILL until the daemon and all in its namespaces are gone
    check: float = 3000.0  # one `go test` or `go vet` of the packages that patches touch
    dockerfile: float = 3600.0  # upstream's own Dockerfile, cold


NAMES = tuple(f.name for f in fields(Deadlines))


def of(given: Mapping[str, float], scenario: Mapping[str, float] | None = None) -> Deadlines:
    """The defaults, with what *scenario* sets, with what was *given* as an option."""
    return replace(Deadlines(), **{**(scenario or {}), **given})


def table() -> Mapping[str, float]:
    """Every name and its default."""
    return asdict(Deadlines())

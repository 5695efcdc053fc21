"""Mirrors of registries: ``[daemon] mirrors``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.scenario.require import require
from buildkit_bisect.system.typed import below, shown

#: The host part of an image name.
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?(?::[0-9]{1,5})?", re.ASCII)

#: A mirror stays within the trial: its registry, or a part of it.
_OWN = re.compile(r"\$\{registry\}(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*", re.ASCII)


def check(scenario: Scenario) -> None:
    """Raise `BadInput` for the first mirror that is not valid."""
    for name, mirror in scenario.daemon.mirrors.items():
        where = below("daemon.mirrors", name)
        require(bool(_HOST.fullmatch(name)), where, f"{shown(name)} is not the name of a registry")
        good = bool(_OWN.fullmatch(mirror))
        require(good, where, f"{shown(mirror)} is not ${{registry}} or ${{registry}}/PATH")


def config(scenario: Scenario, text: Callable[[str], str]) -> list[str]:
    """Return the parts of buildkitd.toml with the mirrors; *text* fills in placeholders."""
    return [
        f"[registry.{json.dumps(name)}]\n  mirrors = [{json.dumps(text(mirror))}]\n"
        for name, mirror in scenario.daemon.mirrors.items()
    ]

"""What a campaign says of a user's test script: what it is known by, and what may be missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from buildkit_bisect.events import Said
from buildkit_bisect.phrases import hashed, listed
from buildkit_bisect.scenario import Scenario, one_line
from buildkit_bisect.scenario.script_files import WORD


def said(scenarios: Iterable[Scenario]) -> Iterator[Said]:
    """Yield what is hashed besides the script, and a warning for a file that probably should be."""
    for scenario in scenarios:
        if len(scenario.files) > 1:
            yield Said(text=f"hashed: {hashed([file.name for file in scenario.files])}")
        if scenario.name == one_line.NAME and scenario.folders[0].parent.name == one_line.FOLDER:
            if scenario.summary:
                yield Said(text=scenario.summary)
            path = str(scenario.folders[0] / "scenario.toml")
            yield Said(text="the scenario of this Dockerfile", path=path)
        yield from warnings([scenario])


def warnings(scenarios: Iterable[Scenario]) -> Iterator[Said]:
    """Yield a warning for each script that names what is beside it and not declared."""
    for scenario in scenarios:
        if scenario.beside:
            are = "is" if len(scenario.beside) == 1 else "are"
            text = (
                f"{scenario.title} names {listed(scenario.beside)}, which {are} beside it and not"
                f" hashed: after a change, stored trials would still count; if it needs that, put"
                f" # {WORD} {shlex.join(scenario.beside)} into it"
            )
            yield Said(text=text, warning=True)

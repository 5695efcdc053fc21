"""A user's own program as a scenario, with the exit codes of ``git bisect run``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario.definition import Action, Condition, Rule, Scenario, Step


def from_script(path: str, *, timeout: float) -> Scenario:
    """Exit 0 is good, 125 is skip, any other status up to 127 is bad; above, it proves nothing.

    Raises `BadInput` if *path* is not an executable file.
    """
    program = Path(path).absolute()
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} is not an executable file",
            hint=f"chmod +x {path}",
        )
    digest = hashlib.sha256(program.read_bytes() + f" {timeout}".encode()).hexdigest()

    def rule(name: str, verdict: Verdict, exits: str, means: str) -> Rule:
        condition = Condition(step="script", exit=exits)
        return Rule(name=name, verdict=verdict, means=means, all=(condition,))

    return Scenario(
        name="script",
        title=program.name,
        issue="",
        steps=(Step(id="script", action=Action.SCRIPT, path=str(program), timeout=timeout),),
        outcomes=(
            rule("script-good", Verdict.GOOD, "0", "the script exited 0"),
            rule("script-skip", Verdict.SKIP, "125", "the script exited 125: untestable"),
            rule("script-bad", Verdict.BAD, "1-127", "the script exited 1 to 127, but not 125"),
        ),
        folders=(program.parent,),
        digest=digest,
        run_digest=digest,
    )

"""A user's own program as a scenario, with the exit codes of ``git bisect run``."""

from __future__ import annotations

import hashlib
import os
import shlex
from contextlib import suppress
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario.definition import Action, Condition, Rule, Scenario, Step

#: Bytes in which the first line of a script ends.
_FIRST = 256


def from_script(path: str, *, timeout: float) -> Scenario:
    """Exit 0 is good, 125 is skip, any other status up to 127 is bad; above, it proves nothing.

    Raises `BadInput` if *path* is not an executable file, or one that cannot be started.
    """
    _check(path)
    program = Path(path).absolute()
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


def _check(path: str) -> None:
    """Raise `BadInput` if *path* cannot be started, so that no build is done for it."""
    shown = shlex.quote(path)
    if os.path.isdir(path):  # noqa: PTH112 - false, not an error, for a name that cannot exist
        inside = words(Campaign, script=f"{path.rstrip('/')}/test.sh")
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} is a folder", hint=f"a file in it: {inside}"
        )
    if not os.path.isfile(path):  # noqa: PTH113
        raise _not_found(path)
    if not os.access(path, os.X_OK):
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} is not an executable file",
            hint=f"chmod +x {shown}",
        )
    with Path(path).open("rb") as file:
        first = file.read(_FIRST).partition(b"\n")[0]
    if first.startswith(b"\x7fELF"):
        return
    if not first.startswith(b"#!"):
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} is neither a program"
            " nor a script that begins with #!",
            hint="#!/bin/sh as its first line",
        )
    if first.endswith(b"\r"):
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} has CRLF line endings",
            hint=f"sed -i 's/\\r$//' {shown}",
        )
    interpreter = next(iter(os.fsdecode(first[2:]).split()), "")
    if not os.access(interpreter, os.X_OK):
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} begins with #!{interpreter},"
            " which is not a program",
            hint="#!/bin/sh as its first line",
        )


def _not_found(path: str) -> BadInput:
    for word in path.split():
        if os.path.isfile(word):  # noqa: PTH113
            return BadInput(
                f"{words(Campaign, script=True)} {path!r} is a command, not a file:"
                " scripts get no arguments",
                hint=f"{words(Campaign, script=word)}, or a script that runs the command",
            )
    home = Path(path).expanduser()
    if str(home) != path and home.is_file():
        return BadInput(
            f"{words(Campaign, script=True)} {path!r} does not exist: quotes keep ~ as it is",
            hint=words(Campaign, script=str(home)),
        )
    near: list[str] = []
    with suppress(OSError):
        near = nearest(Path(path).name, [one.name for one in Path(path).parent.iterdir()])
    return BadInput(
        f"{words(Campaign, script=True)} {path!r} does not exist",
        hint=words(Campaign, script=str(Path(path).parent / near[0]))
        if near
        else "the path of an executable file; docs/usage.md shows one",
    )

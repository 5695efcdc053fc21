"""A user's own program as a scenario, with the exit codes of ``git bisect run``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.model import Verdict
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import words
from buildkit_bisect.options.exits import (
    BAD_EXIT,
    GOOD_EXIT,
    LAST,
    NOT_EXECUTABLE,
    NOT_FOUND,
    SKIP,
    SKIP_EXIT,
    NamedExit,
)
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.phrases import listed
from buildkit_bisect.scenario import program, script_files
from buildkit_bisect.scenario.definition import (
    Action,
    Condition,
    Rule,
    Scenario,
    ScriptFile,
    Step,
)

#: Raise it when other things decide what a trial of a script is: earlier trials then do not count.
FORMAT = 2

#: Exit codes of shells, and of programs that start others, for what could not be started.
_UNSTARTED = {
    126: (NOT_EXECUTABLE, "could not be executed"),
    127: (NOT_FOUND, "was not found"),
}


def from_script(
    path: str,
    *,
    timeout: float,
    files: Sequence[str] = (),
    bad: frozenset[int] = frozenset(),
    named: Sequence[NamedExit] = (),
) -> Scenario:
    """Exit 0 is good, 1 to 124 bad, 125 to 127 skip; above, it proves nothing.

    *files* are those that it needs, besides those in its comment, see `script_files.declared`.
    *bad* are exit codes that are bad too, *named* those that are outcomes of their own.

    Raises `BadInput` if *path* is not an executable file, or one that cannot be started, for a
    declared file that cannot be taken, and for an exit code with two meanings.
    """
    _check(path)
    own = Path(path).absolute()
    text = _text(own)
    declared = script_files.declared(own, text, files)
    known = (script_files.digested(own, own.name), *declared)
    rules = tuple(_rules(bad, named))
    run_digest = _digest([FORMAT, timeout, *map(_identity, known)])
    return Scenario(
        name="script",
        title=own.name,
        issue="",
        steps=(Step(id="script", action=Action.SCRIPT, path=str(own), timeout=timeout),),
        outcomes=rules,
        folders=(own.parent,),
        digest=_digest([run_digest, *([r.name, r.verdict, r.all[0].exit] for r in rules)]),
        run_digest=run_digest,
        files=known,
        beside=script_files.undeclared(own, text, known),
    )


def _text(path: Path) -> str:
    """Return the text of a script; "" for a compiled program."""
    data = path.read_bytes()
    return data.decode(errors="surrogateescape") if data.startswith(b"#!") else ""


def _identity(file: ScriptFile) -> list[str | int]:
    return [file.name, file.mode, file.sha256, file.link]


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _rules(bad: frozenset[int], named: Sequence[NamedExit]) -> Iterator[Rule]:
    """Yield what each exit code means; of two rules with a code, the first one counts.

    Raises `BadInput` for a code in both *bad* and *named*.
    """

    def rule(name: str, verdict: Verdict, exits: str, means: str) -> Rule:
        condition = Condition(step="script", exit=exits)
        return Rule(name=name, verdict=verdict, means=means, all=(condition,))

    left = set(range(1, LAST + 1)) - {SKIP}
    for one in named:
        if both := bad & one.codes:
            raise BadInput(
                f"{words(Campaign, script_bad=True)} and {words(Campaign, outcome=one.text)}"
                f" both have exit code {min(both)}",
                hint=f"leave it out of {words(Campaign, script_bad=True)}",
            )
        left -= one.codes
        exits = str(one.low) if one.low == one.high else f"{one.low}-{one.high}"
        yield rule(one.name, one.verdict, exits, f"the script exited {exits.replace('-', ' to ')}")
    yield rule(GOOD_EXIT, Verdict.GOOD, "0", "the script exited 0")
    yield rule(SKIP_EXIT, Verdict.SKIP, str(SKIP), f"the script exited {SKIP}: untestable")
    for code, (name, what) in _UNSTARTED.items():
        if code in left - bad:
            left.remove(code)
            means = f"exit {code}: by the convention of shells, a program {what}"
            yield rule(name, Verdict.SKIP, str(code), means)
    if left:
        exits = f"{min(left)}-{max(left)}" if len(left) > 1 else str(min(left))
        yield rule(BAD_EXIT, Verdict.BAD, exits, f"the script exited {_spans(left)}")


def _spans(codes: set[int]) -> str:
    """Return exit codes in words: ``1 to 124 and 127``."""
    starts = sorted(code for code in codes if code - 1 not in codes)
    ends = sorted(code for code in codes if code + 1 not in codes)
    spans = (f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))
    return listed(spans, limit=len(codes))


def _check(path: str) -> None:
    """Raise `BadInput` if *path* cannot be started, so that no build is done for it."""
    if os.path.isdir(path):  # noqa: PTH112 - false, not an error, for a name that cannot exist
        inside = words(Campaign, script=f"{path.rstrip('/')}/test.sh")
        raise BadInput(
            f"{words(Campaign, script=True)} {path!r} is a folder", hint=f"a file in it: {inside}"
        )
    if not os.path.isfile(path):  # noqa: PTH113
        raise _not_found(path)
    why, hint = program.problem(path)
    if why:
        raise BadInput(f"{words(Campaign, script=True)} {path!r} {why}", hint=hint)


def _not_found(path: str) -> BadInput:
    for word in path.split():
        if os.path.isfile(word):  # noqa: PTH113
            return BadInput(
                f"{words(Campaign, script=True)} {path!r} is a command, not a file:"
                " scripts get no arguments",
                hint=f"{words(Campaign, script=word)}, or a script that runs the command",
            )
    home = Path(os.path.expanduser(path))  # noqa: PTH111 - Path fails for an unknown user
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

"""Shell completion: the scripts, and the candidates for the word at the cursor.

A shell starts ``inv --complete`` for each TAB, so nothing here loads Invoke, writes a file or
runs anything but one git command that lists refs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from buildkit_bisect.cli import candidates
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.choices import Shell
from buildkit_bisect.options.command import inv
from buildkit_bisect.options.requests import Completion
from buildkit_bisect.system import checkout

#: In a script, the path of ``inv``.
_PROGRAM = "@INV@"


def completion(request: Completion) -> int:
    """Print the completion script of a shell. Raises `BadInput` if there is none for it."""
    if request.shell not in list(Shell):
        near = [inv("completion", one) for one in nearest(request.shell, list(Shell))]
        raise BadInput(
            f"no completion for {request.shell!r}, only for {', '.join(Shell)}",
            hint=", or ".join(near or [inv("completion", Shell.BASH)]),
        )
    script = (checkout.COMPLETIONS / f"inv.{request.shell}").read_text()
    print(script.replace(_PROGRAM, shlex.quote(str(checkout.PROJECT / "inv"))), end="")
    return DONE


def main(argv: Sequence[str]) -> None:
    """Print the candidates for a shell, one per line, each with a tab and its description.

    After ``--complete`` come ``words`` and all words up to the cursor without the program's, the
    last one unfinished; or ``line``, the characters at which the shell splits a word further, and
    the command line up to the cursor. Prints nothing if there are no candidates.
    """
    form, *rest = argv[argv.index("--complete") + 1 :]
    breaks = ""
    if form == "line":
        breaks, rest = rest[0], split(rest[1])
    *before, current = rest or [""]
    try:
        found = list(candidates.candidates(before, current))
    except (BisectError, OSError):
        return
    for one in found:
        text = one.word if one.word in candidates.PATHS else one.word[_cut(current, breaks) :]
        print(f"{text}\t{one.text}")


def split(line: str) -> list[str]:
    """Return the words of an unfinished command line, without the program's name.

    The last word is the one at the cursor; it is empty after a space.
    """
    for end in ("", '"', "'"):
        try:
            words = shlex.split(f"{line}\0{end}")
        except ValueError:  # an open quote
            continue
        words[-1] = words[-1].removesuffix("\0")
        while len(words) > 1 and "=" in words[0]:  # NAME=VALUE before the command
            del words[0]
        return words[1:]
    return []


def _cut(word: str, breaks: str) -> int:
    """Return where the last part of *word* starts for a shell that splits words at *breaks*."""
    return max((word.rfind(one) for one in "=:" if one in breaks), default=-1) + 1

"""What one Go file pulls in: its imports, and whether it embeds files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+ | ; | //[^\n]* | /\*.*?(?:\*/|\Z) | "[^"\n]*" | `[^`]*` | [()] | [^\s;"`()/]+ | .""",
    re.DOTALL | re.VERBOSE,
)
# The constraint of generators and tool lists: no tag set that we build with can satisfy it.
_NEVER = re.compile(r"//go:build[ \t]+(ignore|tools?)[ \t\r]*")


@dataclass(frozen=True, slots=True)
class GoFile:
    """What the package of a file depends on because of it."""

    imports: tuple[str, ...] = ()
    embeds: bool = False
    never: bool = False  # its build constraint keeps it out of every build of ours


def scan(text: str) -> GoFile:
    """Read the header of a Go file, up to its first declaration that is not an import.

    Other build constraints than ``ignore`` and ``tools`` are not looked at, so this may say
    too much, never too little.
    """
    imports: set[str] = set()
    words = _words(text.removeprefix("\ufeff"))
    for word in words:
        if word.startswith("//"):
            if _NEVER.fullmatch(word):
                return GoFile(never=True)
        elif word == "package":
            break
    code = (w for w in words if not w.startswith("//"))
    next(code, None)  # the package's name
    for word in code:
        if word != "import":
            break
        imports.update(_one_declaration(code))
    return GoFile(imports=tuple(sorted(imports)), embeds="//go:embed" in text)


def _one_declaration(words: Iterator[str]) -> Iterator[str]:
    grouped = False
    for word in words:
        if word == "(":
            grouped = True
        elif word == ")":
            return
        elif word[0] in '"`':
            yield word[1:-1]
            if not grouped:
                return


def _words(text: str) -> Iterator[str]:
    """Tokens of the header, line comments among them, without blanks and block comments."""
    for match in _TOKEN.finditer(text):
        word = match[0]
        if not word.isspace() and word != ";" and not word.startswith("/*"):
            yield word

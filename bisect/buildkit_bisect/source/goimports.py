"""Scans one Go file: its imports, and whether it embeds files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+ | ; | //[^\n]* | /\*.*?(?:\*/|\Z) | "[^"\n]*" | `[^`]*` | [()] | [^\s;"`()/]+ | .""",
    re.DOTALL | re.VERBOSE,
)
# The constraint of generators and tool lists: our build tags never satisfy it.
_NEVER = re.compile(r"//go:build[ \t]+(ignore|tools?)[ \t\r]*")


@dataclass(frozen=True, slots=True)
class GoFile:
    """What a Go file adds to the dependencies of its package."""

    imports: tuple[str, ...] = ()
    embeds: bool = False
    never: bool = False  # its build constraint excludes it from all our builds


def scan(text: str) -> GoFile:
    """Read the header of a Go file, up to its first declaration that is not an import.

    Build constraints other than ``ignore`` and ``tools`` are ignored, so this may return too many
    imports, but never too few.
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
    """Yield the tokens of the header, with line comments, without blanks and block comments."""
    for match in _TOKEN.finditer(text):
        word = match[0]
        if not word.isspace() and word != ";" and not word.startswith("/*"):
            yield word

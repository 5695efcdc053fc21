"""Scans one Go file: its imports, and whether it embeds files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+ | ; | //[^\n]* | /\*.*?(?:\*/|\Z) | "[^"\n]*" | `[^`]*` | [()] | [^\s;"`()/]+ | .""",
    re.DOTALL | re.VERBOSE,
)
# What may be above the package clause.
_HEADER = re.compile(r"(?:[ \t\r\n]|//[^\n]*\n|/\*.*?\*/)*+package\b", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
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
    text = text.removeprefix("\ufeff")
    if _never(text):
        return GoFile(never=True)
    code = (word for word in _words(text) if not word.startswith("//"))
    for word in code:
        if word == "package":
            break
    next(code, None)  # the package's name
    for word in code:
        if word != "import":
            break
        imports.update(_one_declaration(code))
    return GoFile(imports=tuple(sorted(imports)), embeds="//go:embed" in text)


def _never(text: str) -> bool:
    """Whether go leaves the file out. It refuses one with several constraints, or with a NUL."""
    header = _HEADER.match(text)
    if not header or "\0" in text:
        return False
    found = [one for one in _COMMENT.finditer(header[0]) if one[0].startswith("//go:build")]
    if len(found) != 1 or not _NEVER.fullmatch(found[0][0]):
        return False
    # Behind a block comment it is none.
    return not header[0][: found[0].start()].rpartition("\n")[2].strip()


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

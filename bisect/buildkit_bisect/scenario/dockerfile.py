"""What a Dockerfile says: its instructions, the images it starts from, the files it copies. Pure.

This is no frontend: it reads as much as is needed to say which images and files a build uses.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*([a-z]+)\s*=\s*(.+?)\s*", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][\w.]*)\1")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")

#: Instructions whose arguments may be documents.
_WITH_DOCUMENTS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    word: str  # in capitals
    text: str  # what follows, its lines joined
    start: int  # its first line, from 0
    end: int  # the line after its last one, documents included
    flags: Mapping[str, str]  # ``from`` -> ``build``; the last of several
    mounts: tuple[str, ...]  # the values of ``--mount``
    rest: str  # the text without flags
    documents: bool  # whether it has here-documents

    @property
    def sources(self) -> tuple[str, ...]:
        """What a COPY or ADD takes, as written; not its here-documents."""
        words = _words(self.rest)
        return tuple(word for word in words[:-1] if not word.startswith("<<"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The image that a stage starts from."""

    instruction: Instruction
    written: str  # as in the Dockerfile: ``${BASE}``
    image: str  # with its variables replaced; "" if one has no value
    stage: str  # the stage's name, in small letters; "" without one
    outer: bool  # whether it is an image, and neither ``scratch`` nor an earlier stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile."""

    lines: tuple[str, ...]
    directives: Mapping[str, str]  # ``syntax`` -> ``docker/dockerfile:1``
    instructions: tuple[Instruction, ...]


def parse(text: str) -> Dockerfile:
    """Return the directives and the instructions of a Dockerfile. Anything parses."""
    # Not `splitlines`, which also takes U+2028 and others for the end of a line.
    lines = tuple(text.removesuffix("\n").split("\n"))
    directives: dict[str, str] = {}
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found or found[1].lower() in directives:
            break
        directives[found[1].lower()] = found[2]
    escape = directives.get("escape", "\\")
    return Dockerfile(
        lines=lines, directives=directives, instructions=tuple(_instructions(lines, escape))
    )


def _instructions(lines: tuple[str, ...], escape: str) -> Iterator[Instruction]:
    at = 0
    while at < len(lines):
        start = at
        parts: list[str] = []
        while at < len(lines):
            line = lines[at]
            at += 1
            if not line.strip() or line.lstrip().startswith("#"):
                if not parts:
                    start = at
                continue
            more = line.rstrip().endswith(escape)
            parts.append(line.rstrip()[:-1] if more else line)
            if not more:
                break
        if not parts:
            return
        word, _, text = "".join(parts).strip().partition(" ")
        ends = _ends(text) if word.upper() in _WITH_DOCUMENTS else []
        for name in ends:
            while at < len(lines) and lines[at].lstrip("\t").rstrip("\r") != name:
                at += 1
            at += 1
        flags, mounts, rest = _flags(text.strip())
        yield Instruction(
            word=word.upper(), text=text.strip(), start=start, end=min(at, len(lines)),
            flags=flags, mounts=mounts, rest=rest, documents=bool(ends),
        )  # fmt: skip


def _ends(text: str) -> list[str]:
    return [match[2] for match in _HEREDOC.finditer(text)]


def _flags(text: str) -> tuple[dict[str, str], tuple[str, ...], str]:
    flags: dict[str, str] = {}
    mounts: list[str] = []
    while match := _FLAG.match(text):
        flags[match[1]] = match[2] or ""
        mounts += [match[2] or ""] if match[1] == "mount" else []
        text = text[match.end() :]
    return flags, tuple(mounts), text


def _words(text: str) -> list[str]:
    """Return the words of an argument list, in either of its forms."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return []
        return [word for word in words if isinstance(word, str)]
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def bases(file: Dockerfile, args: Mapping[str, str]) -> Iterator[Base]:
    """Yield what each stage starts from; *args* are the values of build arguments."""
    known: dict[str, str] = {}
    stages: set[str] = set()
    before = True  # the first FROM: only arguments above it count
    for one in file.instructions:
        if one.word == "ARG" and before:
            for name, value in _arguments(one.text):
                known[name] = args.get(name, _expanded(value, known) or "")
        if one.word != "FROM":
            continue
        before = False
        words = one.rest.split()
        if not words:
            continue
        image = _expanded(words[0], known) or ""
        named = words[2].lower() if len(words) > 2 and words[1].lower() == "as" else ""  # noqa: PLR2004
        outer = image.lower() != "scratch" and image.lower() not in stages
        yield Base(instruction=one, written=words[0], image=image, stage=named, outer=outer)
        stages.add(named)


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    for word in _words(text):
        name, _, value = word.partition("=")
        yield name, value


def _expanded(text: str, known: Mapping[str, str]) -> str | None:
    """Return *text* with its variables replaced; None if one has no value and no default."""
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        found = known.get(match[1] or match[3], "") or match[2] or ""
        missing = missing or not found
        return found

    out = _VARIABLE.sub(value, text)
    return None if missing else out


def stages(file: Dockerfile) -> set[str]:
    """Return the names of the stages, in small letters, and their numbers."""
    found = list(bases(file, {}))
    return {base.stage for base in found if base.stage} | {str(n) for n in range(len(found))}


def undeclared(file: Dockerfile) -> list[str]:
    """Return the arguments that have no default, in order: a build without them leaves them empty.

    Those that BuildKit sets itself are left out.
    """
    names = {
        name: value
        for one in file.instructions
        if one.word == "ARG"
        for name, value in _arguments(one.text)
    }
    own = ("TARGET", "BUILD")
    return [name for name, value in names.items() if not value and not _is_platform(name, own)]


def _is_platform(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(
        name == f"{prefix}{part}"
        for prefix in prefixes
        for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE")
    )

"""What a Dockerfile of an issue uses: images, files of the build context, programs. Pure.

This is no frontend: it reads as much as is needed to replace images and to find missing files.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=\s*(\S.*?)\s*", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_]\w*)\1")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
#: Arguments that BuildKit sets.
_PLATFORM = {
    f"{side}{key}": value
    for side in ("BUILD", "TARGET")
    for key, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"))
}
_REMOTE = re.compile(r"[a-z]+://|git@", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One instruction."""

    word: str  # in capitals
    rest: str  # what follows it and its flags; lines joined
    flags: tuple[tuple[str, str], ...]
    document: str  # the here-documents after it
    first: int  # its first line, from 0
    last: int  # the line after it

    def flag(self, name: str) -> str:
        """Return the value of a flag; "" without it."""
        return dict(self.flags).get(name, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stage: the image or stage that it starts from, and its instructions."""

    base: Instruction
    written: str  # after FROM: ``${BASE}``
    image: str | None  # with variables replaced; None if one has no value
    name: str  # in small letters; "" without one
    body: tuple[Instruction, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dockerfile:
    """A Dockerfile, with the values of its build arguments replaced in FROM."""

    lines: tuple[str, ...]
    syntax: str
    head: int  # the line after its directives
    before: tuple[Instruction, ...]  # above the first FROM
    stages: tuple[Stage, ...]


def read(text: str, args: Mapping[str, str]) -> Dockerfile:
    """Return what *text* says, with *args* as build arguments. Any text is taken."""
    lines = text.splitlines()
    directives: dict[str, str] = {}
    head = 0
    for line in lines:
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found or found[1].lower() in directives:
            break
        directives[found[1].lower()] = found[2]
        head += 1
    found_all = list(_instructions(lines, head, directives.get("escape", "\\")))
    first = next((n for n, one in enumerate(found_all) if one.word == "FROM"), len(found_all))
    known = dict(_arguments(found_all[:first], args))
    return Dockerfile(
        lines=tuple(lines),
        syntax=directives.get("syntax", ""),
        head=head,
        before=tuple(found_all[:first]),
        stages=tuple(_stages(found_all[first:], known)),
    )


def _arguments(
    instructions: Sequence[Instruction], args: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    known = dict(_PLATFORM)
    yield from known.items()
    for one in instructions:
        for word in words(one.rest) if one.word == "ARG" else ():
            name, equals, default = word.partition("=")
            value = args.get(name, expanded(default, known) if equals else None)
            if value is not None:
                known[name] = value
                yield name, value


def _stages(instructions: Sequence[Instruction], known: Mapping[str, str]) -> Iterator[Stage]:
    starts = [n for n, one in enumerate(instructions) if one.word == "FROM"]
    for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
        base = instructions[start]
        parts = base.rest.split()
        written = parts[0] if parts else ""
        named = len(parts) > 2 and parts[1].lower() == "as"  # noqa: PLR2004
        yield Stage(
            base=base,
            written=written,
            image=expanded(written.strip("\"'"), known),
            name=parts[2].lower() if named else "",
            body=tuple(instructions[start + 1 : end]),
        )


def _instructions(lines: Sequence[str], at: int, escape: str) -> Iterator[Instruction]:
    while at < len(lines):
        first = at
        parts: list[str] = []
        while at < len(lines):
            line = lines[at]
            at += 1
            if not line.strip() or line.lstrip().startswith("#"):
                first = first if parts else at
                continue
            more = line.rstrip().endswith(escape)
            parts.append(line.rstrip()[:-1] if more else line)
            if not more:
                break
        if not parts:
            return
        word, _, text = " ".join(parts).strip().partition(" ")
        start = at
        ends = _HEREDOC.findall(text) if word.upper() in ("RUN", "COPY", "ADD") else []
        for _, end in ends:
            while at < len(lines) and lines[at].strip() != end:
                at += 1
            at = min(at + 1, len(lines))
        flags, rest = _flags(text.strip())
        yield Instruction(
            word=word.upper(), rest=rest, flags=flags, first=first, last=at,
            document="\n".join(lines[start:at]),
        )  # fmt: skip


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags: list[tuple[str, str]] = []
    while found := _FLAG.match(text):
        flags.append((found[1], found[2] or ""))
        text = text[found.end() :]
    return tuple(flags), text.strip()


def words(text: str) -> list[str]:
    """Return the words of an argument list, in either of its forms."""
    if text.startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            return []
        return [word for word in found if isinstance(word, str)]
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def expanded(text: str, known: Mapping[str, str]) -> str | None:
    """Return *text* with its variables replaced; None if one has neither value nor default."""
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        got = known.get(found[1] or found[3]) or found[2]
        missing = missing or not got
        return got or ""

    out = _VARIABLE.sub(value, text)
    return None if missing else out


def used_files(file: Dockerfile) -> Iterator[tuple[str, str]]:
    """Yield what a build takes from its context, and the instruction that does."""
    for stage in file.stages:
        for one in stage.body:
            for name in _sources(one):
                yield name, f"{one.word} {one.rest}"


def _sources(one: Instruction) -> Iterator[str]:
    if one.word in ("COPY", "ADD") and not one.flag("from"):
        for name in words(one.rest)[:-1]:
            if not _REMOTE.match(name) and not name.startswith("<<"):
                yield name
    for name, value in one.flags:
        if one.word == "RUN" and name == "mount":
            mount = dict(part.partition("=")[::2] for part in value.split(","))
            if mount.get("type", "bind") == "bind" and "from" not in mount:
                yield mount.get("source") or mount.get("src") or "."


def remote_files(file: Dockerfile) -> list[str]:
    """Return the addresses that ADD takes something from."""
    return [
        name
        for stage in file.stages
        for one in stage.body
        if one.word == "ADD"
        for name in words(one.rest)[:-1]
        if _REMOTE.match(name)
    ]


def copied_from(file: Dockerfile) -> Iterator[tuple[Instruction, str]]:
    """Yield each instruction that copies or mounts from an image or a stage, and which."""
    for stage in file.stages:
        for one in stage.body:
            if one.flag("from"):
                yield one, one.flag("from")
            for name, value in one.flags:
                if name == "mount":
                    mount = dict(part.partition("=")[::2] for part in value.split(","))
                    if mount.get("from"):
                        yield one, mount["from"]


def runs(file: Dockerfile) -> list[str]:
    """Return what RUN instructions run."""
    return [_written(one) for stage in file.stages for one in stage.body if one.word == "RUN"]


def _written(one: Instruction) -> str:
    """Return what is after the instruction's word, as vertices are named."""
    flags = "".join(f"--{name}={value} " for name, value in one.flags)
    return f"{flags}{one.rest}"


def stable_runs(file: Dockerfile, args: Collection[str], files: Collection[str]) -> list[str]:
    """Return the RUN instructions that neither *args* nor *files* of the context can change."""
    found: list[str] = []
    dirty: set[str] = set()
    for number, stage in enumerate(file.stages):
        changed = (stage.image or "").lower() in dirty
        for one in () if changed else stage.body:
            if _changes(one, args, files, dirty):
                changed = True
                break
            if one.word == "RUN" and not one.rest.startswith(("[", "<<")):
                found.append(_written(one))
        if changed:
            dirty |= {stage.name, str(number)} - {""}
    return found


def _changes(
    one: Instruction, args: Collection[str], files: Collection[str], dirty: Collection[str]
) -> bool:
    """Whether *one* gets another input if *args* and *files* change."""
    named = {word.partition("=")[0] for word in words(one.rest)} if one.word == "ARG" else set()
    taken = [name.strip("./") for name in _sources(one)]
    touched = any(
        not name or path == name or path.startswith(f"{name}/") or re.search(r"[*?\[]", name)
        for name in taken
        for path in files
    )
    sources = [value for key, value in one.flags if key == "from"]
    sources += re.findall(r"from=([^,\s]+)", " ".join(v for k, v in one.flags if k == "mount"))
    return bool(named & set(args)) or touched or any(name.lower() in dirty for name in sources)

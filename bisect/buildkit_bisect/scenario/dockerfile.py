"""What a Dockerfile says: instructions, stages, the images and files it uses. Pure.

This is no frontend: it reads as much as is needed to say which images and files a build uses, and
to replace images.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from buildkit_bisect.system import strictjson

#: A first line that begins with it is left to a shell, and a key of `Dockerfile.directives`.
SHEBANG = "#!"

_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=\s*(\S.*?)\s*", re.IGNORECASE)
_HEREDOC = re.compile(r"(?:^|(?<=\s))\d*<<(-?)\s*(['\"]?)([A-Za-z_][\w.-]*)\2(?=[\s;|&)>]|$)")
_BLANKS = re.compile(r"[\t\v\f\r ]+")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?\s*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_REMOTE = re.compile(r"[a-z]+://|git@", re.IGNORECASE)
_PATTERN = re.compile(r"[*?\[]")

#: Instructions whose arguments may be documents.
_WITH_DOCUMENTS = ("RUN", "COPY", "ADD")

#: Arguments that BuildKit sets, with the values of most machines: they choose a stage, seldom more.
_PLATFORM = {
    f"{side}{key}": value
    for side in ("BUILD", "TARGET")
    for key, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"))
}


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
    documents: tuple[str, ...]  # its here-documents, without the lines that end them
    ended: bool  # whether each of them has such a line

    @property
    def sources(self) -> tuple[str, ...]:
        """What a COPY or ADD takes, as written; not its here-documents."""
        found = words(self.rest)
        return tuple(word for word in found[:-1] if not word.startswith("<<"))

    @property
    def files(self) -> tuple[str, ...]:
        """What a COPY, an ADD or a ``--mount`` takes from the build context; ``.`` is all."""
        found: list[str] = []
        if self.word in ("COPY", "ADD") and "from" not in self.flags:
            found += [source for source in self.sources if not _REMOTE.match(source)]
        for mount in map(_mount, self.mounts):
            if mount.get("type", "bind") == "bind" and "from" not in mount:
                found.append(mount.get("source") or mount.get("src") or ".")
        return tuple(found)

    @property
    def others(self) -> tuple[str, ...]:
        """The stages and images that it copies or mounts something from."""
        found = [self.flags.get("from", ""), *(_mount(one).get("from", "") for one in self.mounts)]
        return tuple(filter(None, found))


def _mount(text: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in text.split(","))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A stage: the image or stage that it starts from, and its instructions."""

    start: Instruction  # its FROM
    written: str  # after FROM, as in the Dockerfile: ``${BASE}``
    image: str  # with its variables replaced; "" if one has no value
    name: str  # in small letters; "" without one
    outer: bool  # whether it starts from an image, and neither ``scratch`` nor an earlier stage
    body: tuple[Instruction, ...]  # without FROM


@dataclass(frozen=True, kw_only=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile."""

    lines: tuple[str, ...]
    #: ``syntax`` -> ``docker/dockerfile:1``; each in one line, first. So is a line ``#!...``.
    directives: Mapping[str, str]
    instructions: tuple[Instruction, ...]

    @property
    def own_frontend(self) -> list[str]:
        """The lines of its directives without ``syntax``: an external frontend is an image too."""
        pairs = zip(self.directives, self.lines, strict=False)
        return [line for name, line in pairs if name != "syntax"]


def parse(text: str) -> Dockerfile:
    """Return the directives and the instructions of a Dockerfile. Anything parses."""
    # Not `splitlines`, which also takes U+2028 and others for the end of a line.
    lines = tuple(text.removeprefix("\ufeff").removesuffix("\n").split("\n"))
    # BuildKit looks for `syntax` and `check` below it; for its parser it is a comment, which ends
    # the directives, so that there is no `escape`.
    shebang = lines[0].startswith(SHEBANG)
    directives = {SHEBANG: lines[0].removeprefix(SHEBANG)} if shebang else {}
    for line in lines[len(directives) :]:
        found = _DIRECTIVE.fullmatch(line)
        if not found or found[1].lower() in directives:
            break
        directives[found[1].lower()] = found[2]
    escape = "" if shebang else directives.get("escape", "")
    escape = escape if escape == "`" else "\\"
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
        word, text = [*_BLANKS.split("".join(parts).strip(), maxsplit=1), ""][:2]
        documents: list[str] = []
        ended = True
        for chomp, _, name in _HEREDOC.findall(text) if word.upper() in _WITH_DOCUMENTS else []:
            document = []
            ended = False
            while at < len(lines):
                line = (lines[at].lstrip("\t") if chomp else lines[at]).rstrip("\r")
                at += 1
                if line == name:
                    ended = True
                    break
                document.append(line)
            documents.append("".join(f"{line}\n" for line in document))
        flags, mounts, rest = _flags(text.strip())
        yield Instruction(
            word=word.upper(), text=text.strip(), start=start, end=at,
            flags=flags, mounts=mounts, rest=rest, documents=tuple(documents),
            ended=ended,
        )  # fmt: skip


def _flags(text: str) -> tuple[dict[str, str], tuple[str, ...], str]:
    flags: dict[str, str] = {}
    mounts: list[str] = []
    while match := _FLAG.match(text):
        flags[match[1]] = match[2] or ""
        mounts += [match[2] or ""] if match[1] == "mount" else []
        text = text[match.end() :]
    return flags, tuple(mounts), text


def words(text: str) -> list[str]:
    """Return the words of an argument list, in either of its forms."""
    if text.startswith("["):
        try:
            found = strictjson.loads(text)
        except ValueError:
            return []
        return [word for word in found if isinstance(word, str)]
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def stages(file: Dockerfile, args: Mapping[str, str]) -> list[Stage]:
    """Return the stages; *args* are the values of build arguments."""
    starts = [n for n, one in enumerate(file.instructions) if one.word == "FROM"]
    known = _arguments(file.instructions[: starts[0]] if starts else (), args)
    found: list[Stage] = []
    inner = {"scratch"}
    for start, end in pairwise([*starts, len(file.instructions)]):
        parts = file.instructions[start].rest.split()
        written = parts[0] if parts else ""
        image = _expanded(written.strip("\"'"), known) or ""
        named = len(parts) > 2 and parts[1].lower() == "as"  # noqa: PLR2004
        name = parts[2].lower() if named else ""
        found.append(
            Stage(
                start=file.instructions[start],
                written=written,
                image=image,
                name=name,
                outer=bool(parts) and image.lower() not in inner,
                body=file.instructions[start + 1 : end],
            )
        )
        inner |= {name} - {""}
    return found


def _arguments(instructions: Collection[Instruction], args: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the arguments that *instructions* declare, for FROM."""
    known = dict(_PLATFORM)
    for one in instructions:
        for name, default in declared(one).items():
            if (value := args.get(name, _expanded(default, known))) or name not in known:
                known[name] = value or ""
    return known


def declared(one: Instruction) -> dict[str, str]:
    """Return the arguments that an ARG declares, with their defaults; "" for none."""
    found = words(one.rest) if one.word == "ARG" else []
    return {name: value for name, _, value in (word.partition("=") for word in found)}


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


def names(file: Dockerfile) -> set[str]:
    """Return the names of the stages, in small letters, and their numbers."""
    found = stages(file, {})
    return {one.name for one in found if one.name} | {str(n) for n in range(len(found))}


def undeclared(file: Dockerfile) -> list[str]:
    """Return the arguments that have no default, in order: a build without them leaves them empty.

    Those that BuildKit sets itself are left out.
    """
    found: dict[str, str] = {}
    for one in file.instructions:
        found |= declared(one)
    own = ("TARGET", "BUILD")
    return [name for name, value in found.items() if not value and not _is_platform(name, own)]


def _is_platform(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(
        name == f"{prefix}{part}"
        for prefix in prefixes
        for part in ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE")
    )


def start_from(lines: list[str], stage: Stage, image: str) -> None:
    """Replace, in the *lines* of its Dockerfile, what *stage* starts from; their number stays."""
    one = stage.start
    flags = [f"--{name}={value}" for name, value in one.flags.items()]
    lines[one.start] = " ".join(["FROM", *flags, image, *one.rest.split()[1:]])
    lines[one.start + 1 : one.end] = [""] * (one.end - one.start - 1)


def remote_files(file: Dockerfile) -> list[str]:
    """Return the addresses that ADD takes something from."""
    added = [one for one in file.instructions if one.word == "ADD"]
    return [name for one in added for name in one.sources if _REMOTE.match(name)]


def runs(file: Dockerfile) -> list[str]:
    """Return what RUN instructions run, with their flags, as vertices are named."""
    return [one.text for one in file.instructions if one.word == "RUN"]


def stable_runs(
    file: Dockerfile, args: Collection[str], files: Collection[str], *, any_form: bool = False
) -> list[str]:
    """Return the RUN instructions that neither *args* nor *files* of the context can change.

    Those in exec form and with documents are left out, unless *any_form*: how their vertices are
    named differs between releases.
    """
    found: list[str] = []
    dirty: set[str] = set()
    for number, stage in enumerate(stages(file, {})):
        changed = stage.image.lower() in dirty
        for one in () if changed else stage.body:
            if _changes(one, args, files, dirty):
                changed = True
                break
            if one.word == "RUN" and (any_form or not one.rest.startswith(("[", "<<"))):
                found.append(one.text)
        if changed:
            dirty |= {stage.name, str(number)} - {""}
    return found


def _changes(
    one: Instruction, args: Collection[str], files: Collection[str], dirty: Collection[str]
) -> bool:
    """Whether *one* gets another input if *args* and *files* change."""
    taken = [name.strip("./") for name in one.files]
    touched = any(
        not name or path == name or path.startswith(f"{name}/") or _PATTERN.search(name)
        for name in taken
        for path in files
    )
    own = any(name.lower() in dirty for name in one.others)
    return bool(set(declared(one)) & set(args)) or touched or own

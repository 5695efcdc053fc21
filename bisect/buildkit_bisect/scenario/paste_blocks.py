"""Splits an issue's text into blocks: Dockerfiles, shell, other files, and output. Pure.

Takes Markdown; a text without a fence is one block, so a script or a Dockerfile is taken too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

_FENCE = re.compile(r"\s{0,3}(?:>\s?)*\s*(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*)")
_DOCKERFILES = ("dockerfile", "docker", "containerfile")
_SHELLS = (
    *("bash", "console", "fish", "sh", "shell", "shell-session", "shellsession", "terminal", "zsh"),
)
_TEXTS = ("", "log", "logs", "none", "output", "plain", "plaintext", "text", "txt")

#: A name of a file in the line before a block.
_NAMED = re.compile(
    r"(?<![\w./-])((?:[\w.-]+/)*(?:[\w.-]*Dockerfile[\w.-]*|\.dockerignore"
    r"|[\w-][\w.-]*\.(?:cfg|conf|css|dockerfile|env|go|hcl|html|ini|js|json|log|md|mod|py|rs|sh|sum"
    r"|toml|ts|txt|xml|ya?ml)))(?![\w/-])"
)
_INSTRUCTION = re.compile(
    r"\s*(?:FROM|ARG|RUN|COPY|ADD|ENV|LABEL|WORKDIR|CMD|ENTRYPOINT|EXPOSE|USER|VOLUME|ONBUILD"
    r"|SHELL|STOPSIGNAL|HEALTHCHECK|MAINTAINER)\s",
    re.IGNORECASE,
)
_FROM = re.compile(r"\s*FROM\s+\S", re.IGNORECASE)

#: A line that begins with a program of a build, also behind a prompt.
COMMAND = re.compile(
    r"\s*(?:[\w.@~:/\[\]() -]{0,60}?[$#%>\u276f\u279c\u00bb]\s+)?"
    r"(?:sudo\s+|time\s+|[A-Z_]+=\S*\s+)*"
    r"(?:docker|buildx|buildctl|buildctl-daemonless\.sh|buildkitd|nerdctl|podman)\s+[\w-]"
)

#: Lines that builds print.
OUTPUT = re.compile(
    r"\s*(?:#\d+ |=> |\[\+\] Building|-{4,}|>>> |ERROR[: ]|error[: ]|WARNING[: ]|WARN\[|ERRO\["
    r"|Sending build context|Step \d+/\d+ : | ---> |Successfully |Removing intermediate"
    r"|INFO\[|Dockerfile\S*:\d+$|\s*\d+ \|| > \[| > |View build details|\d+\.\d+ |time=\")"
)


#: Characters of a line that is read.
LONGEST_LINE = 4000


class Kind(StrEnum):
    """What a block is."""

    DOCKERFILE = "Dockerfile"
    SHELL = "shell"
    FILE = "file"
    OUTPUT = "output"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of the text, with its number from 1."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block, or a text without fences."""

    kind: Kind
    lines: tuple[Line, ...]
    name: str = ""  # the file that the text before it names

    @property
    def number(self) -> int:
        """The number of its first line; 0 if it is empty."""
        return self.lines[0].number if self.lines else 0

    @property
    def text(self) -> str:
        """Its lines, each with its line break."""
        return "".join(f"{line.text}\n" for line in self.lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paste:
    """An issue's text."""

    blocks: tuple[Block, ...]
    prose: tuple[Line, ...]  # what is outside of blocks
    long: tuple[Line, ...] = ()  # lines that are left out


def read(text: str) -> Paste:
    """Return the blocks and the prose of *text*. Any text is taken."""
    whole = [Line(number=n, text=t) for n, t in enumerate(_plain(text).split("\n"), 1)]
    long = tuple(line for line in whole if len(line.text) > LONGEST_LINE)
    lines = [replace(line, text="") if len(line.text) > LONGEST_LINE else line for line in whole]
    return replace(_read(lines), long=long)


def _read(lines: Sequence[Line]) -> Paste:
    if not any(_FENCE.match(line.text) for line in lines):
        return _unfenced(lines)
    blocks, prose = _fenced(lines)
    return Paste(blocks=tuple(blocks), prose=tuple(prose))


def _plain(text: str) -> str:
    """Return *text* with line breaks of one kind, and without what browsers put into copies."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ").lstrip("\ufeff")
    return re.sub(r"[\u00a0\u2007\u202f]", " ", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def _unfenced(lines: Sequence[Line]) -> Paste:
    indented = [line for line in lines if line.text.startswith("    ") and line.text.strip()]
    outside = [line for line in lines if line.text.strip() and line not in indented]
    prose = [line for line in outside if not COMMAND.match(line.text)]
    if any(COMMAND.match(line.text) for line in indented) and len(prose) == len(outside):
        blocks = [block for group in _groups(lines) for block in _block(group, "", ())]
        return Paste(blocks=tuple(blocks), prose=tuple(outside))
    found = kind([line.text for line in lines])
    if found is Kind.OUTPUT:
        found = Kind.SHELL
    return Paste(blocks=(Block(kind=found, lines=tuple(lines)),), prose=())


def _groups(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield each run of indented lines, without its indent."""
    group: list[Line] = []
    for line in [*lines, Line(number=0, text="end")]:
        if line.text.startswith("    "):
            group.append(Line(number=line.number, text=line.text[4:]))
        elif line.text.strip():
            if group:
                yield group
            group = []
        elif group:
            group.append(line)


def _fenced(lines: Sequence[Line]) -> tuple[list[Block], list[Line]]:
    blocks: list[Block] = []
    prose: list[Line] = []
    inside: list[Line] = []
    fence = info = ""
    indent = 0
    for line in lines:
        found = _FENCE.match(line.text)
        if not fence:
            if found:
                fence, info = found["fence"], found["info"].strip()
                indent, inside = found.start("fence"), []
            else:
                prose.append(line)
        elif found and found["fence"].startswith(fence) and not found["info"].strip():
            blocks += _block(inside, info, prose)
            fence = ""
        else:
            inside.append(Line(number=line.number, text=_dedented(line.text, indent)))
    if fence:  # GitHub too takes it to the end
        blocks += _block(inside, info, prose)
    return blocks, prose


def _dedented(text: str, indent: int) -> str:
    """Return *text* without what stands before the fence of its block: blanks or ``> ``."""
    return text[indent:] if re.fullmatch(r"[\s>]*", text[:indent]) else text


def _block(lines: Sequence[Line], info: str, before: Sequence[Line]) -> list[Block]:
    """Return a block; of a file that the line before gives several names, one for each."""
    word = re.split(r"[\s{,:]", info.lower(), maxsplit=1)[0]
    found = kind([line.text for line in lines], word)
    number = lines[0].number if lines else 0
    names = _NAMED.findall(info) or _NAMED.findall(" ".join(_near(before, number))) or [""]
    captioned = bool(names[0]) and _captioned(before, names, number)
    if found is Kind.OUTPUT and (word not in _TEXTS or captioned):
        found = Kind.FILE
    chosen = names if captioned and found is Kind.FILE else names[-1:]
    return [Block(kind=found, lines=tuple(lines), name=name) for name in chosen]


def kind(texts: Sequence[str], word: str = "") -> Kind:
    """Return what a block with the lines *texts* is; *word* is the first one of its fence."""
    if word in _SHELLS:
        return Kind.SHELL
    if _is_dockerfile(texts):
        return Kind.DOCKERFILE
    if word in (*_DOCKERFILES, *_TEXTS) and any(COMMAND.match(text) for text in texts):
        return Kind.SHELL
    return Kind.OUTPUT


def _is_dockerfile(texts: Sequence[str]) -> bool:
    """Whether the first line that is no comment is an instruction, and there is a FROM."""
    first = next((t for t in texts if t.strip() and not t.lstrip().startswith("#")), "")
    return bool(_INSTRUCTION.match(first)) and any(_FROM.match(text) for text in texts)


def _near(before: Sequence[Line], number: int) -> list[str]:
    """Return the last line of text before line *number*, unless it is far away."""
    return [line.text for line in before if line.text.strip() and number - line.number <= 4][-1:]  # noqa: PLR2004


def _captioned(before: Sequence[Line], names: Sequence[str], number: int) -> bool:
    """Whether the line before is little more than names of files."""
    rest = " ".join(_near(before, number))
    for name in names:
        rest = rest.replace(name, "")
    return len(re.sub(r"[\W_]", "", rest)) <= 20  # noqa: PLR2004


_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def spans(paste: Paste) -> Iterator[tuple[Line, str]]:
    """Yield the inline code of the prose, each with the rest of its line."""
    for line in paste.prose:
        for found in _SPAN.finditer(line.text):
            yield Line(number=line.number, text=found[1].strip()), line.text[found.end() :]

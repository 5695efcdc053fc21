"""Reads the shell of an issue: commands, and lines that are no plain command, with the reason.

Not a shell: no loop, function or condition is run, and only variables with a literal value are
known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass

from buildkit_bisect.scenario.paste_blocks import COMMAND, OUTPUT, Block, Kind, Line
from buildkit_bisect.scenario.paste_words import Untaken, Words, commands

#: A prompt, as terminals show it. A lone ``#`` is one only if the block has no other command.
_PROMPT = re.compile(
    r"\s*(?:\([\w.-]+\) )?"
    r"(?:\[?[\w.-]+@[\w.-]+[\]: ]?[^\s$#%>]*\]?\s?[$#%]|[~\w./-]*(?:[$%]|\s?[\u276f\u279c\u00bb])"
    r"|PS [^>]*>)\s+(?=\S)"
)
_NO_PROMPT = re.compile("").match("")
_ROOT_PROMPT = re.compile(r"\s*#\s+(?=\S)")
_CONTINUED = re.compile(r"\s*>\s?")
_HEREDOC = re.compile(r"(?<!<)<<(?P<dash>-?)\s*(?P<quote>['\"\\]?)(?P<end>[A-Za-z_]\w*)['\"]?")

_OPENS = re.compile(r"(?:^|[;&|(]\s*)(for|while|until|if|case|select|function)\b")
_FUNCTION = re.compile(r"\s*[\w-]+\s*\(\)\s*\{?\s*$")
_CLOSES = re.compile(r"(?:^|[;&|]\s*)(done|fi|esac|\})(?=$|[\s;&|)<>])")
_WHAT = {
    **dict.fromkeys(("for", "while", "until", "select"), "a loop: write its builds one by one"),
    **dict.fromkeys(("if", "case"), "a condition: write the lines that it runs"),
    "function": "a shell function: write its lines where it is called",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A simple command."""

    number: int
    source: str  # its first line, as written
    words: Words

    @property
    def name(self) -> str:
        """Its first word."""
        return self.words.words[0] if self.words.words else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A line that is not taken, and why."""

    number: int
    source: str
    reason: str
    shown: bool = False  # what a command printed: for a reader of the output only

    @property
    def build(self) -> bool:
        """Whether it runs a build."""
        return bool(_BUILD.search(self.source))


@dataclass(frozen=True, kw_only=True, slots=True)
class Printed:
    """A line that a command printed."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Logical:
    """A line with its continuation lines, and the bodies of its here-documents."""

    number: int
    text: str
    documents: tuple[str, ...]
    expands: tuple[bool, ...]  # whether variables in a document are replaced


def read(block: Block, variables: MutableMapping[str, str]) -> Iterator[Command | Left | Printed]:
    """Yield what *block* says, line by line. Assignments go to *variables*."""
    depth: list[str] = []
    for one in _logical(_unprompted(block)):
        if isinstance(one, Printed):
            yield one
            continue
        source = one.text.split("\n", 1)[0].strip()
        opened = _FUNCTION.match(one.text) and "function"
        found = [opened] if opened else _OPENS.findall(one.text.strip())
        closed = len(_CLOSES.findall(one.text.strip()))
        if depth or found:
            what = depth[0] if depth else found[0]
            depth = [*depth, *found][: max(0, len(depth) + len(found) - closed)]
            yield Left(number=one.number, source=source, reason=_WHAT[what])
            continue
        try:
            taken = list(commands(one.text, one.documents, one.expands, variables))
        except Untaken as error:
            yield Left(number=one.number, source=source, reason=str(error))
            continue
        for words in taken:
            yield Command(number=one.number, source=source, words=words)


def _unprompted(block: Block) -> list[Line | Printed]:
    """Return the lines that are typed, without prompts, and those that are printed."""
    lines = block.lines
    prompt = _prompt(lines)
    if prompt is None:
        return list(_sorted_out(lines, explicit=block.kind is Kind.SHELL))
    out: list[Line | Printed] = []
    open_, end, alone = False, "", True
    for line in lines:
        # People leave out a prompt, after an empty line or a comment.
        found = prompt.match(line.text) or (alone and COMMAND.match(line.text) and _NO_PROMPT)
        alone = not line.text.strip() or line.text.startswith("# ")
        if end:
            text = _CONTINUED.sub("", line.text) if line.text.lstrip().startswith(">") else None
            out.append(Line(number=line.number, text=line.text if text is None else text))
            end = "" if out[-1].text.strip() == end else end
        elif found:
            text = line.text[found.end() :] if found is not _NO_PROMPT else line.text
            out.append(Line(number=line.number, text=text))
            open_, end = text.rstrip().endswith("\\"), _end(text)
        elif open_:
            text = _CONTINUED.sub("", line.text, count=1)
            out.append(Line(number=line.number, text=text))
            open_, end = text.rstrip().endswith("\\"), _end(text)
        else:
            out.append(Printed(number=line.number, text=line.text))
    return out


def _end(text: str) -> str:
    found = _HEREDOC.search(text)
    return found["end"] if found else ""


def _prompt(lines: Sequence[Line]) -> re.Pattern[str] | None:
    """Return the prompts of *lines*; None if they have none."""
    if any(_PROMPT.match(line.text) for line in lines if not OUTPUT.match(line.text)):
        return _PROMPT
    bare = any(COMMAND.match(line.text) for line in lines if not _ROOT_PROMPT.match(line.text))
    rooted = any(
        COMMAND.match(_ROOT_PROMPT.sub("", line.text))
        for line in lines
        if _ROOT_PROMPT.match(line.text) and not OUTPUT.match(line.text)
    )
    return _ROOT_PROMPT if rooted and not bare else None


def _sorted_out(lines: Sequence[Line], *, explicit: bool) -> Iterator[Line | Printed]:
    """Yield lines without prompts: from the first one that a build prints on, until a command."""
    printed, end, open_, versions = not explicit, "", False, False
    for line in lines:
        if end:
            yield line
            end = "" if line.text.strip() == end else end
            continue
        if not open_:
            if OUTPUT.match(line.text) or VERSIONS.match(line.text):
                printed, versions = True, bool(VERSIONS.match(line.text))
            elif COMMAND.match(line.text) or _TYPED.match(line.text):
                printed = versions = False
            elif versions and not _VERSION.match(line.text):
                printed = versions = not explicit
        yield Printed(number=line.number, text=line.text) if printed else line
        if not printed:
            open_, end = line.text.rstrip().endswith("\\"), _end(line.text)


#: How ``docker version`` and ``docker info`` begin.
VERSIONS = re.compile(r"\s*(?:Client|Server):(?:\s|$)")

#: What follows in the same output.
_VERSION = re.compile(r"\s|$|[A-Z][^:]{0,60}:")

#: What people type beside builds.
_TYPED = re.compile(
    r"\s*(?:cat|cd|cp|echo|export|git|ln|mkdir|mv|printf|rm|set|touch)\s+\S|\s*[A-Za-z_]\w*=\S"
)


_BUILD_WORDS = (
    r"(?:^|[\s;&|(/])(?:docker|docker-compose|nerdctl|podman|buildx|buildctl|buildctl-daemonless\.sh)"
    r"(?:\s+-\S+(?:\s+[^-\s]\S*)?){0,6}?(?:\s+(?:buildx|builder|image|compose))?"
    r"(?:\s+-\S+(?:\s+[^-\s]\S*)?){0,6}?\s+(?:b|bake|build)"
)
_BUILD = re.compile(rf"{_BUILD_WORDS}(?=\s|$)")
BUILD_WITH_MORE = re.compile(rf"{_BUILD_WORDS}\s+\S")


#: Lines of one command.
_MOST = 200


def _logical(lines: Sequence[Line | Printed]) -> Iterator[_Logical | Printed]:
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if isinstance(line, Printed):
            yield line
            continue
        if not line.text.strip() or line.text.lstrip().startswith("#"):
            continue
        parts, end = [line.text], at + _MOST
        while _goes_on(parts[-1]) and at < min(len(lines), end) and isinstance(lines[at], Line):
            if not lines[at].text.lstrip().startswith("#"):  # people comment the options
                parts[-1] = parts[-1].rstrip().removesuffix("\\")
                parts.append(lines[at].text)
            at += 1
        while (
            _open_quote("\n".join(parts))
            and at < min(len(lines), end)
            and isinstance(lines[at], Line)
        ):
            parts.append(lines[at].text)
            at += 1
        text = _joined(parts)
        documents, expands = [], []
        for found in _HEREDOC.finditer(text):
            body: list[str] = []
            while at < len(lines) and lines[at].text.strip() != found["end"]:
                body.append(lines[at].text.lstrip() if found["dash"] else lines[at].text)
                at += 1
            at += 1
            documents.append("".join(f"{one}\n" for one in body))
            expands.append(not found["quote"])
        yield _Logical(
            number=line.number, text=text, documents=tuple(documents), expands=tuple(expands)
        )


def _goes_on(text: str) -> bool:
    """Whether the command goes on in the next line. A comment ends it, also in continued lines."""
    return text.rstrip().endswith(("\\", "&&", "||", "|"))


def _joined(parts: Sequence[str]) -> str:
    """Return continued lines as one."""
    return "\n".join(parts) if _open_quote(parts[0]) else " ".join(parts)


def _open_quote(text: str) -> bool:
    """Whether a quote in *text* does not end; an apostrophe in a comment is none."""
    quote = ""
    escaped = False
    for before, char in zip(f" {text}", text, strict=False):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and before.isspace():
            return False
    return bool(quote)

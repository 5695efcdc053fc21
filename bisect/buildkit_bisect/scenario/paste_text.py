"""What an issue's text says in order: what its commands do, and the files that it shows. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.phrases import cut
from buildkit_bisect.scenario import paste_blocks, paste_shell
from buildkit_bisect.scenario.paste_blocks import COMMAND, Block, Kind, Line, Paste
from buildkit_bisect.scenario.paste_commands import Desk
from buildkit_bisect.scenario.paste_files import Event
from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_shell import Command, Left, Printed

_BUILDS = re.compile(r"\b(?:build|b)\s+(?:-|\S)")
_MAKES_FILE = re.compile(r"(?:touch|mkdir)\s+\S|(?:echo|printf)\s.*>\s*\S")
_REPEATED = re.compile(
    r"\W{0,3}(?:(twice)|(?:(\d{1,2})|(two|three|four|five|ten)) times|a few times)\b", re.IGNORECASE
)
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}
_ISSUE = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(?:issues|pull)/\d+")
_HEADING = re.compile(r"#\s+(\S.*?)\s*#*")
_SHORT_ISSUE = re.compile(r"(?<![\w./-])([\w.-]{1,40}/[\w.-]{1,60})#(\d{1,6})\b")
_IMAGE = re.compile(r"\bmoby/buildkit:[\w.-]+")
_RELEASE = re.compile(r"(?<![\w.-])(v0\.\d{1,3}\.\d{1,3})(?:-rootless)?(?![\w.-]*\w)")
_ITS_RELEASE = re.compile(
    r"buildkitd?(?:\s+(?:release|version))?\W{1,20}v?(0\.\d{1,3}\.\d{1,3})(?!-rc|[.\d]*\d)",
    re.IGNORECASE,
)
_OTHER_PROGRAM = re.compile(
    r"buildx|compose|containerd|docker\b|engine|moby\b(?!/buildkit)|runc|dockerfile\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A file that the text shows."""

    number: int
    name: str  # "" if the text does not name it
    text: str
    dockerfile: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a text says."""

    events: tuple[Event, ...]
    listings: tuple[Listing, ...]
    printed: tuple[Line, ...]
    prose: tuple[Line, ...]
    left: tuple[Left, ...]
    repeats: Mapping[int, int]  # line of a build -> how often it is run
    versions: tuple[str, ...]  # images of BuildKit
    releases: tuple[str, ...]  # tags of BuildKit, in the order of the text
    flags: tuple[str, ...]  # of buildkitd
    config: str  # buildkitd.toml, as the text shows it
    container: bool  # whether builds run in a BuildKit of their own, not in dockerd
    title: str
    issue: str


def told(text: str) -> Told:
    """Return what *text* says."""
    paste = paste_blocks.read(text)
    reader = _Reader(paste)
    reader.read()
    desk = reader.desk
    builds = [event for event in desk.events if event.does == "build"]
    if not builds and any(one.dockerfile for one in reader.listings):
        desk.left += reader.elsewhere()
        if not any(one.build for one in desk.left):
            reader.plain_build()
    short = (f"https://github.com/{repo}/issues/{n}" for repo, n in _SHORT_ISSUE.findall(text))
    issues = dict.fromkeys(_ISSUE.findall(text)) or dict.fromkeys(short)
    heading = next((m[1] for m in map(_HEADING.fullmatch, (p.text for p in paste.prose)) if m), "")
    return Told(
        events=tuple(desk.events),
        listings=tuple(reader.listings),
        printed=tuple(reader.printed),
        prose=paste.prose,
        left=(*desk.left, *map(_long, paste.long)),
        repeats=reader.repeats,
        versions=(*desk.versions, *_IMAGE.findall(text)),
        releases=tuple(dict.fromkeys(_releases(text, paste.prose))),
        flags=tuple(desk.flags),
        config=_config(desk, reader.listings),
        container=desk.container,
        title=heading,
        issue=next(iter(issues)) if len(issues) == 1 else "",
    )


@dataclass(kw_only=False)
class _Reader:
    paste: Paste
    desk: Desk = field(default_factory=Desk)
    listings: list[Listing] = field(default_factory=list)
    printed: list[Line] = field(default_factory=list)
    repeats: dict[int, int] = field(default_factory=dict)

    def read(self) -> None:
        """Read blocks and inline code in the order of the text."""
        fenced = any(map(_has_build, self.paste.blocks))
        inline = [
            (line, rest)
            for line, rest in paste_blocks.spans(self.paste)
            if _MAKES_FILE.match(line.text) or (not fenced and _whole_build(line.text))
        ]
        items: list[tuple[int, Block | tuple[Line, str]]] = [
            *((block.number, block) for block in self.paste.blocks),
            *((line.number, (line, rest)) for line, rest in inline),
        ]
        for _, item in sorted(items, key=lambda one: one[0]):
            if isinstance(item, Block):
                self._block(item)
            else:
                self._inline(*item)

    def _inline(self, line: Line, rest: str) -> None:
        self._shell(Block(kind=Kind.SHELL, lines=(line,)))
        if found := _REPEATED.match(rest):
            count = 2 if found[1] else int(found[2] or _NUMBERS.get((found[3] or "").lower(), 3))
            self.repeats[line.number] = max(2, count)

    def _block(self, block: Block) -> None:
        match block.kind:
            case Kind.SHELL:
                self._shell(block)
            case Kind.OUTPUT:
                self.printed += block.lines
            case _:
                self._listing(block.number, block.name, block.text)

    def _listing(self, number: int, name: str, text: str) -> None:
        lines = tuple(Line(number=n, text=t) for n, t in enumerate(text.split("\n")))
        kind = paste_blocks.kind([line.text for line in lines])
        self.listings.append(
            Listing(number=number, name=name.removeprefix("./"), text=text,
                    dockerfile=kind is Kind.DOCKERFILE)
        )  # fmt: skip

    def _shell(self, block: Block) -> None:
        shown: list[Printed] = []
        name = ""
        for one in paste_shell.read(block, self.desk.variables):
            if isinstance(one, Printed):
                self._versions(one, shown)
                shown.append(one)
                self.printed.append(Line(number=one.number, text=one.text))
                continue
            self._shown(name, shown)
            shown, name = [], ""
            if isinstance(one, Command):
                self.desk.take(one)
                name = self.desk.prints
            elif block.kind is Kind.SHELL:
                self.desk.left.append(one)
        self._shown(name, shown)

    def _versions(self, line: Printed, before: Sequence[Printed]) -> None:
        """Note once that a command printed its versions."""
        known = any(paste_shell.VERSIONS.match(one.text) for one in before)
        if paste_shell.VERSIONS.match(line.text) and not known:
            reason = "what docker version or docker info prints"
            self.desk.left.append(
                Left(number=line.number, source=line.text, reason=reason, shown=True)
            )

    def _shown(self, name: str, lines: Sequence[Printed]) -> None:
        """Take what ``cat FILE`` printed."""
        if name and any(line.text.strip() and line.text[0] != "#" for line in lines):
            text = "".join(f"{line.text}\n" for line in lines).rstrip("\n") + "\n"
            self._listing(lines[0].number, name, text)

    def elsewhere(self) -> list[Left]:
        """Return builds in code of a sentence and in files and outputs, which are not taken."""
        known = {one.number for one in self.desk.left}
        lines = [line for line, _ in paste_blocks.spans(self.paste)]
        for block in self.paste.blocks:
            lines += block.lines if block.kind in (Kind.FILE, Kind.OUTPUT) else ()
        reason = "a build that is not in a block of shell with all of its options"
        return [
            Left(number=line.number, source=line.text, reason=reason)
            for line in lines
            if line.number not in known and paste_shell.BUILD_WITH_MORE.search(line.text)
        ]

    def plain_build(self) -> None:
        """Add a build of the last Dockerfile, for a text that shows no command."""
        one = [listing for listing in self.listings if listing.dockerfile][-1]
        build = Build(context="", file=one.name or "Dockerfile")
        number = one.number + one.text.count("\n") - 1
        source = "(the text shows a Dockerfile and no build: this is a plain build of it)"
        self.desk.events.append(
            Event(number=number, source=source, does="build", build=build, document=one.text)
        )


def _releases(text: str, prose: Sequence[Line]) -> Iterator[str]:
    """Yield the releases of BuildKit: other programs have such tags too."""
    plain = {line.number for line in prose if not _OTHER_PROGRAM.search(line.text)}
    for number, line in enumerate(text.split("\n"), 1):
        if "0." in line and len(line) <= paste_blocks.LONGEST_LINE:
            found = {one.start(1): one[1] for one in _ITS_RELEASE.finditer(line)}
            found |= {
                one.start(1) + 1: one[1] for one in _RELEASE.finditer(line) if number in plain
            }
            yield from (f"v{found[at].removeprefix('v')}" for at in sorted(found))


def _long(line: Line) -> Left:
    reason = f"longer than {paste_blocks.LONGEST_LINE} characters"
    return Left(number=line.number, source=cut(line.text, 60), reason=reason)


def _has_build(block: Block) -> bool:
    return block.kind is Kind.SHELL and any(
        COMMAND.match(line.text) and _BUILDS.search(line.text) for line in block.lines
    )


def _whole_build(text: str) -> bool:
    """Whether inline code is a command that can be run as it is."""
    if not COMMAND.match(text):
        return False
    words = text.split()
    if "prune" in words:
        return True
    context = words[-1] in (".", "./", "-") or "--local" in text
    return "build" in words and context


def _config(desk: Desk, listings: Sequence[Listing]) -> str:
    """Return the configuration of buildkitd that the text shows."""
    for event in reversed(desk.events):
        if desk.config and event.does == "write" and event.path == desk.config:
            return event.content
    names = [posixpath.basename(desk.config)] if desk.config else []
    for one in _configs(listings):
        if one.name.rpartition("/")[2] in (*names, "buildkitd.toml"):
            return one.text
    return ""


def _configs(listings: Sequence[Listing]) -> Iterator[Listing]:
    for one in listings:
        if not one.dockerfile and one.name.endswith(".toml"):
            yield one

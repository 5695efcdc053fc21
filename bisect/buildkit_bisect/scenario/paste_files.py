"""What the commands of an issue do to files. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_shell import Command
from buildkit_bisect.scenario.paste_words import Untaken


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happens."""

    number: int
    source: str
    does: (
        str  # "build", "prune", "daemon", "write", "append", "symlink", "delete", "mkdir", "rename"
    )
    path: str = ""
    content: str = ""  # of a file; the target of a symbolic link; where it is renamed to
    start: str = ""  # of a daemon
    build: Build | None = None
    document: str | None = None  # the Dockerfile on standard input
    folder: str = ""  # where the command is run


@dataclass(kw_only=True)
class Files:
    """A shell's current folder, and what happens to files."""

    events: list[Event] = field(default_factory=list)
    prints: str = ""  # the file that the last command prints
    folder: str = ""

    def place(self, path: str) -> str:
        """Return *path* from where the paste begins; absolute ones stay so. Raises `Untaken`."""
        path = re.sub(r"^(?:~|\$HOME)(?=/|$)", "/home", path)
        joined = posixpath.normpath(posixpath.join(self.folder or ".", path))
        if joined.startswith(".."):
            raise Untaken(f"{path}: leads out of the folder in which the paste begins")
        return "" if joined == "." else joined

    def event(self, command: Command, kind: str, path: str = "", content: str = "") -> None:
        """Note that *command* does something to *path*."""
        place = self.place(path) if path else ""
        self.events.append(
            Event(number=command.number, source=command.source, does=kind, path=place,
                  content=content)
        )  # fmt: skip

    def cd(self, command: Command, words: Sequence[str]) -> None:
        """Go to a folder."""
        if not words:
            raise Untaken("cd without a folder")
        del command
        self.folder = self.place(words[-1])

    def echo(self, command: Command, words: Sequence[str]) -> None:
        """Write a line to a file."""
        if not command.words.output:
            return
        name, *rest = words if words[:1] == ["echo"] else ("", *words)
        text = " ".join(word for word in rest if word not in ("-n", "-e", "-ne", "-en"))
        end = "" if {"-n", "-ne", "-en"} & set(words) else "\n"
        del name
        self._write(command, text.replace("\\n", "\n") + end)

    def date(self, command: Command, value: str) -> None:
        """Write *value*, which differs each time."""
        self._write(command, f"{value}\n")

    def printf(self, command: Command, words: Sequence[str]) -> None:
        """Write a text to a file."""
        if not command.words.output:
            return
        form, *values = words or ("",)
        form = form.replace("\\n", "\n").replace("\\t", "    ")
        if form.count("%") != form.count("%s") or form.count("%s") not in (0, len(values)):
            raise Untaken("printf with a format: write the file's content")
        for value in values:
            form = form.replace("%s", value, 1)
        self._write(command, form)

    def cat(self, command: Command, words: Sequence[str]) -> None:
        """Write a here-document to a file, or print a file."""
        given = command.words
        if given.output and given.document is not None:
            self._write(command, given.document)
        elif given.output:
            raise Untaken("a file made of others: write its content")
        elif len(words) == 1:
            self.prints = self.place(words[0])

    def tee(self, command: Command, words: Sequence[str]) -> None:
        """Write a here-document to a file."""
        if command.words.document is None or len(words) != 1:
            raise Untaken("tee: only a file with a here-document is known")
        self.event(command, "write", words[0], command.words.document)

    def _write(self, command: Command, content: str) -> None:
        kind = "append" if command.words.append else "write"
        self.event(command, kind, command.words.output, content)

    def touch(self, command: Command, words: Sequence[str]) -> None:
        """Make a file."""
        if any(word.startswith("-") for word in words):
            raise Untaken("touch with an option: a step `write` can have an mtime")
        for word in braces(words):
            self.event(command, "append", word)

    def mkdir(self, command: Command, words: Sequence[str]) -> None:
        """Make folders."""
        for word in braces(plain(words)):
            self.event(command, "mkdir", word)

    def rm(self, command: Command, words: Sequence[str]) -> None:
        """Delete files."""
        for word in braces(plain(words)):
            if re.search(r"[*?]", word):
                raise Untaken("rm with a pattern: name the files")
            self.event(command, "delete", word)

    def mv(self, command: Command, words: Sequence[str]) -> None:
        """Rename a file."""
        names = plain(words)
        if len(names) != 2:  # noqa: PLR2004
            raise Untaken("mv: only one file to another name is known")
        self.event(command, "rename", names[0], self.place(names[1]))

    def ln(self, command: Command, words: Sequence[str]) -> None:
        """Make a symbolic link."""
        names = plain(words)
        symbolic = any(re.fullmatch(r"-\w*s\w*|--symbolic", word) for word in words)
        if not symbolic or len(names) != 2:  # noqa: PLR2004
            raise Untaken("ln: only one symbolic link is known")
        self.event(command, "symlink", names[1], names[0])


def plain(words: Sequence[str]) -> list[str]:
    """Return *words* without options."""
    return [word for word in words if not word.startswith("-")]


def braces(words: Sequence[str]) -> list[str]:
    """Return *words* with ``a{1,2}`` written out."""
    out: list[str] = []
    for word in words:
        found = re.fullmatch(r"(.*)\{([^{}]*,[^{}]*)\}(.*)", word)
        numbers = re.fullmatch(r"(.*)\{(\d{1,2})\.\.(\d{1,2})\}(.*)", word)
        if found:
            out += [f"{found[1]}{part}{found[3]}" for part in found[2].split(",")]
        elif numbers:
            ends = range(int(numbers[2]), int(numbers[3]) + 1)
            out += [f"{numbers[1]}{n}{numbers[4]}" for n in ends]
        else:
            out.append(word)
    return out


#: What a program does to files.
PROGRAMS: Mapping[str, Callable[[Files, Command, Sequence[str]], None]] = {
    "cat": Files.cat,
    "cd": Files.cd,
    "echo": Files.echo,
    "ln": Files.ln,
    "mkdir": Files.mkdir,
    "mv": Files.mv,
    "printf": Files.printf,
    "pushd": Files.cd,
    "rm": Files.rm,
    "tee": Files.tee,
    "touch": Files.touch,
}

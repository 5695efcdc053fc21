"""The files that a user's own program declares: what a trial of it is known by.

A program that runs or reads files beside it tests something else when they change. They are
declared in a comment of the program, or by an option. Pure: reads files.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.nearest import nearest
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario.definition import ScriptFile

#: The word before the files in a comment of a program.
WORD = "bkbisect-files:"

#: Limits of what a program may declare: it is read before and after every trial.
MOST_FILES = 1000
MOST_BYTES = 100 * 10**6

_CHUNK = 2**20

#: A declaration, in the comments of shells, Python, Perl, Ruby, JavaScript, Go, Lua and Lisp.
_DECLARATION = re.compile(rf"\s*(?:#+|//+|--|;+)\s*{WORD}(.*)", re.DOTALL)

#: What was probably meant as one, and would be overlooked.
_NEARLY = re.compile(
    r"\s*(?:#+|//+|--|;+)\s*(bkbisect[-_]?(?:script[-_]?)?files?\b\S*)", re.IGNORECASE
)

#: How a program finds the folder that it is in.
_OWN_FOLDER = re.compile(
    r"\$\{?0\b|BASH_SOURCE|\b__file__\b|\bsys\.path\b|\b__dir__\b|\bargv\[0\]|\bFindBin\b"
)

#: Text of a program that may be a path.
_PATH = re.compile(r"\$?[\w.+@%/-]+")

_IMPORT = re.compile(r"^\s*(?:import|from)\s+(\w+)", re.MULTILINE)

#: Different paths in a program that are looked up.
_MOST_PATHS = 5000


def digested(path: Path, name: str) -> ScriptFile:
    """Return a regular file with its digest. Raises OSError."""
    found = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        # Not beyond its size: a file may grow while it is read.
        for size in _chunks(found.st_size):
            digest.update(file.read(size))
    return ScriptFile(
        name=name,
        path=path,
        mode=stat.S_IMODE(found.st_mode),
        sha256=digest.hexdigest(),
        link=str(path.readlink()) if path.is_symlink() else "",
    )


def _chunks(size: int) -> Iterator[int]:
    for start in range(0, size, _CHUNK):
        yield min(_CHUNK, size - start)


def changed(files: Sequence[ScriptFile]) -> str:
    """Return the name of the first file that is no longer what it was; "" if none."""
    for file in files:
        try:
            same = digested(file.path, file.name) == file
        except OSError:
            same = False
        if not same:
            return file.name
    return ""


def declared(program: Path, text: str, given: Sequence[str]) -> tuple[ScriptFile, ...]:
    """Return the files that *program* declares in its *text*, and those *given* as an option.

    Paths in its text are relative to its folder, *given* ones to the current directory. Each is a
    file, a folder (every file below it) or a pattern. Raises `BadInput` for one that cannot be
    taken, and if they are too many or too big.
    """
    found: dict[str, Path] = {}
    for path in given:
        found |= _Place(program, Path.cwd(), option=True).files(path)
    for path in _in_text(program, text):
        found |= _Place(program, program.parent, option=False).files(path)
    found.pop(program.name, None)
    if len(found) > MOST_FILES:
        raise _too_much(program.name, f"{MOST_FILES} files")
    try:
        if sum(path.stat().st_size for path in found.values()) > MOST_BYTES:
            raise _too_much(program.name, f"{MOST_BYTES // 10**6} MB")
        return tuple(digested(found[name], name) for name in sorted(found))
    except OSError as error:
        raise BadInput(
            f"{program.name} declares {str(error.filename)!r}, which cannot be read:"
            f" {error.strerror}",
            hint="docs/usage.md",
        ) from None


def _too_much(program: str, limit: str) -> BadInput:
    return BadInput(
        f"the files that {program} declares are more than {limit}",
        hint="declare only those that it reads",
    )


def _in_text(program: Path, text: str) -> Iterator[str]:
    """Yield the paths in the declarations of a program."""
    for line in text.splitlines():
        match = _DECLARATION.match(line)
        if not match:
            if nearly := _NEARLY.match(line):
                raise BadInput(
                    f"{program.name}: the comment {nearly[1]!r} declares nothing: it must begin"
                    f" with {WORD}",
                    hint=f"# {WORD} helper.sh 'data/*.json'",
                )
            continue
        try:
            paths = shlex.split(match[1])
        except ValueError:
            paths = []
        if not all(paths) or not paths:
            raise BadInput(
                f"{program.name}: {line.strip()!r} is not a list of files",
                hint=f"# {WORD} helper.sh 'data/*.json'",
            )
        yield from paths


class _Place:
    """Where paths are looked up, and how messages call them."""

    def __init__(self, program: Path, base: Path, *, option: bool) -> None:
        self._program = program
        self._folder = program.parent
        self._base = base
        self._option = option

    @property
    def _where(self) -> str:
        option = words(Campaign, script_files=True)
        return option if self._option else f"{self._program.name}: {WORD}"

    def _instead(self, path: str) -> str:
        """Return the declaration of another path, for a hint."""
        if self._option:
            return words(Campaign, script_files=path)
        return f"# {WORD} {shlex.quote(path)}"

    def files(self, path: str) -> dict[str, Path]:
        """Return the files that *path* stands for, by name. Raises `BadInput`."""
        if not path.isprintable():
            raise self._error(ascii(path)[1:-1], "has characters that cannot be printed")
        whole = os.path.normpath(self._base / path)
        if os.path.lexists(whole):
            found = [whole]
        elif not glob.has_magic(path):
            raise self._missing(path)
        else:
            # As a shell does: `Path.glob` also matches hidden files.
            matched = glob.iglob(path, root_dir=self._base, recursive=True)  # noqa: PTH207
            several = islice(matched, MOST_FILES + 1)
            found = sorted(os.path.normpath(self._base / one) for one in several)
        files = {
            self._name(path, each): Path(each)
            for one in found
            for each in islice(self._below(path, one), MOST_FILES + 1)
        }
        if not files:
            what = "has no files in it" if os.path.lexists(whole) else "matches no file"
            raise self._error(path, what)
        return files

    def _below(self, path: str, found: str) -> Iterator[str]:
        """Yield a file, or every file below a folder."""
        if not os.path.isdir(found):  # noqa: PTH112 - names from the user
            yield self._file(path, found)
            return
        if os.path.islink(found):  # noqa: PTH114
            raise BadInput(
                f"{self._where} {path!r} {self._of(path, found)}is a link to a folder",
                hint=self._instead(f"{os.path.relpath(found, self._base)}/*"),
            )
        try:
            names = sorted(os.listdir(found))  # noqa: PTH208
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            raise self._error(path, f"{self._of(path, found)}{why}") from None
        for name in names:
            yield from self._below(path, f"{found}/{name}")

    def _file(self, path: str, found: str) -> str:
        try:
            kind = os.stat(found).st_mode  # noqa: PTH116
        except OSError as error:
            link = os.path.islink(found)  # noqa: PTH114
            why = "is a link that leads to no file" if link else f"cannot be read: {error.strerror}"
            raise self._error(path, f"{self._of(path, found)}{why}") from None
        if not stat.S_ISREG(kind):
            raise self._error(path, f"{self._of(path, found)}is neither a file nor a folder")
        return found

    def _of(self, path: str, found: str) -> str:
        """Return the name of a file that a folder or a pattern led to; "" if it was named."""
        if os.path.normpath(self._base / path) == found:
            return ""
        return f"has {os.path.relpath(found, self._base)!a}, which "

    def _name(self, path: str, found: str) -> str:
        """Return the name of a file relative to the program's folder. Raises `BadInput`."""
        parent, last = os.path.split(found)
        for file, folder in (
            (found, self._folder),
            # The current directory may have another name than the user's links to it.
            (f"{os.path.realpath(parent)}/{last}", os.path.realpath(self._folder)),
        ):
            name = os.path.relpath(file, folder)
            if name != os.pardir and not name.startswith(f"{os.pardir}/"):
                break
        else:
            raise BadInput(
                f"{self._where} {path!r} is outside the folder of {self._program.name}",
                hint="a link in that folder: its content counts",
            )
        if not name.isprintable():
            raise self._error(path, f"has {name!a}, which cannot be printed")
        return name

    def _error(self, path: str, why: str) -> BadInput:
        return BadInput(f"{self._where} {path!r} {why}", hint="docs/usage.md")

    def _missing(self, path: str) -> BadInput:
        other = ""
        beside = self._folder / path
        if os.path.lexists(beside):
            other = os.path.relpath(beside, self._base)
        else:
            folder, name = os.path.split(path)
            with suppress(OSError):
                near = nearest(name, os.listdir(self._base / folder))  # noqa: PTH208
                other = os.path.join(folder, near[0]) if near else ""  # noqa: PTH118
        hint = self._instead(other) if other else "docs/usage.md"
        return BadInput(f"{self._where} {path!r} does not exist", hint=hint)


def undeclared(program: Path, text: str, files: Sequence[ScriptFile]) -> tuple[str, ...]:
    """Return the files beside *program* that its *text* names and it does not declare.

    Only for a program that can find its own folder: it runs in another directory.
    """
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    folder = f"{program.parent}/"
    python = "python" in text.partition("\n")[0]
    names = {f"{name}.py": None for name in _IMPORT.findall(code)} if python else {}
    if folder in code or _OWN_FOLDER.search(code):
        for token in islice(dict.fromkeys(_PATH.findall(code)), _MOST_PATHS):
            names |= dict.fromkeys(_candidates(token, folder))
    known = {program.name, *(file.name for file in files)}
    known |= {str(parent) for name in known for parent in Path(name).parents}
    return tuple(
        name for name in names if name.rstrip("/") not in known and _is_beside(program, name)
    )


def _candidates(token: str, folder: str) -> Iterator[str]:
    """Yield what a path in a program may be called in its folder; a folder ends in a slash."""
    if token.startswith(folder):
        token = f"/{token.removeprefix(folder)}"
    elif token.startswith("/") and os.path.lexists(token):
        return
    if token.startswith("$"):  # $here/helper.sh
        token = f"/{token.partition('/')[2]}"
    if name := token.removeprefix("./").strip("/"):
        yield os.path.normpath(name)
        # A plain word such as `out` is rarely a folder there.
        if "/" in token:
            yield f"{os.path.normpath(name)}/"


def _is_beside(program: Path, name: str) -> bool:
    path = program.parent / name
    inside = not name.startswith(os.pardir)
    return inside and (path.is_dir() if name.endswith("/") else path.is_file())

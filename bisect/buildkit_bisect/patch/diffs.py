"""Checks the text of a patch's diff before git reads it. Pure."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchSet

from buildkit_bisect.errors import BadInput

_HEADERS = ("--- ", "+++ ", "rename from ", "rename to ", "copy from ", "copy to ")
_GIT_HEADER = re.compile(r"^diff --git (\S+) (\S+)$")
_MODE = re.compile(r"^(?:new file mode|new mode|old mode|deleted file mode|index \S+) (\d{6})$")
_IMPORT = re.compile(
    r"^\+\s*(?:import\s+)?(?:[\w.]+\s+)?\"([\w.~-]+(?:/[\w.~+-]+)+)\"\s*(?://.*)?$"
)
#: Lines of a diff that may have a program import or embed what no added line names: they move a
#: file, end a comment, change a build constraint, or import in a form that `_IMPORT` does not know.
_REVEALS = re.compile(
    r"(?:rename|copy) (?:from|to) |"
    r"[-+](?:.*(?:/\*|\*/|//go:build|//\s*\+build|//go:embed)|\s*import\b.*[`;]|[^\"]*`[^`]+`\s*$)"
)
_BINARY = re.compile(rb"^(?:GIT binary patch|Binary files )", re.MULTILINE)
#: A number in a hunk's header that Python or git cannot parse; `unidiff` splits lines the same way.
_ENDLESS = re.compile(r"@@ [-+,\d ]*\d{11}")
#: Largest line number; git parses such numbers into a machine word, which may overflow.
_MOST_LINES = 10**9
_MODES = {"100644", "100755"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The lines that a hunk expects in a file, starting at line *at* (from 1)."""

    path: str
    at: int
    before: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """A checked unified diff; several diffs of a patch are variants of the same change."""

    name: str
    text: str
    files: tuple[str, ...]  # paths it touches, relative to the tree, sorted
    imports: tuple[str, ...]  # import paths in its added lines, sorted
    reveals: bool  # it may import or embed more than that
    changes: tuple[Change, ...]  # one per hunk, except hunks that create files
    bare: bool  # a hunk has no context on at least one side

    @property
    def digest(self) -> str:
        """The hex digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def parse(name: str, data: bytes, *, where: str = "") -> Diff:
    """Check and parse *data*; messages name it *where*, its path, or *name*.

    Raises `BadInput` unless it is a plain text diff (``-p1``, a/ and b/) within the tree.
    """
    where = where or name
    text = _text(where, data)
    if any(_ENDLESS.match(line) for line in text.splitlines()):
        raise BadInput(f"{where}: a number in a hunk header is too large", hint=_HOW)
    # Git ends headers with a line feed alone, also those of a file with CRLF line endings.
    if any(line.endswith("\r") for line in _header_lines(text)):
        raise BadInput(
            f"{where} has CRLF line endings", hint=f"sed -i 's/\\r$//' {shlex.quote(where)}"
        )
    files = sorted(set(_paths(where, text)))
    _check_modes(where, text)
    patch = _patch_set(where, text)
    changes = []
    for file in patch:
        before = file.source_file.removeprefix("a/") if file.is_rename else file.path
        for hunk in file:
            if max(hunk.source_start, hunk.target_start) > _MOST_LINES:
                line = max(hunk.source_start, hunk.target_start)
                raise BadInput(f"{where}: line number {line} is too large", hint=_HOW)
            if not any(line.is_removed or line.is_context for line in hunk):
                if file.is_added_file:
                    continue
                raise BadInput(
                    f"{where}: a hunk of {file.path} only adds lines and has no context,"
                    " so its position is ambiguous",
                    hint=_HOW,
                )
            changes.append(Change(path=before, at=hunk.source_start, before=tuple(_before(hunk))))
    return Diff(
        name=name,
        text=text,
        files=tuple(files),
        imports=tuple(sorted({m[1] for line in text.splitlines() if (m := _IMPORT.match(line))})),
        reveals=any(map(_REVEALS.match, text.splitlines())),
        changes=tuple(changes),
        bare=any(_is_bare(h) for f in patch if not f.is_added_file for h in f),
    )


_HOW = "git diff -U1 > NAME.patch"


def _patch_set(where: str, text: str) -> PatchSet:
    try:
        patch = PatchSet(text.splitlines(keepends=True))
    except UnidiffParseError as err:
        raise BadInput(f"{where} is not a unified diff: {err}", hint=_HOW) from err
    if not any(len(file) for file in patch):
        if text.startswith("diff --git "):
            raise BadInput(f"{where} changes no lines: modes, names or empty files only", hint=_HOW)
        raise BadInput(f"{where} is not a unified diff: it has no hunk", hint=_HOW)
    return patch


def _text(where: str, data: bytes) -> str:
    if not data.strip():
        raise BadInput(f"{where} is empty", hint=_HOW)
    if b"\0" in data or _BINARY.search(data):
        raise BadInput(f"{where} contains a binary diff; only text is supported", hint=_HOW)
    try:
        text = data.decode()
    except UnicodeDecodeError as err:
        raise BadInput(f"{where} is not valid UTF-8: {err.reason}", hint=_HOW) from err
    return text if text.endswith("\n") else text + "\n"


def _paths(where: str, text: str) -> Iterator[str]:
    """Yield every path in the headers of the diff; hunk bodies are skipped by their counts."""
    for line in _header_lines(text):
        git = _GIT_HEADER.match(line)
        if git:
            found = [git[1], git[2]]
        elif line.startswith(_HEADERS):
            head = next(h for h in _HEADERS if line.startswith(h))
            found = [line.removeprefix(head).split("\t")[0].strip()]
            if head[:4] not in ("--- ", "+++ "):
                found = [f"a/{found[0]}"]
        else:
            continue
        for path in found:
            if path != "/dev/null":
                yield _inside(where, path)


def _header_lines(text: str) -> Iterator[str]:
    left = [0, 0]
    for line in text.split("\n"):
        if left[0] > 0 or left[1] > 0:
            left[0] -= line[:1] in (" ", "-", "")
            left[1] -= line[:1] in (" ", "+", "")
            continue
        hunk = re.match(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line)
        if hunk:
            left = [int(hunk[1] or 1), int(hunk[2] or 1)]
        else:
            yield line


def _inside(where: str, path: str) -> str:
    if path.startswith('"'):
        raise BadInput(
            f"{where} has the quoted path {path}; only plain paths are read",
            hint="git -c core.quotePath=false diff -U1 > NAME.patch",
        )
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise BadInput(
            f"{where} touches {path}, which is outside the tree",
            hint="a patch of files in the tree, created with git diff",
        )
    side, _, rest = path.partition("/")
    if side not in ("a", "b") or not rest:
        raise BadInput(f"{where} touches {path}: paths must start with a/ and b/", hint=_HOW)
    parts = PurePosixPath(rest).parts
    if rest.startswith("/") or ".git" in (p.lower() for p in parts) or "\\" in rest:
        raise BadInput(
            f"{where} touches {rest}, which is outside the tree",
            hint="a patch of files in the tree, created with git diff",
        )
    return rest


def _check_modes(where: str, text: str) -> None:
    for line in _header_lines(text):
        mode = _MODE.match(line)
        if mode and mode[1] not in _MODES:
            raise BadInput(
                f"{where} changes a symlink or submodule (mode {mode[1]}); only files may change",
                hint="leave it out of the diff",
            )


def _before(hunk: Hunk) -> Iterator[str]:
    for line in hunk:
        if line.is_removed or line.is_context:
            yield str(line.value).rstrip("\n")


def _is_bare(hunk: Hunk) -> bool:
    lines = [line for line in hunk if line.line_type in "+- "]
    return not (lines[0].is_context and lines[-1].is_context)


def places(change: Change, content: str) -> list[int]:
    """Return the line numbers, from 1, at which *content* has the lines that *change* expects."""
    lines = content.split("\n")
    want = list(change.before)
    return [i + 1 for i in range(len(lines) - len(want) + 1) if lines[i : i + len(want)] == want]

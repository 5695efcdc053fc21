"""Which files of a build context a Dockerfile copies. Pure: reads files."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from buildkit_bisect.errors import BadInput
from buildkit_bisect.nearest import did_you_mean
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.scenario.dockerfile import Dockerfile, Instruction

#: Limits of a context: every trial copies it.
MOST_FILES = 1000
MOST_BYTES = 100 * 10**6

#: As many as Linux follows.
_MOST_LINKS = 40

_IGNORED = ".dockerignore"


def used(path: Path, file: Dockerfile, context: Path) -> dict[str, Path]:
    """Return the files of *context* that the Dockerfile at *path* copies, by their paths in it.

    All files, if it may copy any. Raises `BadInput` for a file that is missing or outside of
    *context*, and if they are too many or too big.
    """
    found: dict[str, Path] = {}
    total = 0
    for name, one in _files(path, file, context):
        if name in found:
            continue
        found[name] = one
        total += one.lstat().st_size
        if len(found) > MOST_FILES or total > MOST_BYTES:
            raise BadInput(
                f"{path} copies more than {MOST_FILES} files or {MOST_BYTES // 10**6} MB of"
                f" {context}",
                hint=f"{words(Campaign, context='DIR')}, a folder with only what it needs",
            )
    ignored = context / _IGNORED
    if found and ignored.is_file():
        found[_IGNORED] = ignored
    return found


def _files(path: Path, file: Dockerfile, context: Path) -> Iterator[tuple[str, Path]]:
    for one in file.instructions:
        for source in one.files:
            yield from _of(path, one, "." if "$" in source else source, context)


def _of(path: Path, one: Instruction, source: str, context: Path) -> Iterator[tuple[str, Path]]:
    plain = os.path.normpath(source.lstrip("/") or ".")
    if plain == ".." or plain.startswith("../"):
        raise _leads_out(path, one, source)
    way = _through(context, plain)
    if way is None:
        raise _leads_out(path, one, source)
    if os.path.lexists(context / plain):
        yield from _reached(way, context)
        return
    matched = sorted(glob.glob(plain, root_dir=context)) if glob.has_magic(plain) else []  # noqa: PTH207
    if not matched:
        known = [entry.name for entry in context.iterdir()]
        raise BadInput(
            f"{path}: {one.word} {source}: not in {context}; {did_you_mean(plain, known)}",
            hint=words(Campaign, context=shlex.quote("DIR")),
        )
    for name in matched:
        way = _through(context, name)
        if way is None:
            raise _leads_out(path, one, source)
        yield from _reached(way, context)


def _leads_out(path: Path, one: Instruction, source: str) -> BadInput:
    return BadInput(
        f"{path}: {one.word} {source} leads out of the build context",
        hint=words(Campaign, context="DIR"),
    )


def _through(context: Path, name: str) -> list[str] | None:
    """Return the links through which *name* leads, then the path below *context* without them.

    The last part of *name* may be a link, which is copied as one. None if a link leads out, also
    one with an absolute target: a build sees no path but those of its context.
    """
    links: list[str] = []
    at: list[str] = []
    left = name.split("/")
    while left:
        part = left.pop(0)
        here = "/".join([*at, part])
        if part == "..":
            if not at:
                return None
            at.pop()
        elif part in ("", "."):
            continue
        elif left and (context / here).is_symlink():
            target = str((context / here).readlink())
            if target.startswith("/") or len(links) == _MOST_LINKS:
                return None
            links.append(here)
            left = [*target.split("/"), *left]
        else:
            at.append(part)
    return [*links, "/".join(at) or "."]


def _reached(way: list[str], context: Path) -> Iterator[tuple[str, Path]]:
    """Yield the links of a *way* of `_through`, and what is at its end."""
    *links, real = way
    for link in links:
        yield link, context / link
    yield from _below(context / real, context)


def _below(path: Path, context: Path) -> Iterator[tuple[str, Path]]:
    """Yield a file, or every file below a folder; links as they are."""
    if path.is_symlink() or path.is_file():
        yield str(path.relative_to(context)), path
        return
    if not path.is_dir():
        raise BadInput(
            f"{path} is neither a file nor a folder", hint=words(Campaign, context="DIR")
        )
    for folder, names, files in os.walk(path):
        names.sort()
        links = [name for name in names if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            one = Path(folder) / name
            yield str(one.relative_to(context)), one

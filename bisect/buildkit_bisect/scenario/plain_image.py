"""Dockerfiles of base images that only copy: such an image needs no BuildKit. Pure: reads files.

This reads less than BuildKit does, on purpose. A Dockerfile with anything else in it, or with
something that BuildKit could take in another way, is for BuildKit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from buildkit_bisect.scenario import build_files
from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario.definition import Scenario
from buildkit_bisect.scenario.dockerfile import Dockerfile, Instruction
from buildkit_bisect.scenario.image_context import BUSYBOX, FILES, FOLDERS, ROOTFS

#: Layers of an image that is made here; all of them are held in memory.
MOST_COPIES = 20

_DEST = re.compile(r"/[\w.+/-]{0,80}", re.ASCII)
_DOCUMENT = re.compile(r"<<([A-Za-z_][\w.-]{0,40})", re.ASCII)

#: Names of files that have a meaning in a layer: they delete others, or list an eStargz layer.
_SPECIAL = re.compile(r"\.wh\..*|stargz\.index\.json|\.(no\.)?prefetch\.landmark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A part of a layer: ``busybox`` at a path, the folder ``rootfs`` below it, or a text."""

    path: str  # without a slash at either end; "" is the root folder
    source: str = ""  # BUSYBOX, ROOTFS; or
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A COPY, which makes a layer."""

    said: str  # as in the Dockerfile, for the image's history
    parts: tuple[Placed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainImage:
    """An image of nothing but copied files."""

    copies: tuple[Copied, ...]
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tree:
    """What is in the image so far."""

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=lambda: {""})
    links: set[str] = field(default_factory=set)  # folders of links whose names are not known here

    def put(self, part: Placed) -> bool:
        """Add *part*; false if it meets something in its place, or goes through a link."""
        if part.source != ROOTFS:
            return self._file(part.path)
        inner = [_below(part.path, name) for name in FOLDERS]
        if not all(map(self._folder, [part.path, *inner])):
            return False
        self.links.add(_below(part.path, "bin"))
        return all(self._file(_below(part.path, name)) for name in FILES)

    def _file(self, path: str) -> bool:
        free = path not in self.files | self.folders
        if not free or _SPECIAL.fullmatch(PurePosixPath(path).name):
            return False
        self.files.add(path)
        return _parent(path) not in self.links and self._folder(_parent(path))

    def _folder(self, path: str) -> bool:
        way = [str(part) for part in (PurePosixPath(path), *PurePosixPath(path).parents)]
        way = ["" if part == "." else part for part in way]
        if self.files.intersection(way) or self.links.intersection(way[1:]):
            return False
        self.folders.update(way)
        return True


def all_of(scenario: Scenario) -> dict[str, PlainImage] | None:
    """Return the images of *scenario*, by name; None if one of them needs BuildKit.

    Images of one scenario may share layers, and a layer that BuildKit made is another one.
    """
    found: dict[str, PlainImage] = {}
    for name, image in scenario.images.items():
        file, *ignored = build_files.of(scenario, image.dockerfile)
        plain = None if ignored else read(file.read_text(encoding="utf-8"))
        if plain is None:
            return None
        found[name] = plain
    return found


def read(text: str) -> PlainImage | None:
    """Return what a Dockerfile copies; None if it does anything else."""
    if not text.isascii() or "\\" in text or "\r" in text:
        return None
    file = dockerfiles.parse(text)
    first, *rest = file.instructions or (None,)
    if file.directives or first is None or (first.word, first.text) != ("FROM", "scratch"):
        return None
    copies: list[Copied] = []
    words: dict[str, tuple[str, ...]] = {}
    tree = _Tree()
    for one in rest:
        if one.word in ("CMD", "ENTRYPOINT"):
            if one.word in words or not (found := _exec_form(one)):
                return None
            words[one.word] = found
            continue
        copied = _copied(file, one) if one.word == "COPY" else None
        if copied is None or not all(map(tree.put, copied.parts)):
            return None
        copies.append(copied)
    if not 0 < len(copies) <= MOST_COPIES:
        return None
    return PlainImage(
        copies=tuple(copies), cmd=words.get("CMD", ()), entrypoint=words.get("ENTRYPOINT", ())
    )


def _exec_form(one: Instruction) -> tuple[str, ...]:
    """Return the words of ``["a", "b"]``; none of any other form."""
    try:
        found = json.loads(one.text) if one.text.startswith("[") else None
    except ValueError:
        return ()
    if not isinstance(found, list) or not all(isinstance(word, str) and word for word in found):
        return ()
    return tuple(found)


def _copied(file: Dockerfile, one: Instruction) -> Copied | None:
    *sources, dest = one.text.split() or [""]
    documents = [match[1] for word in sources if (match := _DOCUMENT.fullmatch(word))]
    names = [word.removesuffix("/") for word in sources if not _DOCUMENT.fullmatch(word)]
    # A folder that is named without a slash is the same; a file with one is an error.
    known = len(set(names)) == len(names) and not {*names} - {BUSYBOX, ROOTFS}
    if not known or f"{BUSYBOX}/" in sources or len(documents) != len(one.documents):
        return None
    ended = not documents or file.lines[one.end - 1] == documents[-1]
    if not ended or any("$" in text for text in one.documents) or not _DEST.fullmatch(dest):
        return None
    place = dest.strip("/")
    inside = dest.endswith("/")
    if {"", ".", ".."} & set(place.split("/") if place else ()) or "//" in dest:
        return None
    texts = dict(zip(documents, one.documents, strict=True))
    if not sources or len(names) + len(texts) != len(sources) or (len(sources) > 1 and not inside):
        return None
    return Copied(
        said=f"COPY {one.text}",
        parts=(
            *(
                Placed(path=place if name == ROOTFS or not inside else _below(place, name),
                       source=name)
                for name in names
            ),
            *(
                Placed(path=_below(place, name) if inside else place, text=text)
                for name, text in texts.items()
            ),
        ),
    )  # fmt: skip


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _parent(path: str) -> str:
    return path.rpartition("/")[0]

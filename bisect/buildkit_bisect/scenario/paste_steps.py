"""The steps that are made of an issue's text, and its files. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildkit_bisect.scenario import paste_places
from buildkit_bisect.scenario.paste_files import Event
from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_shell import Left
from buildkit_bisect.scenario.paste_text import Told


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step, and the line of the text that it comes from."""

    number: int
    source: str
    values: dict[str, object]  # of its table, ``id`` and ``action`` first


@dataclass(kw_only=True)
class Maker:
    """What has been made so far, and what is known of the paste."""

    told: Told
    steps: list[Step] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    images: dict[str, None] = field(default_factory=dict)  # that need a twin
    named: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # build -> image by arg
    places: paste_places.Places = field(default_factory=paste_places.Places)
    here: dict[str, str] = field(default_factory=dict)  # files that were written
    wrote: dict[str, Event] = field(default_factory=dict)  # what wrote them
    pushed: dict[str, str] = field(default_factory=dict)  # image -> its place in the registry
    root: str | None = None  # the folder that is the build context
    texts: dict[str, str] = field(default_factory=dict)  # the Dockerfile of each build step
    made: dict[str, Build] = field(default_factory=dict)  # the build of each build step
    changed: set[str] = field(default_factory=set)  # files that change after the first build
    dockerfiles: dict[str, str] = field(default_factory=dict)  # that a build copies
    layouts: dict[str, str] = field(default_factory=dict)  # folder of an output -> its step


def leave(maker: Maker, event: Event, reason: str) -> None:
    """Note that an event is not taken, and why."""
    maker.left.append(Left(number=event.number, source=event.source, reason=reason))


def add(maker: Maker, event: Event, name: str, values: Mapping[str, object]) -> str:
    """Add a step with a new id, which is returned."""
    taken = {step.values["id"] for step in maker.steps}
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30] or "step"
    free = (plain, *(f"{plain}-{chr(n)}" for n in range(ord("b"), ord("z"))),
            *(f"{plain}-x{n}" for n in range(1, 1000)))  # fmt: skip
    id_ = next(one for one in free if one not in taken)
    maker.steps.append(Step(number=event.number, source=event.source, values={"id": id_, **values}))
    return id_


def change(maker: Maker, event: Event) -> None:
    """Do what an event does to files; it is a step only if a build may see it."""
    path = event.path
    maker.wrote[path] = event
    match event.does:
        case "write":
            _put(maker, event, event.content)
        case "append":
            old = maker.here.get(path)
            if old is None or event.content:
                _put(maker, event, (old or "") + event.content)
        case "symlink":
            _put(maker, event, f"\0{event.content}")
        case "mkdir":
            maker.here.setdefault(f"{path}/", "")
        case "delete":
            if not maker.places.delete(path):
                _deleted(maker, event)
        case "rename":
            if not maker.places.rename(path, event.content):
                _renamed(maker, event)


def _put(maker: Maker, event: Event, text: str) -> None:
    """Write a file; before the first build it is not known whether that is a step."""
    maker.here[event.path] = text
    if maker.root is not None:
        written(maker, event, event.path)


def _renamed(maker: Maker, event: Event) -> None:
    if event.path not in maker.here:
        leave(maker, event, f"{event.path}: the paste does not say what is in it")
        return
    maker.here[event.content] = maker.here.pop(event.path)
    old, new = inside(maker, event.path), inside(maker, event.content)
    if maker.root is not None and old and new and _is_there(maker, old):
        maker.changed |= {old, new}
        add(maker, event, "rename", {"action": "rename", "path": old, "to": new})


def _deleted(maker: Maker, event: Event) -> None:
    gone = [p for p in maker.here if p == event.path or p.startswith(f"{event.path}/")]
    for name in gone:
        del maker.here[name]
    name = inside(maker, event.path)
    if gone and name and maker.root is not None and _is_there(maker, name):
        maker.dockerfiles.pop(name, None)
        maker.changed.add(name)
        add(maker, event, f"delete {name}", {"action": "delete", "path": name})


def inside(maker: Maker, path: str) -> str:
    """Return *path* in the build context; "" if it is not in it."""
    root = maker.root or ""
    if not root:
        return "" if path.startswith("/") else path
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else ""


def written(maker: Maker, event: Event, path: str, *, later: bool = True) -> None:
    """Add a step that writes the file at *path* of the paste."""
    name = inside(maker, path)
    if not name or is_dockerfile(name):
        return
    text = maker.here[path]
    if later:
        maker.changed.add(name)
    what = {"symlink": text[1:]} if text.startswith("\0") else {"content": text}
    add(maker, maker.wrote.get(path, event), name, {"action": "write", "path": name, **what})


def is_dockerfile(name: str) -> bool:
    """Whether *name* is one of a Dockerfile, which is in the context only if it is copied."""
    return "Dockerfile" in name.rpartition("/")[2]


def _is_there(maker: Maker, name: str) -> bool:
    return not is_dockerfile(name) or name in maker.dockerfiles


def copied(maker: Maker, event: Event, name: str, text: str) -> None:
    """Write a Dockerfile that a build copies, if the context does not have it so."""
    if maker.dockerfiles.get(name) == text:
        return
    if name in maker.dockerfiles:
        maker.changed.add(name)
    maker.dockerfiles[name] = text
    what = {"symlink": text[1:]} if text.startswith("\0") else {"content": text}
    add(maker, event, name, {"action": "write", "path": name, **what})


def show(maker: Maker, event: Event, name: str, text: str) -> None:
    """Write a file of the context that the text shows, unless it is there."""
    path = posixpath.join(maker.root or "", name)
    if path not in maker.here:
        maker.here[path] = text
        written(maker, event, path, later=False)


def empty_folder(maker: Maker, event: Event, name: str) -> None:
    """Make an empty folder of the context, once."""
    known = any(s.values["action"] == "mkdir" and s.values["path"] == name for s in maker.steps)
    if not known:
        add(maker, event, f"mkdir {name}", {"action": "mkdir", "path": name})

"""Makes the steps of a scenario of an issue's text. Pure.

What the text's commands do becomes steps; images become local twins; each line that is not taken
is listed with the reason.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from buildkit_bisect.scenario import (
    paste_daemon,
    paste_dockerfile,
    paste_images,
    paste_places,
    paste_rules,
    paste_text,
)
from buildkit_bisect.scenario.paste_commands import Event
from buildkit_bisect.scenario.paste_images import Twin
from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_shell import Left
from buildkit_bisect.scenario.paste_text import Listing, Told


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step, and the line of the text that it comes from."""

    number: int
    source: str
    values: dict[str, object]  # of its table, ``id`` and ``action`` first


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A scenario to be written."""

    steps: tuple[Step, ...]
    outcomes: tuple[paste_rules.Table, ...]
    said: paste_rules.Stated
    twins: tuple[Twin, ...]
    files: dict[str, str]  # Dockerfiles, by name
    daemon: paste_daemon.Daemon
    left: tuple[Left, ...]  # what is not taken
    notes: tuple[str, ...]  # what is taken in another way than written
    versions: tuple[str, ...]  # of BuildKit, as named in the text
    title: str = ""
    issue: str = ""


@dataclass(kw_only=True)
class _Maker:
    told: Told
    steps: list[Step] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    images: dict[str, None] = field(default_factory=dict)  # that need a twin
    named: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # build -> image by arg
    places: paste_places.Places = field(default_factory=paste_places.Places)
    here: dict[str, str] = field(default_factory=dict)  # files that were written
    pushed: dict[str, str] = field(default_factory=dict)  # image -> its place in the registry
    root: str | None = None  # the folder that is the build context
    texts: dict[str, str] = field(default_factory=dict)  # the Dockerfile of each build step
    made: dict[str, Build] = field(default_factory=dict)  # the build of each build step
    changed: set[str] = field(default_factory=set)  # files that change after the first build
    layouts: dict[str, str] = field(default_factory=dict)  # folder of an output -> its step


def draft(text: str) -> Draft:
    """Return the scenario in *text*: Markdown, a script, or a Dockerfile.

    `Draft.steps` is empty if the text has no build.
    """
    told = paste_text.told(text)
    maker = _Maker(told=told)
    maker.left += told.left
    for event in told.events:
        _take(maker, event)
    daemon = paste_daemon.of(told, maker.left, maker.notes)
    twins = paste_images.twins(list(maker.images), lazy=daemon.snapshotter == "stargz")
    _name_images(maker, twins)
    builds = [step for step in maker.steps if step.values["action"] == "build"]
    ids = [str(step.values["id"]) for step in builds]
    said = _said(maker, told, builds)
    left = sorted({(one.number, one.source, one.reason): one for one in maker.left}.values(),
                  key=lambda one: one.number)  # fmt: skip
    return Draft(
        steps=tuple(_trimmed(maker.steps)) if builds else (),
        outcomes=tuple(paste_rules.rules(ids, said)) if builds else (),
        said=said,
        twins=tuple(twins.values()),
        files=maker.files,
        daemon=daemon,
        left=tuple(left),
        notes=tuple(dict.fromkeys(maker.notes)),
        versions=tuple(dict.fromkeys(told.versions)),
        title=told.title,
        issue=told.issue,
    )


def _trimmed(steps: Sequence[Step]) -> list[Step]:
    """Return *steps* without a daemon or a prune before anything is built, or after the end."""
    first = next(n for n, one in enumerate(steps) if one.values["action"] == "build")
    last = max(n for n, one in enumerate(steps) if one.values["action"] == "build")
    return [
        one
        for n, one in enumerate(steps)
        if n <= last and not (n < first and one.values["action"] in ("prune", "daemon"))
    ]


def _said(maker: _Maker, told: Told, builds: Sequence[Step]) -> paste_rules.Stated:
    if not builds:
        return paste_rules.Stated()
    ids = [str(step.values["id"]) for step in builds]
    last = ids[-1]
    file = paste_dockerfile.read(maker.texts[last], {})
    same = [one for one in ids[:-1] if maker.texts[one] == maker.texts[last]]
    again = bool(same) or "repeat" in builds[-1].values
    stable: list[str] = []
    if again:
        args = maker.made[last].args
        before = maker.made[same[0]].args if same else args
        differ = {name for name in {*args, *before} if args.get(name) != before.get(name)}
        stable = paste_dockerfile.stable_runs(file, differ, maker.changed)
    said = paste_rules.stated(
        told.printed, told.prose, paste_dockerfile.runs(file) if again else (), stable
    )
    return said if again else replace(said, cached="", cached_line=0)


def _take(maker: _Maker, event: Event) -> None:
    match event.kind:
        case "build":
            try:
                _build(maker, event)
            except ValueError as error:
                _leave(maker, event, str(error))
        case "prune" | "daemon":
            values: dict[str, object] = {"action": event.kind}
            name = "prune" if event.kind == "prune" else event.start
            if event.start:
                values["start"] = event.start
            if maker.steps and maker.steps[-1].values.items() >= values.items():
                return
            _add(maker, event, name, values)
        case _:
            _file(maker, event)


def _leave(maker: _Maker, event: Event, reason: str) -> None:
    maker.left.append(Left(number=event.number, source=event.source, reason=reason))


def _add(maker: _Maker, event: Event, name: str, values: Mapping[str, object]) -> str:
    """Add a step with a new id, which is returned."""
    taken = {step.values["id"] for step in maker.steps}
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:30] or "step"
    free = (plain, *(f"{plain}-{chr(n)}" for n in range(ord("b"), ord("z"))),
            *(f"{plain}-x{n}" for n in range(1, 1000)))  # fmt: skip
    id_ = next(one for one in free if one not in taken)
    maker.steps.append(
        Step(number=event.number, source=event.source, values={"id": id_, **values})
    )
    return id_


def _file(maker: _Maker, event: Event) -> None:
    """Do what an event does to files; it is a step only if a build may see it."""
    path = event.path
    match event.kind:
        case "write" | "append":
            old = maker.here.get(path, "") if event.kind == "append" else ""
            maker.here[path] = old + event.content
            if maker.root is not None and old + event.content != old:
                _written(maker, event, path)
        case "mkdir":
            maker.here.setdefault(f"{path}/", "")
        case "symlink":
            maker.here[path] = f"\0{event.content}"
            if maker.root is not None:
                _written(maker, event, path)
        case "delete":
            if not maker.places.delete(path):
                _deleted(maker, event)
        case "rename":
            if maker.places.rename(path, event.content):
                return
            if path not in maker.here:
                _leave(maker, event, f"{path}: the paste does not say what is in it")
                return
            maker.here[event.content] = maker.here.pop(path)
            old_name, new_name = _inside(maker, path), _inside(maker, event.content)
            if maker.root is not None and old_name and new_name:
                _add(maker, event, "rename",
                     {"action": "rename", "path": old_name, "to": new_name})  # fmt: skip


def _deleted(maker: _Maker, event: Event) -> None:
    gone = [p for p in maker.here if p == event.path or p.startswith(f"{event.path}/")]
    for name in gone:
        del maker.here[name]
    name = _inside(maker, event.path)
    if gone and name and maker.root is not None:
        maker.changed.add(name)
        _add(maker, event, f"delete {name}", {"action": "delete", "path": name})


def _inside(maker: _Maker, path: str) -> str:
    """Return *path* in the build context; "" if it is not in it."""
    root = maker.root or ""
    if not root:
        return "" if path.startswith("/") else path
    return path.removeprefix(f"{root}/") if path.startswith(f"{root}/") else ""


def _written(maker: _Maker, event: Event, path: str, *, later: bool = True) -> None:
    """Add a step that writes the file at *path* of the paste."""
    name = _inside(maker, path)
    if not name or re.search(r"(?:^|/)(?:[\w.-]*Dockerfile[\w.-]*)$", name):
        return
    text = maker.here[path]
    if later:
        maker.changed.add(name)
    what = {"symlink": text[1:]} if text.startswith("\0") else {"content": text}
    _add(maker, event, name, {"action": "write", "path": name, **what})


def _build(maker: _Maker, event: Event) -> None:
    build = event.build
    assert build is not None
    text = _dockerfile(maker, event, build)
    contexts = {name: _context(maker, event, place) for name, place in build.contexts.items()}
    swapped = paste_images.swap(text, build.args, _own(maker))
    file = paste_dockerfile.read(text, build.args)
    _root(maker, event, build, file)
    _bring(maker, event, file)
    for option, reason in build.left:
        _leave(maker, event, f"{option}: {reason}")
    _note(maker, event, swapped, file)
    values: dict[str, object] = {
        "action": "build", "dockerfile": _stored(maker, build, swapped.text),
        "target": build.target, "args": dict(build.args), "contexts": contexts,
        "no_cache": build.no_cache, "no_cache_filter": build.no_cache_filter,
        "platform": build.platform, "attests": build.attests, "secrets": build.secrets,
        "ssh": build.ssh, "allow": build.allow, "labels": build.labels, "epoch": build.epoch,
        **_entries(maker, event, build),
        "repeat": maker.told.repeats.get(event.number, 1),
    }  # fmt: skip
    if build.frontend and not build.frontend.startswith(("docker/dockerfile", "docker.io/docker/")):
        values["frontend"] = build.frontend
    empty = ("", None, False, 1)
    values = {k: v for k, v in values.items() if v not in empty and v not in ([], {})}
    for image in swapped.args.values():
        if image not in _own(maker):
            maker.images.setdefault(image)
    name = "import" if build.imports else "export" if build.exports else "build"
    id_ = _add(maker, event, name, values)
    maker.named.append((len(maker.steps) - 1, swapped.args))
    maker.texts[id_] = text
    maker.made[id_] = build
    _outputs_of(maker, build, id_)


def _own(maker: _Maker) -> dict[str, str]:
    """Return the images that earlier steps made, by each of their names."""
    own: dict[str, str] = {}
    for name, ref in maker.pushed.items():
        own[name] = ref
        own[name.removesuffix(":latest")] = ref
    return own


def _outputs_of(maker: _Maker, build: Build, id_: str) -> None:
    """Remember what a build leaves: images of the registry, and folders."""
    for name in [*build.tags, *(o["name"] for o in build.outputs if "name" in o)]:
        for one in name.split(","):
            maker.pushed[paste_places.normal(one)] = paste_places.in_registry(one)
    folders = [o for o in build.outputs if o.get("type") == "local" or o.get("tar") == "false"]
    for output in folders if len(build.outputs) == 1 else ():
        if "dest" in output:
            maker.layouts[output["dest"]] = id_


def _context(maker: _Maker, event: Event, place: str) -> str:
    kind, _, path = place.partition(":")
    if kind == "image":
        ref = _own(maker).get(path) or _own(maker).get(paste_places.normal(path))
        if not ref:
            maker.notes.append(f"line {event.number}: the named context {path} is pulled")
        return f"image:{ref or path}"
    for folder, id_ in maker.layouts.items():
        if path == folder or (path and path.rpartition("/")[2] == folder.rpartition("/")[2]):
            return f"step:{id_}"
    if kind == "oci-layout":
        raise ValueError(f"oci-layout://{path}: no build of the paste writes it")
    name = _inside(maker, path)
    if not name:
        raise ValueError(f"the named context {path}: not a folder of the build context")
    return f"context:{name}"


def _entries(maker: _Maker, event: Event, build: Build) -> dict[str, list[dict[str, str]]]:
    """Return the caches and the outputs of a build as a step has them."""
    out: dict[str, list[dict[str, str]]] = {}
    outputs = list(build.outputs)
    if build.push or (build.tags and not outputs and not build.load):
        pushes = build.push or any(_used_later(maker, event, tag) for tag in build.tags)
        container = maker.told.container and not pushes
        names = [] if container else build.tags
        for tag in names:
            push = {"push": "true"} if pushes else {}
            outputs.append({"type": "image", "name": tag, **push})
    if build.load:
        outputs.append({"type": "docker"})
    for output in outputs:
        if output.get("type") == "image" and "name" not in output and build.tags:
            output["name"] = build.tags[0]
        if output.get("type") == "image" and any(
            _used_later(maker, event, name) for name in output.get("name", "").split(",")
        ):
            output["push"] = "true"
    for key, entries in (("exports", build.exports), ("imports", build.imports),
                         ("outputs", outputs)):  # fmt: skip
        for given in entries:
            made, why = paste_places.entry(key, given, maker.places, event.folder)
            if why:
                _leave(maker, event, why)
            elif made:
                out.setdefault(key, []).append(made)
    return out


def _used_later(maker: _Maker, event: Event, tag: str) -> bool:
    """Whether another build starts from the image *tag* of this one."""
    wanted = {paste_places.normal(tag)}
    for other in maker.told.events:
        if other.build is None or other is event:
            continue
        names = [v.removeprefix("image:") for v in other.build.contexts.values()]
        try:
            text = _dockerfile(maker, other, other.build)
        except ValueError:
            text = ""
        file = paste_dockerfile.read(text, other.build.args)
        names += [stage.image or "" for stage in file.stages]
        names += [name for _, name in paste_dockerfile.copied_from(file)]
        names += [entry.get("ref", "") for entry in other.build.imports]
        if wanted & {paste_places.normal(name) for name in names if name}:
            return True
    return False


def _dockerfile(maker: _Maker, event: Event, build: Build) -> str:
    """Return the Dockerfile of a build. Raises ValueError if the paste does not show it."""
    if event.document is not None:
        return event.document
    path = build.file or posixpath.join(build.context, "Dockerfile").lstrip("-/")
    if path in maker.here:
        return maker.here[path]
    found = _listing(maker.told.listings, path, event.number)
    if found is None:
        raise ValueError(f"the paste does not show {path}")
    return found.text


def _listing(listings: Sequence[Listing], path: str, number: int) -> Listing | None:
    """Return the file *path* as the text shows it: last before line *number*, else first after."""
    base = path.rpartition("/")[2]
    exact = [one for one in listings if one.name in (path, base) and one.name]
    default = [one for one in listings if one.dockerfile and one.name in ("", "Dockerfile")]
    chosen = exact or (default if base == "Dockerfile" else [])
    if not chosen and sum(one.dockerfile for one in listings) == 1:
        chosen = [one for one in listings if one.dockerfile]
    before = [one for one in chosen if one.number < number]
    return before[-1] if before else chosen[0] if chosen else None


def _root(
    maker: _Maker, event: Event, build: Build, file: paste_dockerfile.Dockerfile
) -> None:
    """Take the build's context as the scenario's. Raises ValueError if there is another one."""
    uses = any(True for _ in paste_dockerfile.used_files(file))
    if build.context == "-" or (maker.root is not None and not uses):
        return
    if maker.root is None:
        maker.root = build.context
        for path in [p for p in maker.here if not p.endswith("/")]:
            _written(maker, event, path, later=False)
    elif maker.root != build.context:
        raise ValueError(
            f"its build context is {build.context or '.'}, and an earlier build's is"
            f" {maker.root or '.'}: a scenario has one"
        )


def _bring(maker: _Maker, event: Event, file: paste_dockerfile.Dockerfile) -> None:
    """Write files that the Dockerfile takes and no command wrote."""
    root = maker.root or ""
    for name, instruction in paste_dockerfile.used_files(file):
        plain = posixpath.normpath(name.strip("/") or ".")
        if plain.startswith(".."):
            raise ValueError(f"{instruction}: leads out of the build context")
        path = posixpath.join(root, plain)
        folder = "" if plain == "." else f"{path}/"
        if plain == "." or "$" in name or re.search(r"[*?\[]", name):
            listed = [one for one in maker.told.listings if one.name and not one.dockerfile]
            for one in listed if plain == "." else ():
                _show(maker, event, one.name, one.text)
            continue
        if path in maker.here or any(p.startswith(folder) for p in maker.here):
            if f"{path}/" in maker.here and not any(
                p.startswith(folder) and p != folder for p in maker.here
            ):
                _folder(maker, event, plain)
            continue
        found = _listing([o for o in maker.told.listings if o.name], plain, event.number)
        if found is not None and found.name.rpartition("/")[2] == plain.rpartition("/")[2]:
            _show(maker, event, plain, found.text)
            continue
        maker.notes.append(
            f"line {event.number}: {instruction[:60]}: the text does not show {name}; the step"
            " writes a file with one line"
        )
        _show(maker, event, plain, f"{plain}\n")


def _show(maker: _Maker, event: Event, name: str, text: str) -> None:
    path = posixpath.join(maker.root or "", name)
    if path not in maker.here:
        maker.here[path] = text
        _written(maker, event, path, later=False)


def _folder(maker: _Maker, event: Event, name: str) -> None:
    known = any(s.values["action"] == "mkdir" and s.values["path"] == name for s in maker.steps)
    if not known:
        _add(maker, event, f"mkdir {name}", {"action": "mkdir", "path": name})


def _note(
    maker: _Maker, event: Event, swapped: paste_images.Swapped, file: paste_dockerfile.Dockerfile
) -> None:
    if swapped.syntax:
        maker.notes.append(
            f"line {event.number}: the Dockerfile's `# syntax={swapped.syntax}` is left out: the"
            " frontend of the commit itself is tested"
        )
    for image, why in swapped.kept:
        maker.notes.append(
            f"line {event.number}: {image} has no local image, because {why}: trials pull it"
            " from its registry"
        )
    for address in paste_dockerfile.remote_files(file):
        maker.notes.append(f"line {event.number}: ADD {address}: trials download it")


def _stored(maker: _Maker, build: Build, text: str) -> str:
    """Return the name of the file with the Dockerfile *text*, which is added."""
    for name, known in maker.files.items():
        if known == text:
            return name
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", build.file.rpartition("/")[2]).strip(".-")
    base = base or "Dockerfile"
    names = (base, *(f"{base}-{n}" for n in range(2, 1000)))
    name = next(one for one in names if one not in maker.files)
    maker.files[name] = text
    return name


def _name_images(maker: _Maker, twins: Mapping[str, Twin]) -> None:
    """Give each build the images that its Dockerfile has arguments for."""
    own = _own(maker)
    for index, args in maker.named:
        values = maker.steps[index].values
        images = {
            name: own[image] if image in own and image not in twins
            else f"${{image.{twins[image].name}}}"
            for name, image in args.items()
        }  # fmt: skip
        if images:
            given = values.get("args", {})
            assert isinstance(given, dict)
            values["args"] = {**given, **images}



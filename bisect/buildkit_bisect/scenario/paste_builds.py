"""A build of an issue's text as a step: its Dockerfile, context, caches and outputs. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario import paste_images, paste_places
from buildkit_bisect.scenario.dockerfile import Dockerfile
from buildkit_bisect.scenario.paste_files import Event
from buildkit_bisect.scenario.paste_options import Build
from buildkit_bisect.scenario.paste_steps import (
    Maker,
    add,
    empty_folder,
    inside,
    leave,
    show,
    written,
)
from buildkit_bisect.scenario.paste_text import Listing
from buildkit_bisect.scenario.twins import IMAGE_FILE

#: Longest name of a Dockerfile, without a number that tells it from others.
_LONGEST = 100


def take(maker: Maker, event: Event) -> None:
    """Add the step of a build. Raises ValueError, with the reason, if it cannot be one."""
    build = event.build
    assert build is not None
    text = _dockerfile(maker, event, build)
    contexts = {name: _context(maker, event, place) for name, place in build.contexts.items()}
    swapped = paste_images.swap(text, build.args, images_made(maker), contexts)
    file = dockerfiles.parse(text)
    _root(maker, event, build, file)
    _bring(maker, event, file)
    for option, reason in build.left:
        leave(maker, event, f"{option}: {reason}")
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
    values = {k: v for k, v in values.items() if _is_set(k, v)}
    for image in swapped.args.values():
        if image not in images_made(maker):
            maker.images.setdefault(image)
    name = "export" if build.exports else "import" if build.imports else "build"
    id_ = add(maker, event, name, values)
    maker.named.append((len(maker.steps) - 1, swapped.args))
    maker.texts[id_] = text
    maker.made[id_] = build
    _outputs_of(maker, build, id_)


def _is_set(key: str, value: object) -> bool:
    """Whether a key has to be written; ``epoch = 0`` is not the same as no epoch."""
    if key == "repeat":
        return value != 1
    if key == "args":  # images are added later
        return True
    return value is not None and value is not False and value not in ("", [], {})


def images_made(maker: Maker) -> dict[str, str]:
    """Return the images that earlier steps made, by each of their names."""
    own: dict[str, str] = {}
    for name, ref in maker.pushed.items():
        own[name] = ref
        own[name.removesuffix(":latest")] = ref
    return own


def _outputs_of(maker: Maker, build: Build, id_: str) -> None:
    """Remember what a build leaves: images of the registry, and folders."""
    for name in [*build.tags, *(o["name"] for o in build.outputs if "name" in o)]:
        for one in name.split(","):
            maker.pushed[paste_places.normal(one)] = paste_places.in_registry(one)
    folders = [o for o in build.outputs if o.get("type") == "local" or o.get("tar") == "false"]
    for output in folders if len(build.outputs) == 1 else ():
        if "dest" in output:
            maker.layouts[output["dest"]] = id_


def _context(maker: Maker, event: Event, place: str) -> str:
    kind, _, path = place.partition(":")
    if kind == "image":
        ref = images_made(maker).get(path) or images_made(maker).get(paste_places.normal(path))
        if not ref:
            maker.notes.append(f"line {event.number}: the named context {path} is pulled")
        return f"image:{ref or path}"
    for folder, id_ in maker.layouts.items():
        if path == folder or (path and path.rpartition("/")[2] == folder.rpartition("/")[2]):
            return f"step:{id_}"
    if kind == "oci-layout":
        raise ValueError(f"oci-layout://{path}: no build of the paste writes it")
    name = inside(maker, path)
    if not name:
        raise ValueError(f"the named context {path}: not a folder of the build context")
    return f"context:{name}"


def _entries(maker: Maker, event: Event, build: Build) -> dict[str, list[dict[str, str]]]:
    """Return the caches and the outputs of a build as a step has them."""
    out: dict[str, list[dict[str, str]]] = {}
    given = {
        "exports": build.exports,
        "imports": build.imports,
        "outputs": _outputs(maker, event, build),
    }
    for key, entries in given.items():
        for one in entries:
            made, why = paste_places.entry(key, one, maker.places, event.folder)
            if why:
                leave(maker, event, why)
            elif made:
                out.setdefault(key, []).append(made)
    return out


def _outputs(maker: Maker, event: Event, build: Build) -> list[dict[str, str]]:
    """Return what a build outputs: also the image that a tag stands for.

    An image that a later build uses is pushed: a trial has no images of an Engine.
    """
    outputs = [dict(output) for output in build.outputs]
    tags = {tag: build.push or _used_later(maker, event, tag) for tag in build.tags}
    plain = not outputs and not build.load
    for tag, pushed in tags.items():
        # Only dockerd keeps an image that has a tag and nothing else.
        if pushed or (plain and not maker.told.container):
            push = {"push": "true"} if pushed else {}
            outputs.append({"type": "image", "name": tag, **push})
    if build.load:
        outputs.append({"type": "docker"})
    for output in outputs:
        name = output.get("name") or next(iter(build.tags), "")
        if output.get("type") == "image" and name:
            output["name"] = name
            if _used_later(maker, event, name):
                output["push"] = "true"
    return list({tuple(sorted(one.items())): one for one in outputs}.values())


def _used_later(maker: Maker, event: Event, tag: str) -> bool:
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
        file = dockerfiles.parse(text)
        names += [stage.image for stage in dockerfiles.stages(file, other.build.args)]
        names += [name for one in file.instructions for name in one.others]
        names += [entry.get("ref", "") for entry in other.build.imports]
        if wanted & {paste_places.normal(name) for name in names if name}:
            return True
    return False


def _dockerfile(maker: Maker, event: Event, build: Build) -> str:
    """Return the Dockerfile of a build. Raises ValueError if the paste does not show it."""
    if event.document is not None:
        return event.document
    path = build.file or posixpath.join(build.context.removeprefix("-"), "Dockerfile")
    if path in maker.here:
        return maker.here[path]
    found = listing(maker.told.listings, path, event.number)
    if found is None:
        raise ValueError(f"the paste does not show {path}")
    return found.text


def listing(listings: Sequence[Listing], path: str, number: int) -> Listing | None:
    """Return the file *path* as the text shows it: last before line *number*, else first after."""
    base = path.rpartition("/")[2]
    exact = [one for one in listings if one.name in (path, base) and one.name]
    default = [one for one in listings if one.dockerfile and one.name in ("", "Dockerfile")]
    chosen = exact or (default if base == "Dockerfile" else [])
    if not chosen and sum(one.dockerfile for one in listings) == 1:
        chosen = [one for one in listings if one.dockerfile]
    before = [one for one in chosen if one.number < number]
    return before[-1] if before else chosen[0] if chosen else None


def _root(maker: Maker, event: Event, build: Build, file: Dockerfile) -> None:
    """Take the build's context as the scenario's. Raises ValueError if there is another one."""
    uses = any(one.files for one in file.instructions)
    if build.context == "-" or (maker.root is not None and not uses):
        return
    if maker.root is None:
        maker.root = build.context
        for path in [p for p in maker.here if not p.endswith("/")]:
            written(maker, event, path, later=False)
    elif maker.root != build.context:
        raise ValueError(
            f"its build context is {build.context or '.'}, and an earlier build's is"
            f" {maker.root or '.'}: a scenario has one"
        )


def _bring(maker: Maker, event: Event, file: Dockerfile) -> None:
    """Write files that the Dockerfile takes and no command wrote."""
    used = [(name, f"{o.word} {o.rest}") for o in file.instructions for name in o.files]
    for name, instruction in used:
        plain = posixpath.normpath(name.strip("/") or ".")
        if plain.startswith(".."):
            raise ValueError(f"{instruction}: leads out of the build context")
        if plain == ".":
            for one in maker.told.listings:
                if one.name and not one.dockerfile:
                    show(maker, event, one.name, one.text)
        elif not re.search(r"[$*?\[]", name):
            _bring_one(maker, event, plain, instruction)


def _bring_one(maker: Maker, event: Event, name: str, instruction: str) -> None:
    path = posixpath.join(maker.root or "", name)
    below = [p for p in maker.here if p.startswith(f"{path}/")]
    if below == [f"{path}/"]:
        empty_folder(maker, event, name)
    if path in maker.here or below:
        return
    found = listing([o for o in maker.told.listings if o.name], name, event.number)
    if found is not None and found.name.rpartition("/")[2] == name.rpartition("/")[2]:
        show(maker, event, name, found.text)
        return
    maker.notes.append(
        f"line {event.number}: {instruction[:60]}: the text does not show {name}; the step"
        " writes a file with one line"
    )
    show(maker, event, name, f"{name}\n")


def _note(maker: Maker, event: Event, swapped: paste_images.Swapped, file: Dockerfile) -> None:
    """Note what the step does in another way than the text."""
    build = event.build
    assert build is not None
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
    for name in build.secrets:
        maker.notes.append(f"line {event.number}: the text of the secret {name} is made up")
    if build.platform and swapped.args:
        maker.notes.append(
            f"line {event.number}: the platform {build.platform}: local images have this machine's"
        )
    for address in dockerfiles.remote_files(file):
        maker.notes.append(f"line {event.number}: ADD {address}: trials download it")


def _is_ours(name: str) -> bool:
    """Whether a scenario's folder has a file *name* that no text may replace."""
    return name in ("scenario.toml", "upstream.toml") or name.endswith(IMAGE_FILE)


def _stored(maker: Maker, build: Build, text: str) -> str:
    """Return the name of the file with the Dockerfile *text*, which is added."""
    for name, known in maker.files.items():
        if known == text:
            return name
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", build.file.rpartition("/")[2]).strip(".-")
    base = base[:_LONGEST] or "Dockerfile"
    names = (base, *(f"{base}-{n}" for n in range(2, 1000)))
    name = next(one for one in names if one not in maker.files and not _is_ours(one))
    maker.files[name] = text
    return name

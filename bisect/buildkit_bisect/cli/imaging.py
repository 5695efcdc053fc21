"""``build --image``: a variant as an image on the Docker Engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from buildkit_bisect.campaign.setup import Workshop
from buildkit_bisect.engine import base, buildx_plugin, image, open_engine, upstream_image
from buildkit_bisect.engine.connection import Engine
from buildkit_bisect.errors import BadInput
from buildkit_bisect.events import Said
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import ImageBuilder
from buildkit_bisect.options.command import words
from buildkit_bisect.patch.patches import Patch

_SAVE = words(requests.Build, save="./image.tar")


def wanted(request: requests.Build) -> bool:
    """Return whether *request* asks for an image. Raises `BadInput` if it cannot be built."""
    dockerfile = request.builder is ImageBuilder.DOCKERFILE
    save = Path(request.save).absolute()
    if request.push:
        image.repository(request.push)  # raises before anything is built
    if dockerfile and request.base_image:
        raise BadInput(
            "upstream's Dockerfile has its own base image",
            hint=f"leave out {words(requests.Build, base_image=True)}",
        )
    if request.save and not save.parent.is_dir():
        raise BadInput(
            f"{words(requests.Build, save=request.save)}: the folder does not exist", hint=_SAVE
        )
    if request.save and save.is_dir():
        raise BadInput(
            f"{words(requests.Build, save=request.save)} is a directory, not a file",
            hint=_SAVE,
        )
    more = (dockerfile, request.base_image, request.push, request.save)
    return request.image or any(more)


def from_binaries(
    workshop: Workshop, request: requests.Build, variant: Variant, made: Build
) -> tuple[Engine, image.VariantImage, str]:
    """Return the image, and what it was built from."""
    engine = open_engine()
    on = base.find(engine, request.base_image, workshop.say)
    return engine, image.ensure(engine, made, variant, on), f"binaries on {on.ref}"


def from_upstream(
    workshop: Workshop, variant: Variant, patches: Sequence[Patch]
) -> tuple[Engine, image.VariantImage, str]:
    """Return the published image of an unpatched release, else one built with the Dockerfile."""
    say = workshop.say
    engine = open_engine()
    instead = ""
    if ref := upstream_image.published(variant):
        got = upstream_image.pull(engine, variant, say)
        if not isinstance(got, str):
            return engine, got, f"published, {got.digest or ref}"
        instead = f"; cannot pull {ref}: {got}"
        say(instead.removeprefix("; "))
    program = buildx_plugin.find(say, workshop.builder.deadlines, oldest=buildx_plugin.OLDEST_BAKE)
    made = upstream_image.build(
        engine,
        program,
        workshop.source,
        variant,
        patches,
        timeout=workshop.builder.deadlines.dockerfile,
        on_line=_Steps(workshop),
    )
    return engine, made, f"upstream's Dockerfile, by buildx {program.version}{instead}"


class _Steps:
    """Emits the first line of each step in a build's plain progress output."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._seen: set[str] = set()

    def __call__(self, line: str) -> None:
        number, _, rest = line.partition(" ")
        if number.startswith("#") and rest.startswith("[") and number not in self._seen:
            self._seen.add(number)
            self._workshop.events.emit(Said(text=rest[:160]))


def deliver(engine: Engine, made: image.VariantImage, request: requests.Build) -> dict[str, str]:
    """Push and save the image as requested. Return the destinations."""
    done: dict[str, str] = {}
    if request.push:
        done["pushed"] = image.push(engine, made, request.push)
    if request.save:
        path = Path(request.save).absolute()
        image.save(engine, made, path)
        done["saved"] = str(path)
    return done

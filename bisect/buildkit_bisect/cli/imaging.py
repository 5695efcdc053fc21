"""``build --image``: a variant as an image on the Docker Engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.cli import options
from buildkit_bisect.cli.options import Raw
from buildkit_bisect.engine import base, buildx_plugin, image, open_engine, upstream_image
from buildkit_bisect.engine.session import Engine
from buildkit_bisect.errors import BadInput
from buildkit_bisect.events import Said
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.patch.patches import Patch

#: How an image is made: compiled here and layered on a base, or by upstream's Dockerfile.
BUILDERS = ("binaries", "dockerfile")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the options ask for beside the binaries."""

    builder: str = "binaries"
    base: str = ""
    push: str = ""  # a registry
    save: str = ""  # a file


def wanted(raw: Mapping[str, Raw]) -> Wanted | None:
    """What the options ask for; None where it is not an image. Raises `BadInput`."""
    found = Wanted(
        builder=options.one_of("builder", raw.get("builder", ""), BUILDERS),
        base=options.image("base-image", raw.get("base_image", "")),
        push=options.image("push", raw.get("push", "")),
        save=options.option("save", raw.get("save", "")),
    )
    if found.push:
        image.repository(found.push)  # refused before anything is built
    if found.builder == "dockerfile" and found.base:
        raise BadInput("upstream's Dockerfile has a base of its own", hint="leave out --base-image")
    if found.save and not Path(found.save).absolute().parent.is_dir():
        raise BadInput(f"--save {found.save}: there is no such folder", hint="--save ./image.tar")
    if found.save and Path(found.save).is_dir():
        raise BadInput(
            f"--save {found.save} is a directory, and an image is a file", hint="--save ./image.tar"
        )
    asked = options.flag("image", raw.get("image", False))
    return found if asked or found != Wanted() else None


def from_binaries(
    setup: Setup, asked: Wanted, variant: Variant, made: Build
) -> tuple[Engine, image.VariantImage, str]:
    """The image, and how it came about."""

    def say(text: str) -> None:
        setup.events.emit(Said(text=text))

    engine = open_engine()
    on = base.find(engine, asked.base, say)
    return engine, image.ensure(engine, made, variant, on, say=say), f"binaries on {on.ref}"


def from_upstream(
    setup: Setup, variant: Variant, patches: Sequence[Patch]
) -> tuple[Engine, image.VariantImage, str]:
    """The published image of a plain release where it can be had, else by the Dockerfile."""

    def say(text: str) -> None:
        setup.events.emit(Said(text=text))

    engine = open_engine()
    instead = ""
    if ref := upstream_image.published(variant):
        got = upstream_image.pull(engine, variant, say)
        if not isinstance(got, str):
            return engine, got, f"published, {got.digest or ref}"
        instead = f"; {ref} cannot be pulled: {got}"
        say(instead.removeprefix("; "))
    program = buildx_plugin.find(say, setup.builder.deadlines, oldest=buildx_plugin.OLDEST_BAKE)
    made = upstream_image.build(
        engine,
        program,
        setup.source,
        variant,
        patches,
        timeout=setup.builder.deadlines.dockerfile,
        say=say,
        on_line=_Steps(setup),
    )
    return engine, made, f"upstream's Dockerfile, by buildx {program.version}{instead}"


class _Steps:
    """Shows the beginning of each step of a plain build progress, and nothing twice."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._seen: set[str] = set()

    def __call__(self, line: str) -> None:
        number, _, rest = line.partition(" ")
        if number.startswith("#") and rest.startswith("[") and number not in self._seen:
            self._seen.add(number)
            self._setup.events.emit(Said(text=rest[:160]))


def deliver(engine: Engine, made: image.VariantImage, asked: Wanted) -> dict[str, str]:
    """Push and save as asked; where to."""
    done: dict[str, str] = {}
    if asked.push:
        done["pushed"] = image.push(engine, made, asked.push)
    if asked.save:
        path = Path(asked.save).absolute()
        image.save(engine, made, path)
        done["saved"] = str(path)
    return done

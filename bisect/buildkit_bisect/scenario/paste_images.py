"""Dockerfiles of an issue with local images for the ones that they name. Pure.

A local image is taken only if the Dockerfile runs nothing else in it than it has.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from buildkit_bisect.scenario import dockerfile as dockerfiles
from buildkit_bisect.scenario import twins
from buildkit_bisect.scenario.dockerfile import Dockerfile, Stage
from buildkit_bisect.system.addresses import is_image

#: Stages of a Dockerfile that are looked at.
MOST_STAGES = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Swapped:
    """A Dockerfile with arguments in place of images."""

    text: str
    args: dict[str, str] = field(default_factory=dict)  # argument -> the image that was named
    kept: tuple[tuple[str, str], ...] = ()  # image, and why it has no twin
    syntax: str = ""  # the external frontend that it asks for, left out


def swap(
    text: str, args: Mapping[str, str], own: Mapping[str, str], contexts: Collection[str] = ()
) -> Swapped:
    """Return the Dockerfile *text* without images of the network, as far as that is possible.

    *args* are the build arguments; *own* are images that an earlier step pushed: they are
    arguments too. Named *contexts* replace images, which stay as they are written.
    Raises ValueError, with the reason, if an image cannot be pulled by anyone.
    """
    file = dockerfiles.parse(text)
    all_stages = dockerfiles.stages(file, args)
    if len(all_stages) > MOST_STAGES:
        raise ValueError(f"its Dockerfile has more than {MOST_STAGES} stages")
    lines = list(file.lines)
    found: dict[str, str] = {}
    kept: dict[str, str] = {}
    names: dict[str, str] = {}
    for stage in all_stages:
        image = _outer(stage)
        if not image or image in contexts or image in kept:
            continue
        known = image in own or image in names
        if not known and (lacking := twins.lacking(all_stages, image)):
            kept[image] = f"{lacking[0].word} needs {lacking[1]}"
            continue
        names.setdefault(image, _argument(stage, image, names))
        found[names[image]] = image
        dockerfiles.start_from(lines, stage, f"${{{names[image]}}}")
    new = _copied(file, own, found=found, kept=kept, lines=lines, contexts=contexts)
    first = next((one.start.start for one in all_stages), len(lines))
    above = [one for one in file.instructions if one.start < first]
    own_args = {name for one in above for name in dockerfiles.declared(one)}
    declared = [f"ARG {name}={image}" for name, image in found.items() if name not in own_args]
    rest = lines[len(file.directives) :]
    return Swapped(
        text="\n".join([*file.own_frontend, *declared, *new, *rest]).strip("\n") + "\n",
        args=found,
        kept=tuple(kept.items()),
        syntax=file.directives.get("syntax", ""),
    )


def _outer(stage: Stage) -> str:
    """Return the image that *stage* starts from; "" if that is another stage, or scratch."""
    if not stage.image:
        raise ValueError(f"FROM {stage.written}: the paste does not say which image that is")
    if not stage.outer:
        return ""
    if not is_image(stage.image):
        raise ValueError(f"FROM {stage.image}: not an image that can be pulled")
    if re.search(r"windows|nanoserver", stage.image):
        raise ValueError(f"FROM {stage.image}: an image for Windows; trials run on Linux")
    return stage.image


def _argument(stage: Stage, image: str, taken: Mapping[str, str]) -> str:
    """Return the argument that FROM has, or a new name."""
    alone = re.fullmatch(r"\$\{?(\w+)\}?", stage.written)
    if alone and alone[1] not in taken.values():
        return alone[1]
    name = re.sub(r"\W+", "_", twins.name_of(image)).upper()
    free = (f"IMAGE_{name}{n}" for n in ("", *(f"_{k}" for k in range(2, 100))))
    return next(one for one in free if one not in taken.values())


def _copied(
    file: Dockerfile,
    own: Mapping[str, str],
    *,
    found: dict[str, str],
    kept: dict[str, str],
    lines: list[str],
    contexts: Collection[str],
) -> list[str]:
    """Replace images that instructions copy from by stages, since --from takes no argument.

    Returns the lines of these stages; a file whose stages have numbers is left as it is.
    """
    known = {*dockerfiles.names(file), *contexts}
    copied = [(one, name) for one in file.instructions for name in one.others]
    wanted = [(o, n) for o, n in copied if n.lower() not in known and "$" not in n]
    numbered = any(name.isdigit() for _, name in copied)
    out: list[str] = []
    for one, name in wanted:
        if name not in own:
            kept.setdefault(name, f"files are copied from it ({one.word} --from={name})")
            continue
        if numbered:
            kept.setdefault(name, "it is beside stages that have numbers")
            continue
        argument = f"IMAGE_{re.sub(r'[^A-Z0-9]+', '_', twins.name_of(name).upper())}"
        stage = f"image-{twins.name_of(name)}"
        line = f"FROM ${{{argument}}} AS {stage}"
        if found.setdefault(argument, name) == name and line not in out:
            out.append(line)
        for at in range(one.start, one.end):
            lines[at] = lines[at].replace(f"from={name}", f"from={stage}")
    return out

"""The ``build`` task: one variant's binaries or image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, NoReturn

from buildkit_bisect.campaign import estimate, matrix
from buildkit_bisect.campaign.setup import Workshop, open_workshop, patch_loader
from buildkit_bisect.cli import doctor, imaging
from buildkit_bisect.cli.cache import trim
from buildkit_bisect.cli.guard import DONE
from buildkit_bisect.cli.plans import show_plan
from buildkit_bisect.cli.variants import asked_for
from buildkit_bisect.errors import BadInput, InfraFailed, NoAnswer
from buildkit_bisect.events import BuildDone, BuildProgress, BuildStarted, Planned, sayer
from buildkit_bisect.live import Display
from buildkit_bisect.model import NoBuild, Variant
from buildkit_bisect.options import requests
from buildkit_bisect.options.choices import ImageBuilder
from buildkit_bisect.options.command import inv
from buildkit_bisect.system.announce import shown_otherwise


def build(request: requests.Build) -> int:
    """Build a variant unless it is cached, and print where it is; or only print the plan."""
    if not request.rev:
        raise BadInput("no revision given", hint=inv("build", rev="v0.26.0"))
    ref, with_ = asked_for(request.rev, request)
    image = imaging.wanted(request)
    with Display() as events:
        if not request.dry_run:
            doctor.ensure(sayer(events), trials=False)
        given = patch_loader(request, events).load(with_ or request.patches)
        workshop = open_workshop(request, events, given)
        variant = Variant(
            revision=workshop.source.resolve(ref), patches=tuple(p.ref for p in given)
        )
        row = variant.label
        if request.dry_run:
            return show_plan(request, _planned(workshop, variant, image=image))
        if image and request.builder is ImageBuilder.DOCKERFILE:
            engine, ready, how = imaging.from_upstream(workshop, variant, given)
            done = imaging.deliver(engine, ready, request)
            return _show_image(request, row, {"image": asdict(ready), "made": how, **done})
        if workshop.builder.cached(variant) is None:
            events.emit(BuildStarted(row=row))
        with shown_otherwise():
            made = workshop.builder.build(
                variant,
                lambda done, expected: events.emit(
                    BuildProgress(row=row, done=done, expected=expected)
                ),
            )
        if isinstance(made, NoBuild):
            _refuse(row, made)
        events.emit(BuildDone(row=row, seconds=made.seconds, reused=made.reused))
        trim(events, request.cache_size, grew=not made.reused or bool(made.pulled_from))
        if image:
            engine, ready, how = imaging.from_binaries(workshop, request, variant, made)
            done = imaging.deliver(engine, ready, request)
            facts = {"build": asdict(made), "image": asdict(ready), "made": how, **done}
            return _show_image(request, row, facts)
    if request.json:
        print(json.dumps({"variant": row, **asdict(made)}, indent=1))
    else:
        place = made.pulled_from
        there = f"pulled from {place}" if place else "already built"
        how = there if made.reused else f"built in {estimate.minutes(made.seconds)}"
        print(f"{row}: {how} with Go {made.go}\n{made.directory}")
    return DONE


def _refuse(row: str, made: NoBuild) -> NoReturn:
    if made.infra:
        raise InfraFailed(f"cannot build {row}: {made.stage}: {made.reason}", hint=made.hint)
    if made.hint:
        raise NoAnswer(f"cannot build {row}: {made.stage}: {made.reason}", hint=made.hint)
    raise NoAnswer(
        f"cannot build {row}: {made.stage}: {made.reason}",
        hint=f"less {made.log}" if made.log else inv("doctor"),
    )


def _planned(workshop: Workshop, variant: Variant, *, image: bool) -> Planned:
    also = ("make an image of it on the Docker Engine",) if image else ()
    return replace(matrix.built(workshop, [variant], "build"), also=also)


def _show_image(request: requests.Build, row: str, facts: Mapping[str, Any]) -> int:
    if request.json:
        print(json.dumps({"variant": row, **facts}, indent=1))
        return DONE
    ready = facts["image"]
    when = (
        "already present" if ready["reused"] else f"built in {estimate.minutes(ready['seconds'])}"
    )
    print(f"{row}: image {when}, from {facts['made']}\n{ready['ref']}\n{ready['id']}")
    for what in ("pushed", "saved"):
        if what in facts:
            print(f"{what}: {facts[what]}")
    return DONE

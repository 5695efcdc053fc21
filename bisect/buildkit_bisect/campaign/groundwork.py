"""What a campaign makes before its first trial: base images, and a BuildKit if they need one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from buildkit_bisect.builds import Builder
from buildkit_bisect.campaign.estimate import LATER
from buildkit_bisect.campaign.setup import Setup
from buildkit_bisect.errors import BadInput, BisectError
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.base_images import COMPILING, REFERENCE, REFERENCE_GO, ImageRef
from buildkit_bisect.lab.served_images import of_modules
from buildkit_bisect.model import Build, Revision, Variant
from buildkit_bisect.options.choices import Images
from buildkit_bisect.runtime import registry
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.search.cost import COLD
from buildkit_bisect.system import paths

#: Seconds to build and push one base image, with BuildKit and without it.
_BUILT, _MADE = 4.0, 0.3


def images(setup: Setup, scenario: Scenario) -> dict[str, ImageRef] | None:
    """Return the scenario's images as far as they exist; None if they have to be built.

    Starts no registry and builds nothing.
    """
    if not scenario.images:
        return {}
    if setup.request.images is Images.PUBLIC:
        return base_images.public(scenario)
    try:
        if setup.request.registry:
            there = registry.external(setup.request.registry)
            return base_images.present(scenario, there.address, there.digest)
        storage = paths.cache("registry")
        return base_images.present(
            scenario, "", lambda name, tag: registry.on_disk(storage, name, tag)
        )
    except BisectError:  # no busybox yet, or no registry
        return None


def expected(
    setup: Setup, rows: Sequence[Variant], known_go: Collection[str], pace: float
) -> Mapping[str, float]:
    """Return what has to be made first, and the expected seconds of each.

    *rows* are variants that the campaign builds anyway, *known_go* the Go versions that something
    was built with, and *pace* how many times longer builds take here than usual.
    """
    missing = [s for s in setup.scenarios if images(setup, s) is None]
    if not missing:
        return {}
    built = {s.name for s in missing if base_images.needs_buildkit(s)}
    build = _compile_seconds(setup.builder, rows, known_go) if built else 0.0
    return {
        **({COMPILING: build * pace} if build else {}),
        **{
            base_images.making(s): (_BUILT if s.name in built else _MADE) * len(s.images)
            for s in missing
        },
    }


def _compile_seconds(builder: Builder, rows: Sequence[Variant], known_go: Collection[str]) -> float:
    """Return the seconds that the reference BuildKit adds; 0 if it is built or a row anyway.

    With a store, a row may be pulled, and the reference never is.
    """
    builder = replace(builder, own=True)
    try:
        reference = Variant(revision=builder.source.resolve(REFERENCE))
    except BadInput:
        builder = of_modules(builder)
        reference = Variant(revision=Revision(ref=REFERENCE, sha="", describe=REFERENCE))
    if isinstance(builder.cached(reference), Build):
        return 0.0
    if builder.shared is None and any(
        not v.patches and v.revision.sha == reference.revision.sha != "" for v in rows
    ):
        return 0.0
    return LATER if REFERENCE_GO in known_go else COLD

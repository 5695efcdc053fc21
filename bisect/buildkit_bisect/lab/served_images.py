"""The registry of base images on this machine, and what makes the images that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from buildkit_bisect.builds import Builder
from buildkit_bisect.errors import BadInput, Missing
from buildkit_bisect.lab import base_images
from buildkit_bisect.lab.base_images import ImageRef
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.options.command import inv, words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.runtime import registry
from buildkit_bisect.runtime.registry import Registry
from buildkit_bisect.scenario import Scenario
from buildkit_bisect.source import ModuleSource
from buildkit_bisect.system.announce import announce

#: The images of each scenario, by its name.
Refs = dict[str, dict[str, ImageRef]]


def served(
    builder: Builder, scenarios: Sequence[Scenario], storage: Path, stack: ExitStack
) -> tuple[Registry, Refs]:
    """Return a registry over *storage* until the end of *stack*, and each scenario's images in it.

    Build steps reach it, so it is read-only: a scenario must not change the base images of others.
    One that can be written runs before it only if an image is missing, as on a machine's first run.
    """
    with ExitStack() as ours:
        store = ours.enter_context(registry.serve(storage, read_only=True))
        there = {
            s.name: base_images.present(s, store.address, store.digest) if s.images else {}
            for s in scenarios
        }
        complete = {name: images for name, images in there.items() if images is not None}
        if len(complete) == len(there):
            stack.enter_context(ours.pop_all())
            return store, complete
    with registry.serve(storage) as writable:
        ensured(builder, scenarios, writable)
    store = stack.enter_context(registry.serve(storage, read_only=True))
    return store, ensured(builder, scenarios, store)


def ensured(builder: Builder, scenarios: Sequence[Scenario], store: Registry) -> Refs:
    """Return the images of each scenario in *store*; build those that are missing."""
    return {
        scenario.name: base_images.ensure(
            scenario, store, lambda: reference_build(builder), builder.deadlines
        )
        for scenario in scenarios
    }


def of_modules(builder: Builder) -> Builder:
    """Return a builder of releases from the module proxy, for a clone without upstream's tags."""
    modules = ModuleSource(say=builder.say, deadlines=builder.deadlines)
    return replace(builder, source=modules, patches=())


def reference_build(builder: Builder) -> Build:
    """Return the BuildKit that builds base images. Raises `Missing` if it cannot be built.

    It is compiled here: its images stay, and would outlive the trust in who made a pulled one.
    """
    builder = replace(builder, own=True)
    try:
        revision = builder.source.resolve(base_images.REFERENCE)
    except BadInput:
        builder = of_modules(builder)
        revision = builder.source.resolve(base_images.REFERENCE)
    with announce(base_images.COMPILING) as work:
        build = builder.build(Variant(revision=revision), work.progress)
    if not isinstance(build, Build):
        raise Missing(
            f"cannot build the reference BuildKit {base_images.REFERENCE}: {build.reason}",
            hint=f"{inv('doctor')}, or {words(Campaign, images='public')}",
        )
    return build

"""The registry of base images on this machine, and what makes the images that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from buildkit_bisect.system import cache_limit
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


class Kept:
    """A registry over *storage* that stays from one scenario to the next, until it is closed.

    It is read-only, and made anew only if it does not respond. What it knows of scenarios is of the
    last ones.
    """

    #: Scenarios whose images are known without asking the registry.
    MOST = 100

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._stack = ExitStack()
        self._registry: Registry | None = None
        self._known: Refs = {}

    def close(self) -> None:
        """End the registry."""
        self._registry = None
        self._known.clear()
        self._stack.close()

    def images(
        self, builder: Builder, scenario: Scenario, digests: Mapping[str, str]
    ) -> tuple[Registry, dict[str, ImageRef]]:
        """Return the registry and the images of *scenario* in it; make those that are missing.

        Images that are known are taken as they are if they have these *digests*.
        """
        store = self._running()
        known = self._known.pop(scenario.name, None)
        if known is None or {name: image.digest for name, image in known.items()} != dict(digests):
            known = self._found(builder, scenario, store)
        self._known[scenario.name] = known
        if len(self._known) > self.MOST:
            self._known.pop(next(iter(self._known)))
        return store, known

    def _running(self) -> Registry:
        if self._registry is None or not self._registry.alive():
            self.close()
            cache_limit.used(self._storage)
            self._registry = self._stack.enter_context(
                registry.serve(self._storage, read_only=True)
            )
        return self._registry

    def _found(self, builder: Builder, scenario: Scenario, store: Registry) -> dict[str, ImageRef]:
        there = base_images.present(scenario, store.address, store.digest)
        if there is not None:
            return there
        with registry.serve(self._storage) as writable:  # another process over the same files
            ensured(builder, [scenario], writable)
        return ensured(builder, [scenario], store)[scenario.name]


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

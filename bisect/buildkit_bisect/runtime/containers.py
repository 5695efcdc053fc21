"""What trials in containers share: an Engine, and a base for the variants' images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from buildkit_bisect.engine import Engine, base, image, open_engine, sweep
from buildkit_bisect.engine.loopback import reaches
from buildkit_bisect.errors import BisectError, InfraFailed, Missing
from buildkit_bisect.model import Build, Variant
from buildkit_bisect.options.command import words
from buildkit_bisect.options.requests import Campaign
from buildkit_bisect.system.announce import announce


@dataclass(frozen=True, kw_only=True, slots=True)
class Containers:
    """An Engine and a base image for a campaign; it can be pickled."""

    base: base.Base
    engine: tuple[tuple[str, str], ...]  # facts: endpoint, version, storage

    def fingerprint(self) -> dict[str, str]:
        """Return what affects trials in containers: the Engine's version and storage, the base."""
        known = {k: v for k, v in self.engine if k in ("version", "storage", "cgroups")}
        return {**known, "base": self.base.key}

    def facts(self) -> dict[str, str]:
        """Return what results report: the Engine's version and endpoint, and the base."""
        known = dict(self.engine)
        text = f"{known['version']} at {known['endpoint']} ({known['storage']})"
        return {"docker": text, "base image": self.base.ref}

    def image(
        self, build: Build, variant: Variant, campaign: str
    ) -> tuple[Engine, image.VariantImage]:
        """Return the variant's image, built if necessary. Raises `InfraFailed`."""
        try:
            engine = open_engine()
            return engine, image.ensure(engine, build, variant, self.base, campaign=campaign)
        except InfraFailed:
            raise
        except BisectError as error:  # the Engine responded when the campaign began
            raise InfraFailed(error.message, hint=error.hint) from error


def connected(base_image: str, *, loopback: bool, say: Callable[[str], None]) -> Containers:
    """Return the Engine, after removing what killed runs left on it, and the base image.

    *loopback* means that it has to reach a registry on this machine's loopback. Raises `Missing`
    if no Engine responds or it cannot reach the registry, `BadInput` if the base image does not
    exist.
    """
    with announce("connecting to the Docker Engine"):
        engine = open_engine()
        reached = not loopback or reaches(engine)
    if not reached:
        raise Missing(
            f"the Docker Engine at {engine.where.shown} is on another machine or network and"
            " cannot reach the registry on this machine's loopback",
            hint=f"{words(Campaign, images='public')}, or {words(Campaign, runtime='host')}",
        )
    with announce("looking for what killed runs left on the Docker Engine"):
        found = sweep.find(engine)
    for left in found:
        why = sweep.remove(engine, left)
        removed = f"removed {left}, which a killed run left"
        say(f"cannot remove {left}: {why}" if why else removed)
    return Containers(
        base=base.find(engine, base_image, say),
        engine=tuple(sorted(engine.facts.items())),
    )

"""What a campaign's runtimes share while they are prepared."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from buildkit_bisect.system.deadlines import Deadlines

if TYPE_CHECKING:
    from buildkit_bisect.runtime.containers import Containers


class Preparation:
    """One Engine and one base for all runtimes of a campaign, if one of them needs containers."""

    def __init__(
        self,
        *,
        base_image: str = "",
        loopback: bool = True,
        say: Callable[[str], None] = lambda _: None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """*loopback* means that trials use a registry on this machine's loopback."""
        self.say = say
        self.deadlines = deadlines
        self._base_image = base_image
        self._loopback = loopback

    @cached_property
    def containers(self) -> Containers:
        """The Engine and the base image; raises what `containers.connected` raises."""
        # Imported late: Docker's client takes long to import, and the host needs none.
        from buildkit_bisect.runtime import containers  # noqa: PLC0415

        return containers.connected(self._base_image, loopback=self._loopback, say=self.say)

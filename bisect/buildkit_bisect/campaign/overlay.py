"""Which of the given patches belong at a commit: each from what it changes to what mends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from buildkit_bisect.model import PatchRef
from buildkit_bisect.patch.patches import Patch


class Overlay:
    """An ordered list of patches, used at a commit where their ``patch.toml`` says so.

    ``introduced-by``: from that commit on. ``fixed-by``: up to but without that commit.
    """

    def __init__(
        self,
        patches: Sequence[Patch],
        *,
        resolve: Callable[[str], str],
        is_ancestor: Callable[[str, str], bool],
    ) -> None:
        self._patches = patches
        self._is_ancestor = is_ancestor
        self._spans = {
            p.name: (
                resolve(p.meta.introduced_by) if p.meta.introduced_by else "",
                resolve(p.meta.fixed_by) if p.meta.fixed_by else "",
            )
            for p in patches
        }

    def at(self, commit: str) -> tuple[PatchRef, ...]:
        """The patches that belong at *commit*, in order."""
        return tuple(p.ref for p in self._patches if self._belongs(p, commit))

    def _belongs(self, patch: Patch, commit: str) -> bool:
        start, end = self._spans[patch.name]
        begun = not start or self._is_ancestor(start, commit)
        return begun and not (end and self._is_ancestor(end, commit))

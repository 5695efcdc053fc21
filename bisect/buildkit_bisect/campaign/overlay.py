"""Selects the patches for a commit: those whose bug is introduced there and not yet fixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from buildkit_bisect.model import PatchRef
from buildkit_bisect.patch.patches import Patch


class Overlay:
    """An ordered list of patches, each limited to the commits that its ``patch.toml`` gives.

    A patch is used at commits that contain ``introduced-by`` and do not contain ``fixed-by``.
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
        """Return the patches to use at *commit*, in order."""
        return tuple(p.ref for p in self._patches if self._belongs(p, commit))

    def _belongs(self, patch: Patch, commit: str) -> bool:
        start, end = self._spans[patch.name]
        introduced = not start or self._is_ancestor(start, commit)
        return introduced and not (end and self._is_ancestor(end, commit))

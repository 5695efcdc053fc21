"""Builds of variants: their keys, the compile and the build cache."""

from buildkit_bisect.builds.builder import Builder
from buildkit_bisect.builds.job import Progress
from buildkit_bisect.builds.key import Recipe
from buildkit_bisect.builds.store import history, sweep

__all__ = ["Builder", "Progress", "Recipe", "history", "sweep"]
